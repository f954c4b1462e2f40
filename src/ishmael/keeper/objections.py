"""Objections of this node's other programs to the slave's fitness: facts with an expiry, kept in memory only.

Whoever objects says so again before it expires; one that dies objects no longer, and must not keep a failover from
happening for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ishmael.keeper.control import refusal

EXPIRES_MS_MAX = 600_000
_TEXT_MAX = 200
_SOURCES_MAX = 32


@dataclass(frozen=True, slots=True)
class _Objection:
    reason: str
    until_ms: int


class Objections:
    """All that stand now.

    Args:
        now_ms: CLOCK_MONOTONIC in ms.
        changed: told what stands, in plain words, whenever that changes; ``""`` for nothing.
    """

    def __init__(self, now_ms: Callable[[], int], changed: Callable[[str], None]) -> None:
        self._now_ms, self._changed = now_ms, changed
        self._of: dict[str, _Objection] = {}
        self._told = ""

    def take(self, ask: dict[str, Any]) -> dict[str, Any]:
        """The ask ``fitness-objection``: object, or with an empty reason take the objection of this source back."""
        source, reason, expires_ms = ask.get("source"), ask.get("reason", ""), ask.get("expires_ms", 0)
        if not isinstance(source, str) or not 0 < len(source) <= 64 or not isinstance(reason, str):
            return refusal("request", "bad-objection", "An objection wants a source and a reason, both text.")
        if not reason:
            self._of.pop(source, None)
        elif type(expires_ms) is not int or not 0 < expires_ms <= EXPIRES_MS_MAX:
            return refusal(
                "request",
                "bad-objection",
                f"expires_ms is {expires_ms!r}, not a number of milliseconds up to {EXPIRES_MS_MAX}.",
            )
        elif source not in self._of and len(self._of) >= _SOURCES_MAX:
            return refusal("request", "bad-objection", f"There are {_SOURCES_MAX} objections already.")
        else:
            self._of[source] = _Objection(reason[:_TEXT_MAX], self._now_ms() + expires_ms)
        self.expire()
        return {"ok": True}

    def expire(self) -> None:
        """Forget what has not been said again; called on every tick."""
        if not self._of and not self._told:
            return
        now_ms = self._now_ms()
        self._of = {source: made for source, made in self._of.items() if made.until_ms > now_ms}
        why = "; ".join(made.reason for _, made in sorted(self._of.items()))
        if why != self._told:
            self._told = why
            self._changed(why)
