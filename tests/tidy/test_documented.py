"""What an admin can meet is in its reference page: derived from the code, so that neither can drift from the other."""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import typer

from ishmael.checks.catalogue import CHECKS
from ishmael.cli.app import app
from ishmael.core.asks import Wish
from ishmael.core.rules import RULES
from ishmael.words import errors, places
from ishmael.words.monitoring import Ami, Icinga, Mail, Monitoring
from ishmael.words.profile import FileSet, Profile, SqliteSet, Unit
from ishmael.words.roles import ClusterState, Role
from ishmael.words.settings import NodeSettings, Settings, Times, check_times
from ishmael.words.told import TOLD_KINDS
from tests.tidy.checkout import ROOT, python_files, relative

REFERENCE = ROOT / "docs/reference"
KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
# Wishes of the core that no client can ask for by these names: the keeper itself shuts down; `hold` with `on` false.
NOT_ASKED = {"stop", "release"}
# Error classes that are a base or carry what another process said.
ERROR_CLASSES = {"IshmaelError", "RequestRefused", "PeerFault", "HostFault", "Bug", "ManagerDown", "ClusterLocked"}


def _page(name: str) -> str:
    return (REFERENCE / name).read_text()


def _entries(page: str) -> list[str]:
    """What a page documents: the code in the first cell of a table's row, or in a heading."""
    rows = re.findall(r"^\| *((?:`[^`\s]+`[, ]*)+)\|", page, re.MULTILINE)
    headings = re.findall(r"^#{2,} +((?:`[^`\s]+`[, ]*)+)", page, re.MULTILINE)
    return [code for cell in rows + headings for code in re.findall(r"`([^`]+)`", cell)]


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _callee(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr=name):
            return name
    return ""


# --- sets of names, each from the code ------------------------------------------------------------------------------


def _literals(value: ast.expr) -> Iterator[str]:
    """The texts an expression can be; a formatted one becomes a pattern."""
    match value:
        case ast.Constant(value=str(text)):
            yield re.escape(text)
        case ast.IfExp(body=body, orelse=orelse):
            yield from _literals(body)
            yield from _literals(orelse)
        case ast.JoinedStr(values=parts):
            yield "".join(re.escape(str(part.value)) if isinstance(part, ast.Constant) else "[a-z]+" for part in parts)


def _notices() -> set[str]:
    """Patterns of all kinds told in the core."""
    found: set[str] = set()
    for path in (ROOT / "src/ishmael/core").glob("*.py"):
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Call) and _callee(node) == "tell" and node.args:
                found.update(_literals(node.args[0]))
    return found


def _told_rules() -> set[str]:
    """Every rule that a notice of the core can carry."""
    positions = {"tell": 1, "let_go": 2, "claim": 2, "_resume": 2, "hand_over": 2, "follow": 3}
    return {
        str(argument.value)
        for path in (ROOT / "src/ishmael/core").glob("*.py")
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call) and len(node.args) > positions.get(_callee(node), len(node.args))
        for argument in [node.args[positions[_callee(node)]]]
        if isinstance(argument, ast.Constant) and argument.value
    }


def _asks() -> set[str]:
    """What the keeper's control socket answers: what the loop answers at once, and the wishes of the core."""
    at_once = next(
        node.value
        for node in ast.walk(_tree(ROOT / "src/ishmael/keeper/loop.py"))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "at_once"
    )
    assert isinstance(at_once, ast.Dict)
    names = {str(key.value) for key in at_once.keys if isinstance(key, ast.Constant)}
    return names | set(get_args(Wish)) - NOT_ASKED


def _commands() -> set[str]:
    return {
        command.name or str(getattr(command.callback, "__name__", "")).replace("_", "-")
        for command in app.registered_commands
    }


def _options() -> set[str]:
    """Every option of every command."""
    group: Any = typer.main.get_command(app)
    return {
        option
        for command in group.commands.values()
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--")
    }


