"""The states of the workload's units, looked up every few seconds for the status; never waited for."""

from __future__ import annotations

import os
import subprocess

from ishmael.words.profile import Profile

_EVERY_MS = 5000
_LIMIT_MS = 4000


class UnitStates:
    """One ``systemctl show`` at a time. ``states``: unit name to "ActiveState (SubState)"."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._since_ms = -_EVERY_MS
        self._ended: list[subprocess.Popen[bytes]] = []

    @property
    def fd(self) -> int:
        """Readable when the lookup has something to say; -1 when none is under way."""
        if self._process is None or self._process.stdout is None:
            return -1
        return self._process.stdout.fileno()

    def refresh(self, profile: Profile, now_ms: int) -> None:
        """Begin a lookup when it is time; give up one that hangs."""
        if self._process is not None:
            if now_ms - self._since_ms > _LIMIT_MS:
                self._process.kill()
                self._end(b"")
            return
        self._reap()
        if self._ended or not profile.units or now_ms - self._since_ms < _EVERY_MS:
            return
        self._since_ms = now_ms
        names = [unit.name for unit in profile.units]
        argv = ["systemctl", "--no-ask-password", "show", "--property=Id,ActiveState,SubState", *names]
        try:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError:
            self.states = {}

    def read(self) -> None:
        """Take in the answer; it is short enough to come in one piece when the process ends."""
        if self._process is None:
            return
        data = os.read(self.fd, 65536)
        self._end(data)

    def _reap(self) -> None:
        """Take in the ends of former lookups; one that hangs in a dead disk is left to itself, never waited for."""
        self._ended = [process for process in self._ended if process.poll() is None]

    def _end(self, data: bytes) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdout is not None:
            process.stdout.close()
        self._ended.append(process)
        self._reap()
        found: dict[str, str] = {}
        for block in data.decode(errors="replace").split("\n\n"):
            entry = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            if "Id" in entry:
                found[entry["Id"]] = f"{entry.get('ActiveState', '?')} ({entry.get('SubState', '?')})"
        self.states = found
