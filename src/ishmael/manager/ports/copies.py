"""Copies of directories on the other node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ishmael.words.errors import HostFault, IshmaelError, PeerFault
from ishmael.words.profile import FileSet


@dataclass(frozen=True, slots=True)
class Target:
    """Where the copies go.

    Args:
        address: the other node's address on the internal network.
        password: both nodes know it.
    """

    address: str
    password: str


NAMES_MAX = 200_000
"""How many names that differ a comparison tells at most."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a copy is.

    Args:
        done_bytes: of this directory, what needed no copy included.
        total_bytes: of this directory.
        moved_bytes: sent over the network so far.
        rate_bytes_s: of the copying, in bytes a second.
    """

    done_bytes: int
    total_bytes: int
    moved_bytes: int = 0
    rate_bytes_s: int = 0


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy came to.

    Args:
        code: rsync's exit code; 0 when all is there.
        said: the last line of its errors.
        differed: names below the directory that were not the same on the other node.
        moved_bytes: sent over the network.
    """

    code: int
    said: str
    differed: tuple[str, ...] = ()
    moved_bytes: int = 0

    @property
    def whole(self) -> bool:
        """Everything is on the other node, but for what vanished meanwhile."""
        return self.code in (0, VANISHED)

    @property
    def some_failed(self) -> bool:
        """The other node was reached; some names did not get there."""
        return self.code in (PARTLY, _FILE_IO)

    @property
    def disk_full(self) -> bool:
        """The other node's disk took no more."""
        return "No space left" in self.said or "Disk quota" in self.said

    def error(self, address: str) -> IshmaelError:
        """What to tell when it is not whole."""
        if self.code == _PROTOCOL and "auth failed" in self.said:
            return PeerFault("rsync-refused", f"The rsync server at {address} refuses this node.", _HINT_KEYS)
        if self.disk_full:
            return PeerFault("peer-disk-full", f"The disk of the other node is full: {self.said}.", "Free some: df -h")
        if self.code in (_SOCKET, _STREAM, _PROTOCOL, *_TIMEOUTS):
            return PeerFault("rsync-unreachable", f"Files do not get to {address}: {self.said}.", _HINT_SERVER)
        if self.some_failed:
            return HostFault("files-incomplete", f"Not all files got to {address}: {self.said}.", _HINT_NAMES)
        return HostFault("rsync-failed", f"rsync ended with {self.code}: {self.said}.", _HINT_SERVER)


PARTLY = 23
VANISHED = 24
STALLED = 30
"""The exit code of a transfer that ran out of time; also of one that was given up for that."""
_PROTOCOL, _SOCKET, _FILE_IO, _STREAM, _TIMEOUTS = 5, 10, 11, 12, (STALLED, 35)
_HINT_KEYS = "Both nodes need the same cluster key: re-add the node."
_HINT_SERVER = "On the other node: systemctl status ishmael-rsyncd; is the internal cable plugged in?"
_HINT_NAMES = "See the names under `ishmael status`."

Watch = Callable[[Progress], None]


class Copies(Protocol):
    """Brings directories to the other node; what is there and not here goes away there, except what is left out."""

    def password(self) -> str:
        """The secret that both nodes share.

        Raises:
            HostFault: the cluster's key, which it comes from, is missing.
        """
        ...

    def there(self, files: FileSet) -> bool:
        """The directory exists here."""
        ...

    def size(self, files: FileSet) -> int:
        """Bytes in a directory, in bytes; 0 when it is not there."""
        ...

    def answers(self, target: Target) -> bool:
        """The other node's rsync server takes connections."""
        ...

    def some(self, target: Target, files: FileSet, paths: Sequence[bytes], stopped: Callable[[], bool]) -> Copied:
        """Bring these names, or their absence, over; directories without what is in them."""
        ...

    def all(self, target: Target, files: FileSet, stopped: Callable[[], bool], watch: Watch | None = None) -> Copied:
        """Bring everything over, and say what differed."""
        ...

    def compare(self, target: Target, files: FileSet, stopped: Callable[[], bool]) -> Copied:
        """Only say what differs."""
        ...
