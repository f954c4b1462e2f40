"""The workload through systemd: started, stopped and killed by ``systemctl``, each with a time limit, nothing waits.

One plan runs at a time; a new one supersedes the old. Processes are watched by pidfd (pidfd_open(2)).
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from ishmael.words.profile import Profile, Unit


@dataclass(frozen=True, slots=True)
class Action:
    """One process of a plan.

    Args:
        argv: what to run.
        limit_ms: then it is killed and counts as failed.
        what: in plain words, for the report.
        needed: its failure makes the plan fail.
        otherwise: run instead when it failed or was late.
    """

    argv: tuple[str, ...]
    limit_ms: int
    what: str
    needed: bool = True
    otherwise: Action | None = None


def _systemctl(verb: str, unit: Unit, limit_ms: int, *options: str, needed: bool = True) -> Action:
    argv = ("systemctl", "--no-ask-password", "--quiet", verb, *options, unit.name)
    return Action(argv, limit_ms, f"{verb} {unit.name}", needed)


def opening(profile: Profile) -> list[Action]:
    """Open: start what is not running yet, in order; then the profile's commands."""
    starts = [_systemctl("start", unit, unit.start_ms) for unit in profile.units]
    commands = [Action(argv, profile.command_ms, " ".join(argv), needed=False) for argv in profile.on_open]
    return starts + commands


def warming(profile: Profile) -> list[Action]:
    """Keep warm: start what a slave runs as well."""
    return [_systemctl("start", unit, unit.start_ms) for unit in profile.units if unit.warm]


def closing(profile: Profile, limit_ms: int) -> list[Action]:
    """Close, in reverse order: killed at once, or stopped within its limit and then killed."""
    actions: list[Action] = []
    for unit in reversed(profile.units):
        kill = _systemctl("kill", unit, 2000, "--signal=SIGKILL", needed=False)
        if unit.on_close == "kill":
            actions.append(kill)
        else:
            stop = _systemctl("stop", unit, min(unit.stop_ms, limit_ms))
            actions.append(Action(stop.argv, stop.limit_ms, stop.what, otherwise=kill))
    return actions


def stopping(profile: Profile) -> list[Action]:
    """Stop everything, warm units too: the node leaves the cluster."""
    return [_systemctl("stop", unit, unit.stop_ms, needed=False) for unit in reversed(profile.units)]


@dataclass(slots=True)
class _Running:
    process: subprocess.Popen[bytes]
    pidfd: int
    deadline_ms: int
    action: Action


class Plan:
    """Actions run one after the other.

    Args:
        actions: in order.
        ended: called once, with the failures in plain words (empty: all went well).
    """

    def __init__(self, actions: list[Action], ended: Callable[[list[str]], None]) -> None:
        self._left = list(actions)
        self._ended = ended
        self._failures: list[str] = []
        self._running: _Running | None = None

    @property
    def fd(self) -> int:
        """Readable when the process under way has ended; -1 when none is."""
        return self._running.pidfd if self._running is not None else -1

    def advance(self, now_ms: int) -> bool:
        """Go on as far as possible without waiting; false when the plan has ended."""
        while True:
            if self._running is not None and not self._finish(now_ms):
                return True
            if not self._left:
                ended, self._ended = self._ended, _nobody
                ended(self._failures)
                return False
            self._start(self._left.pop(0), now_ms)

    def _start(self, action: Action, now_ms: int) -> None:
        try:
            process = subprocess.Popen(
                action.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            self._failed(action, error.strerror or str(error))
            return
        self._running = _Running(process, os.pidfd_open(process.pid), now_ms + action.limit_ms, action)

    def _finish(self, now_ms: int) -> bool:
        """Take in the end of the process under way; false while it runs within its limit."""
        run = self._running
        if run is None:
            return True
        code = run.process.poll()
        if code is None and now_ms < run.deadline_ms:
            return False
        if code is None:
            # Not waited for: it may hang in a dead disk. The subprocess module takes its end in later.
            run.process.send_signal(signal.SIGKILL)
        os.close(run.pidfd)
        self._running = None
        if code is None:
            self._failed(run.action, f"not done in {run.action.limit_ms} ms")
        elif code != 0:
            self._failed(run.action, f"exit code {code}")
        return True

    def _failed(self, action: Action, why: str) -> None:
        if action.needed:
            self._failures.append(f"{action.what}: {why}")
        if action.otherwise is not None:
            self._left.insert(0, action.otherwise)

    def supersede(self) -> None:
        """Forget the rest; what runs is left to end by itself within its limit."""
        self._left.clear()
        self._ended = _nobody


def _nobody(_failures: list[str]) -> None:
    """Nobody waits for a superseded plan."""
