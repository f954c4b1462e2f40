"""The flight recorder: the last events and notices, kept in memory; ``replay`` feeds them through the core again."""

from __future__ import annotations

from collections import deque
from typing import Any

from ishmael.core.events import Event

_EVENTS_KEPT = 4000
_NOTICES_KEPT = 200


class FlightRecorder:
    """Two rings; noting costs no I/O."""

    def __init__(self) -> None:
        self.events: deque[tuple[int, Event, tuple[str, ...]]] = deque(maxlen=_EVENTS_KEPT)
        self.notices: deque[dict[str, Any]] = deque(maxlen=_NOTICES_KEPT)

    def note(self, now_ms: int, event: Event, rules: tuple[str, ...]) -> None:
        """Keep an event and the rules it led to."""
        self.events.append((now_ms, event, rules))

    def tell(self, entry: dict[str, Any]) -> None:
        """Keep a notice as it went to the event list."""
        self.notices.append(entry)

    def dump(self) -> list[dict[str, Any]]:
        """The events as text, oldest first."""
        return [{"at_ms": at, "event": repr(event), "rules": list(rules)} for at, event, rules in self.events]
