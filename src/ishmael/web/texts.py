"""What pages say, in the reader's language; dates, numbers and sizes as that language writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from babel.dates import format_datetime
from babel.numbers import format_decimal

from ishmael.words.language import catalogue, said

LANGUAGES = {"en": "English", "de": "Deutsch"}
COOKIE = "ishmael-language"
# In English neither month and day nor morning and evening may be mistaken.
_MOMENTS = {"en": "d MMM y, HH:mm:ss", "de": "medium"}
_KILO = 1000


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

    def unit_state(self, state: str) -> str:
        """How a unit of systemd is (``active (running)``), in words; what is seldom stays in brackets as systemd says it."""
        known = self._translated(state)
        main, _, detail = state.partition(" (")
        words = self._translated(main)
        if known != state or words == main:
            return known
        return f"{words} ({detail}" if detail else words

    def time(self, iso: str | None) -> str:
        """A moment (ISO 8601, UTC) as date and time of this node's time zone; the text itself when it is none."""
        if not iso:
            return "–"
        try:
            moment = datetime.fromisoformat(iso).replace(tzinfo=UTC).astimezone()
        except ValueError:
            return str(iso)
        return str(format_datetime(moment, _MOMENTS[self.language], locale=self.language))

    def clock(self, iso: str) -> str:
        """The time of day of a moment (ISO 8601, UTC) in this node's time zone, to the millisecond; the text when it is none."""
        try:
            moment = datetime.fromisoformat(iso).replace(tzinfo=UTC).astimezone()
        except ValueError:
            return iso
        return moment.isoformat(timespec="milliseconds")[11:23]

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
