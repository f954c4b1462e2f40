"""The checks of this node, as its manager runs them: the door of the other node is a process of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class OwnChecks(Protocol):
    """Every ask raises what the manager refuses with, or HostFault ``manager-down`` when it does not answer."""

    def run(self, check: str) -> Mapping[str, Any]:
        """Look now; how it stands then."""
        ...

    def acknowledge(self, check: str, user: str, why: str) -> Mapping[str, Any]:
        """The admin knows; how it stands then."""
        ...

    def history(self, check: str) -> Sequence[Mapping[str, Any]]:
        """Its last changes, oldest first."""
        ...
