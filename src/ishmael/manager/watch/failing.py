"""A service of the master that does not stay up: told, and handed over where the profile says so.

systemd starts again what dies. A service that died so often, or has been down for so long, will not be helped by one more
start; perhaps it is by the other machine.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ishmael.manager.data.situation import Looking
from ishmael.manager.ports.hands import Hands
from ishmael.words.errors import IshmaelError
from ishmael.words.profile import Profile, Unit

log = logging.getLogger(__name__)
LOOK_S = 1.0
RESTARTS = 3
WITHIN_S = 120.0
DOWN_S = 15.0
AGAIN_S = 30.0
_SETTLE_S = 10.0
_RUNS = ("active", "reloading")


@dataclass
class Seen:
    """What is known of one unit.

    Args:
        restarts: systemd's count of its own restarts; -1 before the first look.
        at_s: when each of the newest ones was noticed, on the monotonic clock.
        down_s: since when it has not run; negative while it runs.
        told: it was told, and has not been well since.
    """

    restarts: int = -1
    at_s: deque[float] = field(default_factory=deque)
    down_s: float = -1.0
    told: bool = False

    def take(self, state: str, restarts: int, now_s: float) -> str:
        """One look; what is wrong, in plain words, or ``""``."""
        if 0 <= self.restarts < restarts:
            self.at_s.extend([now_s] * (restarts - self.restarts))
        self.restarts = restarts
        while self.at_s and now_s - self.at_s[0] > WITHIN_S:
            self.at_s.popleft()
        runs = state in _RUNS
        self.down_s = -1.0 if runs else self.down_s if self.down_s >= 0 else now_s
        if len(self.at_s) >= RESTARTS:
            return f"it died {len(self.at_s)} times within {WITHIN_S:.0f} s"
        if state == "failed":
            return "it failed, and systemd does not start it again"
        if not runs and now_s - self.down_s >= DOWN_S:
            return f"it has been {state} for {now_s - self.down_s:.0f} s"
        return ""


class FailingServices:
    """A background task of the master.

    Args:
        hands: ports to look with, and the keeper.
    """

    name = "failing services"

    def __init__(self, hands: Hands) -> None:
        self._hands, self._looking = hands, Looking(hands)
        self._seen: dict[str, Seen] = {}
        self._master_s = -1.0
        self._asked_s = -AGAIN_S

    def run(self, stop: threading.Event) -> None:
        """Look until told to stop."""
        while not stop.wait(LOOK_S):
            try:
                self.look(time.monotonic())
            except IshmaelError as error:
                log.warning("services cannot be looked at: %s", error)

    def look(self, now_s: float) -> None:
        """Look once. What a node did before it was master, and while its services were being opened, counts for nothing.

        Args:
            now_s: CLOCK_MONOTONIC.

        Raises:
            IshmaelError: systemd or the keeper does not answer.
        """
        now = self._looking.situation()
        if not now.serves or now.profile is None:
            self._master_s, self._seen = -1.0, {}
            return
        if self._master_s < 0:
            self._master_s = now_s
        if now_s - self._master_s < _SETTLE_S:
            return
        for unit, wrong in self._wrong(now.profile, now_s):
            self._act(unit, wrong, now_s)

    def _wrong(self, profile: Profile, now_s: float) -> list[tuple[Unit, str]]:
        standings = self._hands.services.standings([unit.name for unit in profile.units])
        found = []
        for unit in profile.units:
            state, restarts = standings.get(unit.name, ("unknown", 0))
            if state == "unknown":
                continue
            seen = self._seen.setdefault(unit.name, Seen())
            wrong = seen.take(state, restarts, now_s)
            if wrong:
                found.append((unit, wrong))
            else:
                seen.told = False
        return found

    def _act(self, unit: Unit, wrong: str, now_s: float) -> None:
        seen, hands_over = self._seen[unit.name], unit.when_failing == "hand-over"
        if not seen.told:
            seen.told = True
            facts: Mapping[str, Any] = {"unit": unit.name, "policy": unit.when_failing, "restarts": len(seen.at_s)}
            then = "The profile says: hand over." if hands_over else "The profile says: nothing moves for that."
            self._hands.keeper.tell("service-failing", f"{unit.name} does not stay up: {wrong}. {then}", facts)
        if hands_over and now_s - self._asked_s >= AGAIN_S:
            self._asked_s = now_s
            try:
                self._hands.keeper.switch(f"{unit.name} does not stay up: {wrong}.")
            except IshmaelError as error:
                # A slave that is not fit is told by the keeper itself; it is asked again later.
                log.warning("%s does not stay up and cannot be handed over: %s", unit.name, error)
