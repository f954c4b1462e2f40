"""How one check stands: from single results to hard states, flapping, acknowledgement. Pure; the time is given."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from ishmael.checks.base import Check, Result, State

_FLAPS, _FLAP_WINDOW = 6, 20


@dataclass(slots=True)
class Standing:
    """One check on this node.

    Args:
        check: which.
        hard: the state that counts; None before the first.
        since: when it became so, ISO 8601.
        last: newest result.
        attempts: results in a row that differ from the hard state.
        acknowledged: by whom and why; empty for not.
        flapping: it changes too often to tell of each change.
    """

    check: Check
    hard: State | None = None
    since: str = ""
    last: Result | None = None
    attempts: int = 0
    acknowledged: str = ""
    flapping: bool = False
    looked: str = ""
    changes: deque[int] = field(default_factory=lambda: deque(maxlen=_FLAP_WINDOW))

    def take(self, result: Result, at: str) -> list[str]:
        """A new result.

        Returns:
            Kinds of events that follow: ``check-changed``, ``check-flapping``.
        """
        same_soft = self.last is not None and self.last.state == result.state
        self.last, self.looked = result, at
        if result.state == self.hard:
            self.attempts = 0
            self.changes.append(0)
            return self._calm()
        self.attempts = self.attempts + 1 if same_soft else 1
        if self.hard is not None and self.attempts < self.check.attempts:
            return []
        first = self.hard is None
        if first and result.state is not State.OK and self.attempts < self.check.attempts:
            return []
        self.hard, self.since, self.attempts = result.state, at, 0
        if result.state is State.OK:
            self.acknowledged = ""
        self.changes.append(0 if first else 1)
        if sum(self.changes) >= _FLAPS:
            kinds = [] if self.flapping else ["check-flapping"]
            self.flapping = True
            return kinds
        return [] if first and result.state is State.OK else ["check-changed"]

    def _calm(self) -> list[str]:
        if self.flapping and sum(self.changes) <= 1:
            self.flapping = False
            return ["check-changed"]
        return []

    @property
    def due_s(self) -> float:
        """Seconds to the next look."""
        undecided = self.last is not None and self.last.state != self.hard
        return self.check.retry_s if undecided else self.check.interval_s

    def row(self, node: str) -> dict[str, Any]:
        """For ``ishmael checks --json``."""
        state = self.hard if self.hard is not None else State.UNKNOWN
        last = self.last or Result(State.UNKNOWN, "not looked at yet")
        return {
            "id": self.check.id, "name": self.check.name, "title": self.check.title[0], "title_de": self.check.title[1],
            "node": node, "state": (last.state if self.hard is None and self.last else state).name.lower(),
            "hard": self.hard is not None and last.state == self.hard, "now": last.state.name.lower(),
            "since": self.since or None, "looked": self.looked or None, "output": last.output,
            "perfdata": dict(last.perfdata), "hint": self.check.hint[0], "hint_de": self.check.hint[1],
            "acknowledged": self.acknowledged, "flapping": self.flapping,
        }  # fmt: skip
