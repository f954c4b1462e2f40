"""What is said in another language: gettext catalogues (GNU gettext manual), read as they are written.

Pages and mails use it. Texts are the keys; one that was filled in is known by its shape.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from babel.messages.pofile import read_po

_GAP = re.compile(r"%\((\w+)\)s")
_SAID_MAX = 600
_DEPTH_MAX = 3
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
