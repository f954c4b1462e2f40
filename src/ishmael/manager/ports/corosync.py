"""Corosync on this node, beyond its files (Files) and its unit (Services)."""

from __future__ import annotations

from typing import Protocol


class Corosync(Protocol):
    """The running Corosync."""

    def installed(self) -> bool:
        """Its programs are there."""
        ...

    def members(self) -> frozenset[int]:
        """Ids of the nodes it sees now; empty when it does not run."""
        ...

    def links(self) -> dict[str, bool] | None:
        """Own address of each link between the nodes, and whether it is connected; none when it cannot tell."""
        ...

    def reload(self) -> None:
        """Let it read its configuration again.

        Raises:
            HostFault: it does not run, or refuses the configuration.
        """
        ...
