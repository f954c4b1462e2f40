"""The other node, reached over SSH with the cluster's key; and the keys themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Peer:
    """How to reach the other node and know it again.

    Args:
        addresses: tried in this order; the internal cable first.
        host_key: its SSH host key, ``ssh-ed25519 AAAA...``; no other is accepted.
    """

    addresses: tuple[str, ...]
    host_key: str


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An ed25519 key pair in OpenSSH's formats."""

    private: bytes
    public: str


class Node(Protocol):
    """The other node's door."""

    def host_key(self, address: str) -> str | None:
        """The ed25519 host key shown at this address (``ssh-ed25519 AAAA...``), or None when no SSH server answers."""
        ...

    def host_keys(self, addresses: Sequence[str]) -> Mapping[str, str]:
        """The host keys of those of these addresses where an SSH server answers, all asked at once."""
        ...

    def ask(
        self, peer: Peer, op: str, arguments: Mapping[str, Any] | None = None, limit_s: float = 20.0
    ) -> Mapping[str, Any]:
        """Ask one thing and wait for the answer.

        Raises:
            PeerFault: unreachable, another host key, our key refused, nonsense answered, or the peer's own fault.
            RequestRefused: the peer refused the request itself.
        """
        ...

    def ask_each(
        self, peer: Peer, op: str, each: Iterable[Mapping[str, Any]], limit_s: float = 60.0
    ) -> Iterator[Mapping[str, Any]]:
        """Ask the same for each of these arguments over one connection, the next when the one before is answered.

        Raises:
            PeerFault, RequestRefused: as ``ask``; the rest is not asked.
        """
        ...


class Keys(Protocol):
    """Makes keys; looks at this machine's SSH server."""

    def generate(self, comment: str) -> KeyPair:
        """A fresh ed25519 key pair."""
        ...

    def server_objection(self) -> str:
        """Why this machine's SSH server would turn the cluster's key away, in one sentence; empty when it would not."""
        ...
