"""Directories watched for changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Change(Protocol):
    """Something below a watched directory is not as it was."""

    @property
    def root(self) -> bytes:
        """The watched directory."""
        ...

    @property
    def path(self) -> bytes:
        """Relative to it; empty for the directory itself."""
        ...

    @property
    def whole(self) -> bool:
        """Everything below is to be looked at."""
        ...

    @property
    def settled(self) -> bool:
        """Nobody is writing it."""
        ...


class Watcher(Protocol):
    """Watches trees."""

    def watch(self, root: bytes) -> None:
        """Watch a tree.

        Raises:
            HostFault: the kernel gives no more watches.
        """
        ...

    def watches(self, root: bytes) -> bool:
        """This tree is watched (it ends when the directory is removed)."""
        ...

    def changes(self, wait_s: float) -> tuple[Sequence[Change], bool]:
        """What changed within the time, in seconds, and whether some of it was lost."""
        ...

    def close(self) -> None:
        """Watch nothing any more."""
        ...
