"""Both languages are complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ishmael.web
from ishmael.web.cluster import FORMS
from ishmael.web.texts import Texts, catalogue, chosen

TEMPLATES = Path(ishmael.web.__file__).parent / "templates"
_MARKED = re.compile(r"""_\((["'])(.+?)\1[,)]""")
# Words that German took over as they are.
_THE_SAME = {"bronze", "slave", "gold", "master", "standby"}


def _texts() -> set[str]:
    found = {match.group(2) for path in TEMPLATES.glob("*.html") for match in _MARKED.finditer(path.read_text())}
    for form in FORMS.values():
        found |= {form.work, form.title, form.intro, form.button}
        found |= {text for field in form.fields for text in (field.label, field.help)}
    return found - {""}


def test_every_text_has_a_german_one() -> None:
    """Nothing on a page stays English for a German reader."""
    german = catalogue("de")
    assert len(_texts()) > 100
    assert sorted(_texts() - set(german)) == []


def test_no_german_text_is_the_english_one() -> None:
    """A text that is the same was forgotten."""
    same = {text for text, german in catalogue("de").items() if text.lower() == german.lower()}
    assert same - _THE_SAME == set()


def test_what_is_filled_in_is_the_same() -> None:
    """A translation fills in what the text does."""
    for text, german in catalogue("de").items():
        assert sorted(re.findall(r"%\(\w+\)s", text)) == sorted(re.findall(r"%\(\w+\)s", german)), text


@pytest.mark.parametrize(
    ("cookie", "accept", "language"),
    [
        ("", "", "en"),
        ("", "de-AT,de;q=0.9,en;q=0.5", "de"),
        ("", "fr,en;q=0.4,de;q=0.6", "de"),
        ("en", "de", "en"),
        ("xx", "de;q=x,*;q=1", "en"),
    ],
)
def test_the_language(cookie: str, accept: str, language: str) -> None:
    """By hand, else as the browser asks, else English."""
    assert chosen(cookie, accept) == language


def test_dates_and_numbers() -> None:
    """As each language writes them; what is no date stays as it is."""
    assert Texts("de").number(1234.5) == "1.234,5"
    assert Texts("en").number(1234.5) == "1,234.5"
    assert Texts("de").time("nonsense") == "nonsense"
    assert Texts("de").time("2026-11-25T03:04:05.678Z").startswith("25.11.2026")
