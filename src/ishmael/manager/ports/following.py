"""The files that follow, as the manager of this node knows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Following(Protocol):
    """Asked on the master."""

    def settle(self, limit_ms: int) -> Mapping[str, Any]:
        """Wait until the slave has every file.

        Args:
            limit_ms: for how long at most, in milliseconds.

        Returns:
            ``settled``: true, false, or null when no slave takes files; ``files.waiting``: names that are not there yet.

        Raises:
            HostFault: the manager does not answer.
        """
        ...
