"""Debian packages of this machine, and bringing another machine's here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from ishmael.words.versions import Need

Manifest = Mapping[str, Sequence[Any]]
"""Files of directories: path -> [size in bytes, SHA-256, permission bits]."""


class Packages(Protocol):
    """What is installed and kept here, what was brought here, and installing that."""

    def stamp(self) -> int:
        """Another number whenever packages may have changed; cheap."""
        ...

    def versions(self, names: Iterable[str]) -> dict[str, str | None]:
        """The installed version of each of these packages, or None."""
        ...

    def kept(self, name: str, version: str) -> str | None:
        """Where the file of this package in this version is kept, or None."""
        ...

    def needs(self, path: str) -> tuple[tuple[Need, ...], ...]:
        """What a kept package depends on: of each group of alternatives one."""
        ...

    def fits(self, version: str, need: Need) -> bool:
        """Whether a version of the needed package is one that will do."""
        ...

    def manifest(self, directories: Iterable[str]) -> Manifest:
        """The plain files below these directories; a directory that is missing has none."""
        ...

    def measure(self, path: str) -> tuple[int, str, int]:
        """A file's size in bytes, SHA-256 and permission bits.

        Raises:
            HostFault: it cannot be read.
        """
        ...

    def read(self, path: str, offset: int, size: int) -> bytes:
        """A part of a file.

        Raises:
            HostFault: it cannot be read.
        """
        ...

    def receive(self, name: str, offset: int, data: bytes) -> int:
        """Put a part of a file being brought; answers how many bytes there are. At offset 0 it begins anew.

        Raises:
            HostFault: the disk is full, read-only or failing.
        """
        ...

    def received(self, name: str) -> tuple[int, str]:
        """Size and SHA-256 of what was brought under this name; 0 and "" when nothing was."""
        ...

    def place(self, name: str, target: str, mode: int) -> None:
        """Move what was brought to its place, atomically."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file of a firmware directory."""
        ...

    def install(self, key: str, names: Sequence[str]) -> None:
        """Begin to install files that were brought.

        Args:
            key: of this attempt.
            names: of the files, all at once.
        """
        ...

    def installing(self) -> Mapping[str, Any]:
        """How that is: ``key``, ``state`` (none, running, done, failed), ``said``."""
        ...

    def clear(self) -> None:
        """Remove what was brought and is installed now."""
        ...
