"""The end of an outage as people see it: the first call that is answered after a node became master."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ishmael.manager.ports.events import Events
from ishmael.manager.ports.hands import Hands
from ishmael.words.errors import IshmaelError

log = logging.getLogger(__name__)
LOOK_S = 1.0
ASK_S = 0.25
FOR_S = 600.0
_NEWEST = 60


class FirstCall:
    """A background task: notices that this node became master, asks Asterisk four times a second until a call is answered.

    Nothing of the failover waits for it. A call that is shorter than a quarter of a second may escape it.

    Args:
        hands: ports to ask with.
        events: the event list.
        now: wall time, UTC.
    """

    name = "first call"

    def __init__(self, hands: Hands, events: Events, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._hands, self._events, self._now = hands, events, now
        self._done = ""

    def run(self, stop: threading.Event) -> None:
        """Look until told to stop."""
        while not stop.wait(LOOK_S):
            move = self.awaited()
            if move is not None:
                self._wait_for_call(move, stop)

    def awaited(self) -> Mapping[str, Any] | None:
        """The newest move, when it was to this node, not long ago, and no call after it has been told."""
        moves = [e for e in self._events.newest(_NEWEST) if e.get("kind") in ("became-master", "first-call")]
        if not moves or moves[-1].get("kind") == "first-call":
            return None
        move = moves[-1]
        ours = move.get("node") == self._hands.host.name() and move.get("rule") != "form"
        if not ours or move.get("id") == self._done or self._age_s(move) > FOR_S:
            return None
        return move

    def _age_s(self, move: Mapping[str, Any]) -> float:
        try:
            return (self._now() - datetime.fromisoformat(str(move["at"]))).total_seconds()
        except (KeyError, ValueError, TypeError):
            return FOR_S + 1

    def _wait_for_call(self, move: Mapping[str, Any], stop: threading.Event) -> None:
        end_s = time.monotonic() + FOR_S
        looked_s = time.monotonic()
        while time.monotonic() < end_s and not stop.wait(ASK_S):
            if self.ask(move):
                return
            if time.monotonic() - looked_s > LOOK_S:
                looked_s = time.monotonic()
                if self.awaited() is None:
                    return
        self._done = str(move.get("id"))

    def ask(self, move: Mapping[str, Any]) -> bool:
        """Ask Asterisk once, and tell; whether a call was answered."""
        channel = self._hands.surroundings.answered_channel()
        if not channel:
            return False
        self._done = str(move.get("id"))
        after_ms = round(self._age_s(move) * 1000)
        facts = {"channel": channel, "after_ms": after_ms, "looked_every_ms": round(ASK_S * 1000)}
        try:
            self._hands.keeper.tell("first-call", "The first call after the move was answered.", facts)
        except IshmaelError as error:
            log.warning("the first call cannot be told: %s", error)
        return True
