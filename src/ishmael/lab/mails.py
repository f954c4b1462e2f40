"""Voice mails that are dropped on the master while faults happen: which must be on the new one?

A file is due when it was closed longer before the fault than the longest time that any file had taken to the slave until then,
as measured in the same run, and half a second at least.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ishmael.lab.node import Node

BOX = "var/spool/asterisk/voicemail/soak"
LAG_MS_MIN = 500.0
_BYTES = 30_000
_EVERY_S = 0.1
_LOOK_S = 0.005


class Box:
    """What was dropped in one run.

    Args:
        master, slave: written on one, looked for on the other.
        prefix: of the names.
    """

    def __init__(self, master: Node, slave: Node, prefix: str) -> None:
        self._here, self._there = (Path(f"/proc/{node.init_pid}/root") / BOX for node in (master, slave))
        self._prefix = prefix
        self._closed_s: dict[str, float] = {}
        self._waiting: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mails", daemon=True)
        self.lag_ms = LAG_MS_MIN
        self.due: list[str] = []

    @property
    def count(self) -> int:
        """Files that were dropped."""
        return len(self._closed_s)

    def start(self) -> None:
        """Begin to drop."""
        self._here.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def stop(self) -> None:
        """Drop no more."""
        self._stop.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        next_s = time.monotonic()
        while not self._stop.wait(_LOOK_S):
            now_s = time.monotonic()
            if now_s >= next_s:
                next_s = now_s + _EVERY_S
                name = f"{self._prefix}-{len(self._closed_s):04}.wav"
                (self._here / name).write_bytes(os.urandom(_BYTES))
                self._closed_s[name] = self._waiting[name] = time.monotonic()
            for name in [name for name in self._waiting if self._arrived(name)]:
                self.lag_ms = max(self.lag_ms, round((time.monotonic() - self._waiting.pop(name)) * 1000, 1))

    def _arrived(self, name: str) -> bool:
        try:
            return (self._there / name).exists()
        except OSError:
            # The slave has lost its power.
            return False

    def judge(self, served: Node, fault_s: float) -> tuple[int, list[str]]:
        """How many files are due on the node that serves since the fault, and which of them are not there.

        Args:
            served: the new master.
            fault_s: when it happened, on the host's monotonic clock.
        """
        self.due = [name for name, at_s in self._closed_s.items() if (fault_s - at_s) * 1000 > self.lag_ms]
        return len(self.due), missing(served, self.due)


class Mails:
    """All runs of one soak."""

    def __init__(self) -> None:
        self._boxes: list[Box] = []

    @contextmanager
    def dropping(self, master: Node, slave: Node) -> Iterator[Box]:
        """Drop one every 100 ms for as long as this lasts, or until the box is told to stop."""
        box = Box(master, slave, f"{time.monotonic_ns()}")
        self._boxes.append(box)
        box.start()
        try:
            yield box
        finally:
            box.stop()

    def missing(self, served: Node) -> list[str]:
        """Files that had to be on a new master, and are not on the last one."""
        return missing(served, [name for box in self._boxes for name in box.due])


def missing(node: Node, names: list[str]) -> list[str]:
    """Those that are not there, whole, on a node."""
    place = Path(f"/proc/{node.init_pid}/root") / BOX

    def whole(name: str) -> bool:
        try:
            return (place / name).stat().st_size == _BYTES
        except OSError:
            return False

    return [name for name in names if not whole(name)]
