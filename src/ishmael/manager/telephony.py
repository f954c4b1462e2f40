"""How many calls are up and how many phones are registered, for who looks; asked in the background, for it takes a while."""

from __future__ import annotations

import threading
import time
from typing import Any

from ishmael.manager.ports.surroundings import Surroundings

_KEPT_S = 5.0
_STALE_S = 30.0


class Telephony:
    """Asks this node's Asterisk, as long as somebody wants to know, and never lets the asker wait.

    Args:
        surroundings: looks.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._lock = threading.Lock()
        self._asking = False
        self._asked_s = float("-inf")
        self._seen: tuple[int | None, int | None] = (None, None)

    def facts(self) -> dict[str, Any]:
        """``calls`` and ``phones`` as they were a few seconds ago; null where it is not known."""
        with self._lock:
            now_s = time.monotonic()
            age_s = now_s - self._asked_s
            if age_s > _KEPT_S and not self._asking:
                self._asking = True
                threading.Thread(target=self._ask, name="telephony", daemon=True).start()
            calls, phones = self._seen if age_s < _STALE_S else (None, None)
        return {"calls": calls, "phones": phones}

    def _ask(self) -> None:
        seen: tuple[int | None, int | None] = (None, None)
        try:
            calls = self._surroundings.calls()
            seen = (calls, None if calls is None else self._surroundings.phones())
        finally:
            with self._lock:
                self._seen, self._asked_s, self._asking = seen, time.monotonic(), False
