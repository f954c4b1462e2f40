"""Files of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Room:
    """The room for a directory.

    Args:
        device: number of its file system.
        free_bytes: on that file system.
        used_bytes: by the files below the directory.
    """

    device: int
    free_bytes: int
    used_bytes: int


class Files(Protocol):
    """Small files, written whole: after a power cut there is the old content or the new, never a part."""

    def read(self, path: str) -> bytes | None:
        """The content, or None when there is no such file."""
        ...

    def write(self, path: str, data: bytes, mode: int) -> None:
        """Put the content in place atomically, on disk when this returns; missing directories are made (0755).

        Raises:
            HostFault: the disk is full, read-only or failing.
        """
        ...

    def age(self, path: str, by_s: float) -> None:
        """Let the file look as if it had been written so much earlier, in seconds; one that is gone is left alone."""
        ...

    def remove(self, path: str) -> None:
        """Remove the file, if there is one; on disk when this returns."""
        ...

    def sync(self, directory: str) -> None:
        """Have everything on disk that was written to the file system this directory lies in.

        Raises:
            HostFault: the disk did not take it.
        """
        ...

    def names(self, directory: str) -> list[str]:
        """Names of the files in a directory, sorted; none when there is no such directory."""
        ...

    def mode(self, path: str) -> int | None:
        """The permission bits, or None when there is no such file."""
        ...

    def free_bytes(self, path: str) -> int:
        """Free space of the file system that holds this directory, in bytes."""
        ...

    def room(self, path: str) -> Room:
        """The room for a directory; for one that is not there yet, where it would be made."""
        ...
