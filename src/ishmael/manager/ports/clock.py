"""Time to wait with."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """A clock that never jumps; a virtual one in tests."""

    def now_s(self) -> float:
        """Seconds since some moment."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...
