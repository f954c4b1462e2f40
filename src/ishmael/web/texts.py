"""What pages say, in the reader's language: gettext catalogues (GNU gettext manual), read as they are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from babel.dates import format_datetime
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

LANGUAGES = {"en": "English", "de": "Deutsch"}
COOKIE = "ishmael-language"
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


@dataclass(frozen=True)
class Texts:
    """One language.

    Args:
        language: ``en`` or ``de``.
    """

    language: str

    @property
    def translate(self) -> Callable[..., str]:
        """``_`` of the templates: the text in this language, with ``%(name)s`` filled in."""
        return self._translated

    def _translated(self, text: str, **values: object) -> str:
        found = catalogue(self.language).get(text, text)
        return found % values if values else found

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
