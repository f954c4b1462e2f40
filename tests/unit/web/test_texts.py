"""Both languages are complete."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import ishmael.web
from ishmael.manager.appliance.kept import SERVICES
from ishmael.manager.jobs.model import JobState
from ishmael.manager.works.catalogue import NAMES
from ishmael.web.cluster import FORMS
from ishmael.web.network import FORM
from ishmael.web.texts import Texts, chosen
from ishmael.words.language import catalogue

TEMPLATES = Path(ishmael.web.__file__).parent / "templates"
_MARKED = re.compile(r"""_\((["'])(.+?)\1[,)]""")
# Words that German took over as they are.
_THE_SAME = {"cluster", "name", "Port", "E-mail", "Gateway", "bronze", "slave", "gold", "master", "standby"}


def _said_by_pages() -> set[str]:
    """Refusals that the web process makes itself."""
    calls = [
        node for path in TEMPLATES.parent.glob("*.py") for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Problem", "HTTPException")
    ]  # fmt: skip
    return {text for call in calls for text in map(_filled, call.args) if " " in text}


def _texts() -> set[str]:
    found = {match.group(2) for path in TEMPLATES.glob("*.html") for match in _MARKED.finditer(path.read_text())}
    for form in (*FORMS.values(), FORM):
        found |= {form.work, form.title, form.intro, form.button}
        found |= {text for field in form.fields for text in (field.label, field.help)}
    for service in SERVICES.values():
        found |= {service.about.title} | {field.what for field in service.about.fields}
    return (found | _said_by_pages()) - {""}


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
    assert Texts("en").time("2026-11-25T13:04:05.678+00:00").startswith("25 Nov 2026, ")
    assert not {"AM", "PM"} & set(Texts("en").time("2026-11-25T13:04:05.678Z").split())


@pytest.mark.parametrize(
    ("said", "german"),
    [
        ("pbx1 is not part of a cluster.", "pbx1 gehört zu keinem Cluster."),
        (
            "It decides to become master: the admin set up the first master.",
            "Er beschließt, Master zu werden: der Administrator hat den ersten Master eingerichtet.",
        ),
        ("No failover is possible: the slave is not heard.", "Kein Umschalten bei Ausfall möglich: der Slave ist nicht zu hören."),
        (
            "It decides to become master: the master is silent on both networks.",
            "Er beschließt, Master zu werden: Der Master schweigt in beiden Netzen.",
        ),
        ("stratum is no number from 1 to 15.", "stratum ist keine Zahl von 1 bis 15."),
        ("smarthost is no text of at most 200 plain characters.", "smarthost ist kein Text von höchstens 200 einfachen Zeichen."),
        ("enabled is neither true nor false.", "enabled ist weder „true“ noch „false“."),
        (
            "pbx2 runs Ishmael 0.1.0, this node 0.2.0.",
            "Auf pbx2 läuft Ishmael 0.1.0, auf diesem Knoten 0.2.0.",
        ),
        ("Something nobody knows: pbx1.", "Something nobody knows: pbx1."),
    ],
)  # fmt: skip
def test_what_the_manager_filled_in(said: str, german: str) -> None:
    """A text is known by its shape; what was filled in is kept, or translated when it is a text itself."""
    assert Texts("de").translate(said) == german
    assert Texts("en").translate(said) == said


def test_hostile_fillings() -> None:
    """What looks like a format, or is very long, is shown as it is."""
    assert Texts("de").translate("%s%(x)s is not part of a cluster.") == "%s%(x)s gehört zu keinem Cluster."
    long = "x" * 5000 + " is not part of a cluster."
    assert Texts("de").translate(long) == long


def _filled(node: ast.expr) -> str:
    """A text of the source with its gaps filled in by words that are no text themselves; empty when it is none."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(v.value) if isinstance(v, ast.Constant) else f"pbx{n}" for n, v in enumerate(node.values))
    return ""


_MANAGER = Path(ishmael.web.__file__).parents[1] / "manager"
_REFUSING = {"Finding", "RequestRefused", "HostFault", "PeerFault", "_find", "finding"}
_CALLED = {"message", "hint", "text", "why"}
# What reaches a page: every work, the services, jobs, checks, mail, data kept aside, users.
_SOURCES = sorted(
    path.relative_to(_MANAGER)
    for pattern in ("works/*.py", "appliance/*.py", "data/*.py", "jobs/queue.py", "jobs/runner.py", "watch/scheduler.py",
                    "watch/cluster.py", "watch/mail.py", "accounts.py", "look.py", "drift.py", "versions.py",
                    "drivers/copied_files.py", "drivers/copy_rung.py", "drivers/masters_files.py", "drivers/whole_copy.py")
    for path in _MANAGER.glob(pattern)
)  # fmt: skip

# A part of another text; put together of parts, of which each whole has a text below.
_IN_PARTS = {"its fields are not those that were written", "pbx0 is pbx2."}


def _either(node: ast.expr) -> set[str]:
    return _either(node.body) | _either(node.orelse) if isinstance(node, ast.IfExp) else {_filled(node)}


def _told(source: Path) -> set[str]:
    """What a source finds or refuses: in the call itself, or put into a name before."""
    found = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", "") or getattr(node.func, "attr", "")
            if name in _REFUSING:
                found |= set().union(*map(_either, (*node.args, *(keyword.value for keyword in node.keywords))), {""})
        elif isinstance(node, ast.Assign):
            names = {getattr(target, "id", "").strip("_").lower() for target in node.targets}
            found |= _either(node.value) if names & _CALLED else set()
    return {text for text in found if " " in text}


@pytest.mark.parametrize("source", _SOURCES, ids=str)
def test_what_the_manager_finds_is_german(source: Path) -> None:
    """Every finding and every refusal, with its hint."""
    untranslated = {text for text in _told(_MANAGER / source) if Texts("de").translate(text) == text}
    assert sorted(untranslated - _IN_PARTS) == []


def test_findings_are_found() -> None:
    """The test above sees what it should."""
    assert sum(len(_told(_MANAGER / source)) for source in _SOURCES) > 300


def test_events_and_checks_are_german() -> None:
    """Every kind of event that the reference names, and what our own checks say; not what Debian's plugins say."""
    docs = Path(__file__).parents[3] / "docs" / "reference" / "events.md"
    rows = [line.split("|")[1] for line in docs.read_text().splitlines() if line.startswith("| `")]
    kinds = {kind for row in rows for kind in re.findall(r"`([a-z-]+)`", row)}
    sources = Path(ishmael.web.__file__).parents[1] / "checks"
    calls = [node for path in sources.glob("*.py") for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("ok", "warning", "critical", "unknown")]  # fmt: skip
    outputs = {text for call in calls for text in map(_filled, call.args[:1]) if " " in text}
    assert len(kinds) > 50 and len(outputs) > 40
    assert sorted(text for text in kinds | outputs if Texts("de").translate(text) == text) == []


def test_steps_and_states_of_jobs_are_german() -> None:
    """What a job's page shows while it runs, by the names that the works and the journal use."""
    works = Path(ishmael.web.__file__).parents[1] / "manager" / "works"
    calls = [node for path in works.glob("*.py") for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Step"]  # fmt: skip
    steps = {text for call in calls for text in map(_filled, call.args[:1]) if text}
    assert len(steps) > 30
    shown = steps | {str(state) for state in JobState} | set(NAMES)
    assert sorted(text for text in shown if Texts("de").translate(text) == text) == []
    assert sorted(name for name in NAMES if Texts("en").translate(name) == name) == []
