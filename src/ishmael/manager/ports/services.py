"""Services of this machine, by the names of their units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Services(Protocol):
    """What systemd does for us; acting calls raise HostFault with the unit's own words when they fail."""

    def exists(self, unit: str) -> bool:
        """There is such a unit."""
        ...

    def enabled(self, unit: str) -> bool:
        """It is started at boot."""
        ...

    def active(self, unit: str) -> bool:
        """It runs."""
        ...

    def standings(self, units: Sequence[str]) -> dict[str, tuple[str, int]]:
        """Of each unit its state in systemd's word, and how often systemd has started it again by itself; one look for all."""
        ...

    def enable(self, unit: str) -> None:
        """Start it at boot from now on."""
        ...

    def disable(self, unit: str) -> None:
        """Do not start it at boot."""
        ...

    def start(self, unit: str) -> None:
        """Start it; returns when it has started."""
        ...

    def stop(self, unit: str) -> None:
        """Stop it; returns when it has stopped."""
        ...

    def begin_stop(self, unit: str) -> None:
        """Let it stop; returns at once, and the end shows in ``active`` or by ``stop``."""
        ...

    def restart(self, unit: str) -> None:
        """Stop and start it."""
        ...
