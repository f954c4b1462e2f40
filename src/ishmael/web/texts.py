"""What pages say, in the reader's language: gettext catalogues (GNU gettext manual), read as they are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from babel.dates import format_datetime
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

LANGUAGES = {"en": "English", "de": "Deutsch"}
COOKIE = "ishmael-language"
_GAP = re.compile(r"%\((\w+)\)s")
_SAID_MAX = 600
_DEPTH_MAX = 3
_KILO = 1000
_LOCALE = Path(__file__).parent / "locale"


@lru_cache
def catalogue(language: str) -> dict[str, str]:
    """The translations of a language; empty for English, whose texts are the keys."""
    path = _LOCALE / language / "LC_MESSAGES" / "ishmael.po"
    if not path.exists():
        return {}
    with path.open("rb") as source:
        messages = read_po(source, locale=language)
    return {str(message.id): str(message.string) for message in messages if message.id and message.string}


@lru_cache
def _patterns(language: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Texts that are filled in, as patterns of what they look like when the manager has filled them in; longest first."""
    made = []
    for text, found in catalogue(language).items():
        pieces = _GAP.split(text)
        if len(pieces) > 1:
            # Text and names of gaps by turns. A gap alone, or one next to another, would match everything.
            source = "".join(
                f"(?P<{piece}>.+?)" if number % 2 else re.escape(piece) for number, piece in enumerate(pieces)
            )
            made.append((re.compile(source, re.DOTALL), found))
    return tuple(sorted(made, key=lambda pair: -len(pair[0].pattern)))


@lru_cache(maxsize=2048)
def said(language: str, text: str, depth: int = 0) -> str:
    """What the manager said, in a language; what was filled in is translated, too. The text itself when it is unknown."""
    known = catalogue(language).get(text)
    if known is not None or len(text) > _SAID_MAX or depth > _DEPTH_MAX:
        return known if known is not None else text
    for pattern, found in _patterns(language):
        match = pattern.fullmatch(text)
        if match:
            return found % {name: said(language, value, depth + 1) for name, value in match.groupdict().items()}
    if depth and text[:1].islower():
        # A sentence that was filled in after a colon begins small.
        begun = text[0].upper() + text[1:]
        found = said(language, begun, depth)
        return text if found == begun else found
    return text


@dataclass(frozen=True)
class Texts:
    """One language.

    Args:
        language: ``en`` or ``de``.
    """

    language: str

    @property
    def translate(self) -> Callable[..., str]:
        """``_`` of the templates: the text in this language, with ``%(name)s`` filled in, or as the manager filled it in."""
        return self._translated

    def _translated(self, text: str, **values: object) -> str:
        if not values:
            return said(self.language, text)
        return catalogue(self.language).get(text, text) % values

    def own(self, row: Mapping[str, Any], name: str) -> str:
        """What the manager says in both languages: ``name`` and ``name_de`` of a row; else translated as a text."""
        return str(
            (row.get(f"{name}_de") if self.language == "de" else "") or self._translated(str(row.get(name) or ""))
        )

    def time(self, iso: str | None) -> str:
        """A moment (ISO 8601, UTC) as date and time of this node's time zone; the text itself when it is none."""
        if not iso:
            return "–"
        try:
            moment = datetime.fromisoformat(iso).replace(tzinfo=UTC).astimezone()
        except ValueError:
            return str(iso)
        return str(format_datetime(moment, "medium", locale=self.language))

    def number(self, value: float) -> str:
        """A number as it is written here."""
        return str(format_decimal(value, locale=self.language))

    def size(self, count: float) -> str:
        """So many bytes, in a unit that suits."""
        units = ["B", "kB", "MB", "GB"]
        while count >= _KILO and len(units) > 1:
            count /= _KILO
            units.pop(0)
        return f"{format_decimal(count, format='#,##0.#', locale=self.language)} {units[0]}"


def chosen(cookie: str, accept: str) -> str:
    """The language to speak.

    Args:
        cookie: what the reader chose by hand, or empty.
        accept: the browser's ``Accept-Language`` (RFC 9110, section 12.5.4).
    """
    if cookie in LANGUAGES:
        return cookie
    wishes = []
    for part in accept.split(",")[:20]:
        name, _, weight = part.strip().partition(";q=")
        try:
            wishes.append((float(weight or 1), name.split("-")[0].lower()))
        except ValueError:
            continue
    for _, name in sorted(wishes, key=lambda wish: -wish[0]):
        if name in LANGUAGES:
            return name
    return "en"
