"""The keeper's side of the watch over the database (ishmael-dbwatch): says what is wanted, hears how it is.

The socket never makes the keeper wait: a line that does not go out now goes out with the next tick. While the watch is
away what it said last stands for a while: it is restarted in a moment, and the database goes on as it was meanwhile.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

SILENCE_MS_MAX = 5000
"""A watch that says nothing for longer knows nothing."""
_AGAIN_MS = 500
_CONNECT_MS = 100
_LINE_MAX_BYTES = 65536


class DatabaseLink:
    """The database as the driver sees it.

    Args:
        path: socket of the watch.
        now_ms: CLOCK_MONOTONIC in ms.
        ended: told (opened, why not) when the wished mode is reached, or has failed for good in its time.
        switched: told what is true for commits now, once after each order.
        reported: told (in step, why not) when that changes.

    ``generation`` counts connections: a number may come back for another one.
    """

    def __init__(
        self,
        path: Path,
        now_ms: Callable[[], int],
        ended: Callable[[bool, str], None],
        switched: Callable[[bool], None],
        reported: Callable[[bool, str], None],
    ) -> None:
        self._path, self._now_ms = path, now_ms
        self._ended, self._switched, self._reported = ended, switched, reported
        self.managed = False
        self.facts: dict[str, Any] = {}
        self.generation = 0
        self._wire: socket.socket | None = None
        self._in = b""
        self._wanted: dict[str, Any] = {"n": now_ms(), "mode": "idle", "synchronous": False, "peer": 0}
        self._waits_until_ms = -1
        self._switching = False
        self._told: tuple[bool, str] | None = None
        self._sent_ms = self._heard_ms = self._tried_ms = -_AGAIN_MS

    # --- orders -----------------------------------------------------------------------------------------------------

    def configure(self, *, managed: bool, peer: int) -> None:
        """Whether there is a database, and who may follow it."""
        self.managed = managed
        if not managed:
            self._hang_up()
            self.facts = {}
        if self._wanted["peer"] != peer:
            self._want(peer=peer)

    def open(self, limit_ms: int) -> None:
        """Let it be written to here; ends with ``ended(True, ...)``."""
        self._order("open", limit_ms)

    def close(self, limit_ms: int) -> None:
        """Stop it within the limit; ends with ``ended(False, ...)``."""
        self._order("closed", limit_ms + 1000, stop_ms=limit_ms)

    def warm(self) -> None:
        """Follow the other node."""
        self._order("warm", -1)

    def synchronous(self, on: bool, *, once_caught_up: bool) -> None:
        """Commits wait for the slave, or do not; ends with ``switched``."""
        self._switching = True
        self._want(synchronous=on, once_caught_up=once_caught_up)

    def _order(self, mode: str, limit_ms: int, **more: int) -> None:
        self._waits_until_ms = self._now_ms() + limit_ms if limit_ms >= 0 else -1
        if mode != "open":
            self._switching = False
            more["synchronous"] = False
        self._want(mode=mode, **more)

    def _want(self, **changes: Any) -> None:
        self._wanted = {**self._wanted, **changes, "n": max(self._wanted["n"] + 1, self._now_ms())}
        self._told = None
        self._say()

    # --- the wire ---------------------------------------------------------------------------------------------------

    @property
    def fd(self) -> int:
        """Readable when the watch says something; -1 while it is away."""
        return self._wire.fileno() if self._wire is not None else -1

    def tick(self) -> None:
        """Connect, say it again, give up what takes too long."""
        if not self.managed:
            return
        now_ms = self._now_ms()
        if self._wire is None and now_ms - self._tried_ms >= _CONNECT_MS:
            self._tried_ms = now_ms
            self._connect()
        if now_ms - self._sent_ms >= _AGAIN_MS:
            self._say()
        if 0 <= self._waits_until_ms < now_ms:
            self._end(str(self.facts.get("failed") or "the watch over the database does not answer"))
        if now_ms - self._heard_ms > SILENCE_MS_MAX:
            self._report(False, "the watch over the database does not answer")

    def _connect(self) -> None:
        wire = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            wire.connect(str(self._path))
        except OSError:
            wire.close()
            return
        self._wire, self._in = wire, b""
        self.generation += 1
        self._say()

    def _say(self) -> None:
        if self._wire is None:
            return
        self._sent_ms = self._now_ms()
        try:
            self._wire.send(json.dumps(self._wanted).encode() + b"\n")
        except BlockingIOError:
            return
        except OSError:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._wire is not None:
            self._wire.close()
        self._wire, self._in = None, b""

    def read(self) -> None:
        """Take in what the watch said; only the newest line counts."""
        if self._wire is None:
            return
        try:
            data = self._wire.recv(_LINE_MAX_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        *lines, self._in = (self._in + data).split(b"\n")
        if not data or len(self._in) > _LINE_MAX_BYTES:
            self._hang_up()
            return
        if lines:
            self._take(lines[-1])

    def _take(self, line: bytes) -> None:
        try:
            facts = json.loads(line)
        except ValueError:
            return
        if not isinstance(facts, dict):
            return
        self._heard_ms = self._now_ms()
        # Found under an earlier wish: it says nothing about this one.
        if facts.get("n") != self._wanted["n"]:
            return
        self.facts = facts
        if facts.get("done") and self._waits_until_ms >= 0:
            self._end("")
        if self._switching and facts.get("synchronous") is self._wanted["synchronous"]:
            self._switching, self._told = False, None
            self._switched(bool(self._wanted["synchronous"]))
        else:
            # Before the switch is done nothing proves that the slave has all.
            in_step = bool(facts.get("in_step")) and not self._switching
            self._report(in_step, "" if in_step else str(facts.get("why") or "the slave catches up"))

    def _end(self, why: str) -> None:
        self._waits_until_ms = -1
        self._ended(self._wanted["mode"] == "open", why)

    def _report(self, in_step: bool, why: str) -> None:
        if self._wanted["mode"] == "open" and (in_step, why) != self._told:
            self._told = (in_step, why)
            self._reported(in_step, why)
