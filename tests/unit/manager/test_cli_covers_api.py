"""What the API can do, the command line can do: the routes are compared with what the commands ask."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import ishmael
import ishmael.cli
from ishmael.manager.works.catalogue import NAMES

# Routes that no command asks, and why.
NOT_ASKED = {
    ("GET", "/nics"): "a form's list of choices; `ishmael network show` and ip(8) tell the same",
    ("GET", "/cluster-key"): "`setup-master --show-key` reads the file, also while the manager is down",
    ("GET", "/lamp"): "the one colour of the pages and lamps; `ishmael status` and `checks` say what makes it",
    ("GET", "/metrics"): "asked by Prometheus, through the web process",
    ("GET", "/files"): "asked by failovers and by the lab; `ishmael status` shows it",
    ("GET", "/events/stream"): "for pages that stay open; `ishmael events` and jobs ask again",
    ("POST", "/users/first"): "the browser's first page; on the command line root adds users without a code",
    ("POST", "/services/{}/password"): "a browser has no file to name; `apply-service` takes --password-file",
    ("POST", "/sign-ins"): "the web process tells what happened; nobody asks for it",
    ("POST", "/sign-outs"): "the web process tells what happened; nobody asks for it",
}
_VERBS = {"get": "GET", "text": "GET", "post": "POST", "put": "PUT", "delete": "DELETE"}


def _path(word: ast.expr) -> Iterator[str]:
    """The path of a call, with {} for what is filled in."""
    if isinstance(word, ast.Constant) and isinstance(word.value, str):
        yield word.value
    elif isinstance(word, ast.JoinedStr):
        yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in word.values)  # type: ignore[misc]


def _calls(room: str, verbs: dict[str, str]) -> set[tuple[str, str]]:
    """What is called by the name of a verb, in the sources of a room: the verb and the path."""
    place = Path(ishmael.__file__).parent / room
    calls = (call for file in sorted(place.glob("*.py")) for call in ast.walk(ast.parse(file.read_text())))
    return {
        (verbs[call.func.attr], path)
        for call in calls
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in verbs and call.args
        for path in _path(call.args[0])
    }


def _asked() -> set[tuple[str, str]]:
    asked = {(verb, path) for verb, path in _calls("cli", _VERBS) if path.startswith("/")}
    # One call for both, with the verb as a word of the path.
    both = {("POST", "/checks/{}/run"), ("POST", "/checks/{}/acknowledge")}
    return asked | (both if ("POST", "/checks/{}/{}") in asked else set())


def _routes() -> set[tuple[str, str]]:
    found = _calls("manager/api", _VERBS)
    return {
        (verb, re.sub(r"{[a-z_]+}", "{}", path.removeprefix("{}"))) for verb, path in found if path.startswith("{}/")
    }


def test_every_route_is_asked_by_a_command() -> None:
    """But for those above, each with its reason."""
    assert len(_routes()) > 50
    assert sorted(_routes() - _asked() - set(NOT_ASKED)) == []


def test_the_exceptions_are_routes_that_nobody_asks() -> None:
    """None of them is out of date."""
    assert sorted(set(NOT_ASKED) - _routes()) == []
    assert sorted(set(NOT_ASKED) & _asked()) == []


def test_every_work_is_begun_by_a_command() -> None:
    """A job of any kind: by the command of its name, or by one of a group."""
    words = "".join(file.read_text() for file in sorted(Path(ishmael.cli.__file__).parent.glob("*.py")))
    assert [name for name in NAMES if f'"{name}"' not in words] == []