class _Codes:
    """Error codes of the sources: literals where an error is made, followed through functions that pass one on."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._trees = {path: _tree(path) for path in paths}
        self._positions: dict[str, set[int]] = {name: {0} for name in ERROR_CLASSES} | {"Finding": {1}}
        while self._learn():
            pass

    def _learn(self) -> bool:
        """Find functions that hand one of their parameters on as a code; false when there is no new one."""
        before = sum(map(len, self._positions.values()))
        for tree in self._trees.values():
            for function in ast.walk(tree):
                if isinstance(function, ast.FunctionDef):
                    self._learn_function(function)
        return sum(map(len, self._positions.values())) > before

    def _learn_function(self, function: ast.FunctionDef) -> None:
        names = [argument.arg for argument in function.args.args]
        own = 1 if names[:1] == ["self"] else 0
        for value in self._values(function):
            if isinstance(value, ast.Name) and value.id in names and function.name != "__init__":
                self._positions.setdefault(function.name, set()).add(names.index(value.id) - own)

    def _values(self, inside: ast.AST) -> Iterator[ast.expr]:
        """Every expression that stands where a code belongs."""
        for node in ast.walk(inside):
            if isinstance(node, ast.Call):
                for position in self._positions.get(_callee(node), ()):
                    if position < len(node.args):
                        yield node.args[position]
            elif isinstance(node, ast.Dict):
                yield from (v for k, v in zip(node.keys, node.values, strict=True) if _is_code_key(k))

    def found(self) -> dict[str, str]:
        """Every code, with a file that uses it."""
        found: dict[str, str] = {}
        for path, tree in self._trees.items():
            for value in self._values(tree):
                for text in _texts(value, tree):
                    if KEBAB.fullmatch(text):
                        found.setdefault(text, relative(path))
        return found


def _is_code_key(key: ast.expr | None) -> bool:
    return isinstance(key, ast.Constant) and key.value == "code"


def _texts(value: ast.expr, tree: ast.Module) -> Iterator[str]:
    """The texts an expression can be, looking up names assigned in the same file (two steps far)."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.Name):
        for assigned in _assigned(value.id, tree):
            yield from _texts_below(assigned)
            for node in ast.walk(assigned):
                if isinstance(node, ast.Name):
                    for behind in _assigned(node.id, tree):
                        yield from _texts_below(behind)


