"""What a check is: a probe that looks, and a judgement in the words of the Monitoring Plugins convention."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from ishmael.words.monitoring import Monitoring
from ishmael.words.profile import Profile
from ishmael.words.settings import NodeSettings, Settings


class State(IntEnum):
    """Exit codes of the convention."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found.

    Args:
        state: how bad it is.
        output: one line for a person.
        perfdata: measured values by name, each with its unit (``12ms``).
    """

    state: State
    output: str
    perfdata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a probe may know without looking for itself.

    Args:
        keeper: status of this node's keeper; empty when it does not answer.
        settings, profile, own, peer: of the cluster; None outside one.
        monitoring: thresholds and logins.
        files: what the file synchronisation says (``file_lag_ms``, ``differing``).
        events: newest events of both nodes.
        drift: locked files of this node that were changed outside the product.
        version, peer_version: of Ishmael on both nodes; empty while not known.
        last_side: what ``side`` was before the keeper was silent, or was restarted and waits.
    """

    keeper: Mapping[str, Any] = field(default_factory=dict)
    settings: Settings | None = None
    profile: Profile | None = None
    own: NodeSettings | None = None
    peer: NodeSettings | None = None
    monitoring: Monitoring = field(default_factory=Monitoring)
    files: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[Mapping[str, Any]] = ()
    drift: Sequence[str] = ()
    version: str = ""
    peer_version: str = ""
    last_side: str = ""

    @property
    def side(self) -> str:
        """``master``, ``slave``, or empty when this node is neither; while the keeper does not say, what it was."""
        role = self.keeper.get("role", "waiting")
        if role == "waiting":
            return self.last_side
        if role in ("master", "handing"):
            return "master"
        return "slave" if role == "slave" else ""


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Args:
        id: of the table (``N1``).
        name: kebab-case, for the command line.
        title: question it answers, in English and German.
        sides: where it runs: ``master``, ``slave``.
        probe: looks and judges; may raise OSError.
        interval_s: between two looks.
        retry_s: between two looks while a change is not hard yet.
        attempts: equal results in a row that make a change hard.
        limit_s: after this the probe is given up as UNKNOWN.
        hint: what to do, in English and German.
    """

    id: str
    name: str
    title: tuple[str, str]
    sides: frozenset[str]
    probe: Callable[[Seen], Result]
    hint: tuple[str, str]
    interval_s: float = 15.0
    retry_s: float = 3.0
    attempts: int = 3
    limit_s: float = 10.0


MASTER = frozenset({"master"})
SLAVE = frozenset({"slave"})
BOTH = MASTER | SLAVE


def ok(output: str, **perfdata: str) -> Result:
    """All is well."""
    return Result(State.OK, output, perfdata)


def warning(output: str, **perfdata: str) -> Result:
    """Something will go wrong."""
    return Result(State.WARNING, output, perfdata)


def critical(output: str, **perfdata: str) -> Result:
    """Something is wrong."""
    return Result(State.CRITICAL, output, perfdata)


def unknown(output: str) -> Result:
    """Nobody can tell."""
    return Result(State.UNKNOWN, output)


def program(words: Sequence[str], limit_s: float = 8.0, *, given: str = "") -> tuple[int, str]:
    """Run a program in a process group of its own, which is killed when it takes too long.

    Returns:
        Exit code (-1 when it was killed, -2 when it is not there) and what it said.
    """
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}
    try:
        with subprocess.Popen(
            list(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
            start_new_session=True,
        ) as process:  # fmt: skip
            try:
                said, _ = process.communicate(given.encode(), timeout=limit_s)
            except subprocess.TimeoutExpired:
                _kill_group(process.pid)
                process.communicate()
                return -1, f"{words[0]} did not end within {limit_s:.0f} s and was killed"
            return process.returncode, said.decode(errors="replace").strip()
    except OSError as error:
        return -2, f"{words[0]} cannot be run: {error.strerror}"


def _kill_group(pid: int) -> None:
    import os  # noqa: PLC0415
    import signal  # noqa: PLC0415

    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def plugin(words: Sequence[str], limit_s: float = 8.0) -> Result:
    """Run a plugin of the Monitoring Plugins convention; one that says nothing sensible is UNKNOWN."""
    code, said = program(words, limit_s)
    line, _, perf = said.partition("\n")[0].partition("|")
    if code < 0:
        return unknown(said)
    if code > State.UNKNOWN or not line.strip():
        return unknown(f"{words[0]} ended with {code} and said {line.strip()[:80]!r}")
    measured = {}
    for word in perf.split():
        name, equal, value = word.partition("=")
        if equal:
            measured[name.strip("'")] = value
    return Result(State(code), line.strip()[:400], measured)
