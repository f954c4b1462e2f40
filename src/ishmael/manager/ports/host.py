"""This machine itself."""

from __future__ import annotations

from typing import Protocol


class Host(Protocol):
    """Facts about this machine."""

    def name(self) -> str:
        """Its host name."""
        ...

    def set_name(self, name: str) -> None:
        """Give it another host name, also after the next boot.

        Raises:
            HostFault: systemd refuses.
        """
        ...

    def architecture(self) -> str:
        """Such as ``x86_64``."""
        ...

    def version(self) -> str:
        """The installed version of Ishmael."""
        ...

    def wall_s(self) -> float:
        """The wall clock, seconds since 1970; to compare both nodes' clocks."""
        ...

    def random(self, size_bytes: int) -> bytes:
        """Bytes nobody can guess."""
        ...

    def door_command(self) -> str:
        """The command line behind the cluster's SSH key."""
        ...
