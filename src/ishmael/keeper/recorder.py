"""The flight recorder: the last events in memory, and the state they began with; ``ishmael replay`` feeds them through the core.

Noting costs no I/O: a state, once returned by the core, stays as it is, so keeping one is keeping a reference. Writing it all
down takes longer than a tick: a forked process does that.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from ishmael.core.events import Event
from ishmael.core.recording import to_plain
from ishmael.core.state import State
from ishmael.keeper.disk import write_atomically

RECORDING_SCHEMA = 1
_PART_EVENTS = 6000


class FlightRecorder:
    """Two parts of events, each with the state before its first; the older one is forgotten when the newer is full."""

    def __init__(self) -> None:
        self._parts: list[tuple[State, list[tuple[int, Event, tuple[str, ...]]]]] = []
        self._writer = 0

    def note(self, before: State, now_ms: int, event: Event, rules: tuple[str, ...]) -> None:
        """Keep an event and the rules it led to."""
        if not self._parts or len(self._parts[-1][1]) >= _PART_EVENTS:
            self._parts = [*self._parts[-1:], (before, [])]
        self._parts[-1][1].append((now_ms, event, rules))

    def dump(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        state = to_plain(self._parts[0][0]) if self._parts else None
        noted = [entry for _, entries in self._parts for entry in entries]
        events = [[at_ms, to_plain(event), list(rules)] for at_ms, event, rules in noted]
        return {"schema": RECORDING_SCHEMA, "state": state, "events": events}

    def write(self, path: Path) -> bool:
        """Have a process of its own write it down; false while one is still at it. Never waits."""
        if self._writer and not os.waitpid(self._writer, os.WNOHANG)[0]:
            return False
        path.unlink(missing_ok=True)
        self._writer = os.fork()
        if self._writer == 0:
            _write(path, self)
        return True


def _write(path: Path, recorder: FlightRecorder) -> None:
    """The process that writes: it holds none of the keeper's descriptors, whose ends others watch."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        os.closerange(3, 1 << 20)
        os.setpriority(os.PRIO_PROCESS, 0, 10)
        write_atomically(path, json.dumps(recorder.dump(), separators=(",", ":")).encode())
        code = 0
    finally:
        os._exit(code)
