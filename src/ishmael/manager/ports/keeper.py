"""The keeper of this node, asked over its control socket."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

RECENT_S = 0.5
"""Recent enough for a watch that looks again soon."""


class Keeper(Protocol):
    """Every ask raises the keeper's own error, or HostFault ``keeper-down`` when it does not answer."""

    def status(self, max_age_s: float = 0.0) -> Mapping[str, Any]:
        """What the keeper knows: role, epoch, master, peer, fitness, what blocks a failover.

        Args:
            max_age_s: an answer that is no older will do; watches that look every second need not all wake the keeper.
        """
        ...

    def reload(self) -> None:
        """Read the settings and the profile again."""
        ...

    def form(self) -> None:
        """Become the first master; returns when the record is saved and the address is up."""
        ...

    def admit(self, node: int) -> None:
        """Let the node in standby be slave again."""
        ...

    def dismiss(self, node: int) -> None:
        """The slave is being removed."""
        ...

    def switch(self, why: str = "") -> None:
        """Hand over to the slave; returns when the slave serves."""
        ...

    def serve(self) -> None:
        """Serve, for nobody else does; returns when it does."""
        ...

    def object_to_fitness(self, source: str, reason: str, expires_ms: int) -> None:
        """Say why the slave must not take over, for so long; an empty reason takes this source's objection back."""
        ...

    def only_notify(self, checks: Collection[str], expires_ms: int) -> None:
        """Say which of F1, F2 and F4 move nothing, for so long."""
        ...

    def tell(self, kind: str, why: str, facts: Mapping[str, Any]) -> None:
        """Put an event into the one list of both nodes; the kind is one of ``words.told``."""
        ...

    def forget(self) -> None:
        """Drop everything and delete the record."""
        ...
