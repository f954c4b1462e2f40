"""The machine's monotonic clock."""

from __future__ import annotations

import time


class SystemClock:
    """CLOCK_MONOTONIC."""

    def now_s(self) -> float:
        """Seconds of CLOCK_MONOTONIC."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)
