"""Is the slave in step? Told by canary rows: written here, seen to be flushed and applied there.

A canary is written every 200 ms and does not wait. The slave reports what it has flushed at once, and what it has
applied with its next report, so a canary proves its successor's predecessor: with one every 200 ms the slave's lag in
applying is known to about that. Only the slave's delay counts: while this server is slow to write, no canary is due.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ishmael.dbwatch.session import Session, Sight

_SING_S = 0.2
_FLUSH_S = 0.3
"""A canary that the slave has not flushed after so long is overdue."""
_APPLY_S = 1.0
"""And not applied after so long."""
_STALL_S = 0.5
"""Out of step for so long, and it is said; rule 2's stall."""
_KEPT = 600


class InStep:
    """Watches one slave.

    Args:
        now_s: a monotonic clock.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._songs: deque[tuple[int, float]] = deque(maxlen=_KEPT)
        self._applied_s = -1.0
        self._sung_s = -1.0
        self._good_s = -1.0
        self._barrier = 0
        self._passed = False

    def begin(self) -> None:
        """Another session, another timeline: what was sung before proves nothing."""
        self._songs.clear()
        self._applied_s = self._sung_s = self._good_s = -1.0

    def must_have(self, position: int) -> None:
        """In step only once the slave has flushed so far."""
        self._barrier, self._passed = position, False

    def look(self, session: Session, sight: Sight) -> None:
        """Take in what the slave has, and sing when it is time."""
        now_s = self._now_s()
        follower = sight.follower
        if follower is not None and follower.streams:
            while self._songs and self._songs[0][0] <= min(follower.replayed, follower.flushed):
                self._applied_s = self._songs.popleft()[1]
            self._passed = self._passed or follower.flushed >= self._barrier
            if not self._overdue(now_s, follower.flushed):
                self._good_s = now_s
        if now_s - self._sung_s >= _SING_S:
            self._sung_s = now_s
            position = session.sing()
            self._songs.append((position, self._now_s()))

    def _overdue(self, now_s: float, flushed: int) -> bool:
        unflushed = next((at for position, at in self._songs if position > flushed), now_s)
        unapplied = self._songs[0][1] if self._songs else now_s
        return now_s - unflushed > _FLUSH_S or now_s - unapplied > _APPLY_S

    def verdict(self, sight: Sight) -> tuple[bool, str]:
        """In step, and why not."""
        streams = sight.follower is not None and sight.follower.streams
        if self._good_s < 0 or self._now_s() - self._good_s > _STALL_S:
            return False, "the slave is behind" if streams else "the slave does not stream"
        return (True, "") if self._passed else (False, "the slave does not have everything yet")

    def lag_bytes(self, sight: Sight) -> int | None:
        """Log that the slave has not applied; None while it is not connected."""
        return max(0, sight.position - sight.follower.replayed) if sight.follower is not None else None

    def canary_age_ms(self) -> int | None:
        """Age of the newest canary the slave has applied; None before any."""
        return int((self._now_s() - self._applied_s) * 1000) if self._applied_s >= 0 else None
