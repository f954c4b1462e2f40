"""Virtual time: what happens when. Nothing here waits; a minute costs as much as its events."""

from __future__ import annotations

import heapq
from collections.abc import Callable


class Agenda:
    """A queue of happenings in the order of their time; equal times keep the order they were noted in.

    Args:
        after_each: called after every happening (the invariants).
    """

    def __init__(self, after_each: Callable[[], None] | None = None) -> None:
        self.now_ms = 0.0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._noted = 0
        self._after_each = after_each or (lambda: None)

    def at(self, when_ms: float, what: Callable[[], None]) -> None:
        """Note ``what`` for a moment in true time, ms; the past means now."""
        self._noted += 1
        heapq.heappush(self._queue, (max(when_ms, self.now_ms), self._noted, what))

    def after(self, delay_ms: float, what: Callable[[], None]) -> None:
        """Note ``what`` for ``delay_ms`` from now."""
        self.at(self.now_ms + delay_ms, what)

    def run_until(self, end_ms: float) -> None:
        """Let everything happen up to a moment in true time, ms."""
        queue, after_each = self._queue, self._after_each
        while queue and queue[0][0] <= end_ms:
            when_ms, _, what = heapq.heappop(queue)
            self.now_ms = when_ms
            what()
            after_each()
        self.now_ms = max(self.now_ms, end_ms)

    def run_for(self, span_ms: float) -> None:
        """Let everything happen for ``span_ms``."""
        self.run_until(self.now_ms + span_ms)
