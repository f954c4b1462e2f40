"""The replicated database of this machine: set up, given back, joined to the master's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ishmael.words.database import Database
from ishmael.words.profile import DatabaseWanted
from ishmael.words.settings import Settings


@dataclass(frozen=True, slots=True)
class Pairing:
    """What a node's database must know of the cluster.

    Args:
        wanted: by the profile.
        settings: of the cluster.
        me: id of this node.
        password: of the replication role; the same on both nodes.
    """

    wanted: DatabaseWanted
    settings: Settings
    me: int
    password: str


class Databases(Protocol):
    """PostgreSQL on this machine; acting calls raise HostFault with its own words when they fail."""

    def installed(self) -> str:
        """Newest major version that is installed, or ``""``."""
        ...

    def managed(self) -> Database | None:
        """The cluster that is ours to keep in step, or None."""
        ...

    def is_prepared(self, pairing: Pairing) -> bool:
        """It is configured exactly so."""
        ...

    def prepare(self, pairing: Pairing, *, master: bool) -> None:
        """Adopt or make the cluster and configure it; as master also start it and make what is ours in it."""
        ...

    def release(self) -> None:
        """Let it be an ordinary database of this machine again; its data stays."""
        ...

    def join(self, key: str) -> None:
        """Begin to join this node's data to the master's, beside everything else; one under way goes on."""
        ...

    def joined(self) -> Mapping[str, Any]:
        """How far that is: state (``none``, ``running``, ``done``, ``failed``), key, rung, bytes, error."""
        ...
