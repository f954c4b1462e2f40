"""Which failover checks the admin wants to be told of only, as the manager says: a fact with an expiry, in memory only.

A manager that is gone says it no longer, and the failover is back: nothing but a running program can keep it off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ishmael.keeper.control import refusal
from ishmael.keeper.objections import EXPIRES_MS_MAX
from ishmael.words.monitoring import OF_THE_KEEPER


class OnlyNotifiedChecks:
    """What holds now.

    Args:
        now_ms: CLOCK_MONOTONIC in ms.
        changed: told which, whenever that changes.
    """

    def __init__(self, now_ms: Callable[[], int], changed: Callable[[frozenset[str]], None]) -> None:
        self._now_ms, self._changed = now_ms, changed
        self._checks: frozenset[str] = frozenset()
        self._until_ms = 0

    def take(self, ask: dict[str, Any]) -> dict[str, Any]:
        """The ask ``only-notify``: these checks, for so long; none takes all of it back."""
        checks, expires_ms = ask.get("checks"), ask.get("expires_ms")
        if not isinstance(checks, list) or not set(map(str, checks)) <= OF_THE_KEEPER:
            known = ", ".join(sorted(OF_THE_KEEPER))
            return refusal("request", "bad-only-notify", f"checks is {checks!r}, not a list of {known}.")
        if type(expires_ms) is not int or not 0 < expires_ms <= EXPIRES_MS_MAX:
            why = f"expires_ms is {expires_ms!r}, not a number of milliseconds up to {EXPIRES_MS_MAX}."
            return refusal("request", "bad-only-notify", why)
        self._until_ms = self._now_ms() + expires_ms
        self._change(frozenset(map(str, checks)))
        return {"ok": True}

    def expire(self) -> None:
        """Forget what has not been said again; called on every tick."""
        if self._checks and self._now_ms() >= self._until_ms:
            self._change(frozenset())

    def _change(self, checks: frozenset[str]) -> None:
        if checks != self._checks:
            self._checks = checks
            self._changed(checks)
