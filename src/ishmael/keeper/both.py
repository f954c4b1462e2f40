"""Services and database as one: opening and closing have ended when both have."""

from __future__ import annotations

from collections.abc import Callable


class Both:
    """Waits for the ends of what was ordered last.

    Args:
        ended: told (opened, failures in plain words) once.
    """

    def __init__(self, ended: Callable[[bool, list[str]], None]) -> None:
        self._ended = ended
        self._opening: bool | None = None
        self._waits: set[str] = set()
        self._failures: list[str] = []

    def begin(self, opening: bool, *parts: str) -> None:
        """An order went out to these parts; what earlier orders come to is of no interest any more."""
        self._opening, self._waits, self._failures = opening, set(parts), []

    def end(self, part: str, opened: bool, failures: list[str]) -> None:
        """A part has done what it was ordered, or could not."""
        if opened is not self._opening or part not in self._waits:
            return
        self._waits.discard(part)
        self._failures += failures
        if not self._waits:
            self._opening = None
            self._ended(opened, self._failures)
