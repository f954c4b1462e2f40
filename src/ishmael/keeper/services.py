"""Which plan of the workload runs: open, close or warm. The newest wins; older ones are only waited for."""

from __future__ import annotations

from collections.abc import Callable

from ishmael.keeper.workload import Plan, closing, opening, stopping, warming
from ishmael.words.profile import Profile


class Services:
    """The workload as the driver sees it.

    Args:
        ended: called with (opened, failures) when an open or a close has ended; not after warming.
    """

    def __init__(self, ended: Callable[[bool, list[str]], None]) -> None:
        self.profile = Profile("none")
        self._ended = ended
        self._plans: list[Plan] = []
        self._warm_next = False
        self._closing = False

    def fds(self) -> list[int]:
        """Descriptors that become readable when a process ends."""
        return [plan.fd for plan in self._plans if plan.fd >= 0]

    def open(self) -> None:
        """Open; ends with ``ended(True, failures)``."""
        self._closing = False
        self._begin(Plan(opening(self.profile), lambda failures: self._ended(True, failures)))

    def close(self, limit_ms: int) -> None:
        """Close; ends with ``ended(False, failures)``."""
        self._closing = True
        self._begin(Plan(closing(self.profile, limit_ms), self._closed))

    def warm(self) -> None:
        """Start what a slave runs warm; after a close under way has ended."""
        if self._closing:
            self._warm_next = True
        else:
            self._begin(Plan(warming(self.profile), _ignore))

    def stop(self) -> None:
        """Stop everything: this node leaves the cluster."""
        self._begin(Plan(stopping(self.profile), _ignore))

    def _closed(self, failures: list[str]) -> None:
        self._closing = False
        self._ended(False, failures)
        if self._warm_next:
            self.warm()

    def _begin(self, plan: Plan) -> None:
        self._warm_next = False
        for old in self._plans:
            old.supersede()
        self._plans.append(plan)

    def advance(self, now_ms: int) -> None:
        """Go on with every plan as far as possible without waiting."""
        for plan in list(self._plans):
            if not plan.advance(now_ms):
                self._plans.remove(plan)


def _ignore(_failures: list[str]) -> None:
    """A warm start that failed shows in the unit's state; the slave serves cold then."""
