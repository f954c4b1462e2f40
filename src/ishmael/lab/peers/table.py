"""The peers there are."""

from __future__ import annotations

from ishmael.lab.peers.keepalived import Keepalived
from ishmael.lab.peers.pacemaker import Pacemaker
from ishmael.lab.peers.port import Peer

AGENTS = ("bc", "iputils-arping")
"""Programs that the agents IPaddr2 and ethmonitor call, though their package does not ask for them."""
PACKAGES = ("keepalived", "pacemaker", "pacemaker-cli-utils", "resource-agents", "crmsh", *AGENTS)

PEERS: tuple[Peer, ...] = (
    Keepalived("keepalived-default", "1"),
    Keepalived("keepalived-100ms", "0.1"),
    Keepalived("keepalived-10ms", "0.01"),
    Pacemaker("pacemaker-default", None, link_monitor=False),
    Pacemaker("pacemaker-300", 300, link_monitor=True),
)

NAMES = tuple(peer.name for peer in PEERS)


def named(name: str) -> Peer:
    """The peer of this name.

    Raises:
        KeyError: there is none.
    """
    return {peer.name: peer for peer in PEERS}[name]
