"""The manual page, made from the command line itself: ``python -m ishmael.cli.manual`` (man(7), mdoc(7))."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

from ishmael.words import errors, places
from ishmael.words.versions import OWN_PACKAGE

_MARKUP = re.compile(r"\[/?[a-z ]*\]")
_EXIT_CODES = {
    0: "Done.",
    2: "Usage: the command line is wrong, or a question had nobody to answer it (see \\-\\-yes).",
    3: "Refused; nothing was changed.",
    4: "The other node's fault: it is unreachable, of another version, or answers nonsense.",
    5: "This machine's fault: a disk, a service, a program.",
    70: "A bug in Ishmael. Please report it with what the journal says.",
    130: "Interrupted with Ctrl-C. A job that was begun goes on: see ishmael jobs.",
}
_FILES = {
    places.SETTINGS: "The cluster, the same on both nodes. Changed with ishmael, not by hand.",
    places.PROFILE: "The workload: what the cluster starts, moves and keeps in step.",
    places.MONITORING: "How the admin is told. Optional.",
    places.API_SOCKET: "The manager's REST API; ishmael uses nothing else.",
}
_ABOUT = """\
Two Debian machines share one address, the cluster IP, at which an Asterisk phone system serves. When the
machine that serves fails, the other one takes address and phone system over, and stays master; the former one
waits on standby until it is re\\-added.
.PP
Commands that look ask the manager of this node. Commands that change something are jobs of the manager: a job is
checked first, and everything that stands against it is told at once; it goes on when the terminal is closed, and
after a crash or a reboot. On a terminal each asks back before it begins; \\-\\-yes answers that, \\-\\-dry\\-run
only looks. With \\-\\-json each command answers with one JSON document."""


def _escape(text: str) -> str:
    text = _MARKUP.sub("", text).replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in text.splitlines())


def _options(command: Any) -> Iterator[tuple[str, str]]:
    """What a command takes: names as typed, and what they mean."""
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            yield str(parameter.metavar or parameter.name), str(getattr(parameter, "help", None) or "")
            continue
        if getattr(parameter, "hidden", False) or "--help" in parameter.opts:
            continue
        value = "" if parameter.is_flag else f" {parameter.metavar or (parameter.name or '').upper()}"
        yield ", ".join(f"{name}{value}" for name in parameter.opts), str(parameter.help or "")


def _commands(group: Any, words: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if getattr(command, "hidden", False):
            continue
        full = f"{words} {name}"
        if getattr(command, "commands", None):
            yield from _commands(command, full)
        else:
            yield full, command


def _command(full: str, command: Any) -> Iterator[str]:
    yield f'.SS "{_escape(full)}"'
    yield _escape(str(command.help or "").strip())
    for names, meaning in _options(command):
        yield ".TP"
        yield f"\\fB{_escape(names)}\\fR"
        yield _escape(meaning) or "\\&"


def page(version: str) -> str:
    """The page as man(7) source.

    Args:
        version: of Ishmael, for the footer.
    """
    import typer  # noqa: PLC0415 - only the package's build draws the page

    from ishmael.cli.app import app  # noqa: PLC0415

    lines = [
        f'.TH ISHMAEL 1 "" "{OWN_PACKAGE} {_escape(version)}" "Ishmael"',
        ".SH NAME",
        "ishmael \\- failover cluster of two nodes for Asterisk phone systems",
        ".SH SYNOPSIS",
        "\\fBishmael\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]",
        ".SH DESCRIPTION",
        _ABOUT,
        ".SH COMMANDS",
    ]
    for full, command in _commands(typer.main.get_command(app), "ishmael"):
        lines += _command(full, command)
    lines.append(".SH EXIT STATUS")
    for code in errors.EXIT_CODES:
        lines += [".TP", f"\\fB{code}\\fR", _EXIT_CODES[code]]
    lines.append(".SH FILES")
    for path, meaning in _FILES.items():
        lines += [".TP", f"\\fI{_escape(path)}\\fR", _escape(meaning)]
    lines += [".SH SEE ALSO", "\\fBcorosync\\fR(8), \\fBasterisk\\fR(8), \\fBsystemctl\\fR(1), /usr/share/doc/ishmael"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page(sys.argv[1] if len(sys.argv) > 1 else ""))