def _assigned(name: str, tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            yield node.value


def _texts_below(value: ast.expr) -> Iterator[str]:
    """Texts that are the whole value, one of a dictionary's values, or a default."""
    match value:
        case ast.Constant(value=str(text)):
            yield text
        case ast.Dict(values=values):
            yield from (str(v.value) for v in values if isinstance(v, ast.Constant))
        case ast.IfExp(body=body, orelse=orelse):
            yield from _texts_below(body)
            yield from _texts_below(orelse)
        case ast.Call(args=[_, default]):
            yield from _texts_below(default)


@cache
def _codes() -> dict[str, str]:
    return _Codes(path for path in python_files() if relative(path).startswith("src/ishmael/")).found()


def _fields(*classes: Any) -> set[str]:
    return {field.name for each in classes for field in fields(each)}


# --- what is tested -------------------------------------------------------------------------------------------------

WHOLE_PAGES: dict[str, Callable[[], set[str]]] = {
    "failover.md": lambda: {rule.id for rule in RULES},
    "times.md": lambda: _fields(Times),
    "settings.md": lambda: _fields(Settings, NodeSettings) | {"schema"},
    "profile.md": lambda: _fields(Profile, Unit, FileSet, SqliteSet) | {"schema"},
    "control.md": _asks,
    "checks.md": lambda: {check.id for check in CHECKS} | {check.name for check in CHECKS},
    "notifications.md": lambda: _fields(Monitoring, Mail, Icinga, Ami) | {"schema"},
    "cli.md": _commands,
    "errors.md": lambda: set(_codes()),
}


@pytest.mark.parametrize("name", WHOLE_PAGES)
def test_page_documents_what_the_code_has(name: str) -> None:
    """Each name of the code has an entry in its page: a heading, or the first cell of a table's row."""
    wanted = WHOLE_PAGES[name]()
    assert wanted
    assert sorted(wanted - set(_entries(_page(name)))) == []


@pytest.mark.parametrize("name", ["failover.md", "times.md", "errors.md"])
def test_page_documents_nothing_else(name: str) -> None:
    """An entry that the code no longer has is removed from its page."""
    assert sorted(set(_entries(_page(name))) - WHOLE_PAGES[name]()) == []


@pytest.mark.parametrize("name", ["failover.md", "times.md", "errors.md", "events.md"])
def test_page_documents_each_once(name: str) -> None:
    """What is explained in two places is soon explained in two ways."""
    entries = _entries(_page(name))
    assert sorted({entry for entry in entries if entries.count(entry) > 1}) == []


def test_cli_page_names_every_option() -> None:
    """Every option of every command stands in the page."""
    page = _page("cli.md")
    assert [option for option in sorted(_options()) if not re.search(rf"`{option}[` ]", page)] == []


def test_events_page_is_the_list_of_notices() -> None:
    """Every kind of notice has its entry, and every entry is told somewhere."""
    told, entries = _notices() | set(TOLD_KINDS), _entries(_page("events.md"))
    assert [kind for kind in sorted(told) if not any(re.fullmatch(kind, entry) for entry in entries)] == []
    assert [entry for entry in entries if not any(re.fullmatch(kind, entry) for kind in told)] == []


def test_every_rule_that_is_told_can_be_looked_up() -> None:
    """The rule that stands in an announcement is a row of the protocol, or the number of a group of rows."""
    page = _page("failover.md")
    groups = set(re.findall(r"^\| (\w+) \|", page, re.MULTILINE))
    assert sorted(_told_rules() - groups - set(_entries(page))) == []


def test_glossary_has_the_words_people_meet() -> None:
    """Every role of a node and every state of a cluster is explained."""
    entries = _entries((ROOT / "docs/glossary.md").read_text())
    assert [word for word in (*Role, *ClusterState) if word not in entries] == []


def test_times_page_has_the_defaults() -> None:
    """The second cell of each row is the default."""
    rows = dict(re.findall(r"^\| *`(\w+)` *\| *(\d+) *\|", _page("times.md"), re.MULTILINE))
    assert rows == {field.name: str(field.default) for field in fields(Times)}


def test_times_page_has_the_inequalities() -> None:
    """Everything that is checked of the times stands in the page, in the words of the error."""
    nonsense = Times(**{field.name: -1 for field in fields(Times)})
    rules = {re.sub(r"^.*?: (.*)\.$", r"\1", finding.message) for finding in check_times(nonsense)}
    source = (ROOT / "src/ishmael/words/settings.py").read_text()
    (table,) = (
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "holds" and isinstance(node.value, ast.Dict)
    )
    rules |= {str(key.value) for key in table.keys if isinstance(key, ast.Constant)}
    assert [rule for rule in sorted(rules) if f"`{rule}`" not in _page("times.md")] == []


def test_files_page_names_every_path() -> None:
    """Every path the processes agree on is in the page."""
    paths = {value for name, value in vars(places).items() if name.isupper() and str(value).startswith("/")}
    assert [path for path in sorted(paths) if f"`{path}`" not in _page("files.md")] == []


def test_exit_codes_are_documented() -> None:
    """Every exit code of the command line is in the page of errors."""
    page = _page("errors.md")
    assert [code for code in errors.EXIT_CODES if not re.search(rf"^\| *{code} *\|", page, re.MULTILINE)] == []


def test_codes_are_found() -> None:
    """The search through the code sees literals, tables of codes, and codes passed through functions."""
    seen = set(_codes())
    assert {"manager-down", "disk-readonly", "no-public-key", "unknown-ask", "slave-not-fit", "missing"} <= seen
