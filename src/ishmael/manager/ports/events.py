"""The event list of this node."""

from __future__ import annotations

from typing import Any, Protocol


class Events(Protocol):
    """What the keeper wrote down."""

    def newest(self, limit: int) -> list[dict[str, Any]]:
        """The newest events, oldest of them first."""
        ...
