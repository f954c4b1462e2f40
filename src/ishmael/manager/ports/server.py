"""The server that takes the master's files on a node that is not master."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ishmael.words.profile import FileSet


@dataclass(frozen=True, slots=True)
class Serving:
    """For whom, where and what.

    Args:
        own: this node's internal address.
        peer: the other node's.
        cluster_ip: whoever holds it takes no files.
        password: both nodes know it.
        files: the directories.
    """

    own: str
    peer: str
    cluster_ip: str
    password: str
    files: tuple[FileSet, ...]


class Server(Protocol):
    """Started and stopped by role."""

    def serve(self, serving: Serving) -> None:
        """Take files."""
        ...

    def stop(self) -> None:
        """Take none; a transfer that runs is cut."""
        ...

    def runs(self) -> bool:
        """It takes files."""
        ...
