"""What is measured: the product on its lab, and each peer on the peers' lab, seen alike."""

from __future__ import annotations

from typing import Protocol

from ishmael.lab import faults
from ishmael.lab.cluster import COMPLETE_TIMEOUT_S, Cluster
from ishmael.lab.node import Node
from ishmael.lab.peers.pair import PeerPair
from ishmael.lab.peers.port import Peer
from ishmael.lab.plan import LabPlan
from ishmael.lab.tools import wait_until

PRODUCT = "ishmael"
PEER_LAB = "peer"


class System(Protocol):
    """A pair of nodes of which one serves."""

    @property
    def name(self) -> str:
        """What the summary calls it."""

    @property
    def lab(self) -> LabPlan:
        """Where it runs."""

    def prepare(self) -> None:
        """Wait until one node serves and the other could."""

    def hand_over(self, node: Node) -> None:
        """Move the service away from a node, as its admin would."""

    def restore(self, node: Node, *, planned: bool) -> None:
        """Make the pair whole again, once a node's fault is healed."""


class Product:
    """The product on its own lab.

    Args:
        lab: must be up and formed.
    """

    name = PRODUCT

    def __init__(self, lab: LabPlan) -> None:
        self.lab = lab
        self._cluster = Cluster(lab)

    def prepare(self) -> None:
        """The cluster says that it is complete."""
        self._cluster.wait_complete()

    def hand_over(self, node: Node) -> None:
        """``ishmael failover``."""
        faults.named("planned").inject(node)

    def restore(self, node: Node, *, planned: bool) -> None:  # noqa: ARG002 - it finds out by itself
        """Re-add whoever went on standby; nobody has to."""
        wait_until(lambda: self._cluster.is_complete() or self._has_standby(), COMPLETE_TIMEOUT_S, 0.2)
        if self._has_standby():
            self._cluster.re_add_standby()
        self._cluster.wait_complete()

    def _has_standby(self) -> bool:
        roles = [(self._cluster.status(node) or {}).get("role") for node in self._cluster.nodes]
        return "master" in roles and "standby" in roles


class PeerSystem:
    """One peer on the nodes that all peers share.

    Args:
        pair: those nodes.
        peer: which one.
    """

    def __init__(self, pair: PeerPair, peer: Peer) -> None:
        self.name = peer.name
        self.lab = pair.lab
        self._pair = pair
        self._peer = peer

    def prepare(self) -> None:
        """Let it run alone and come to rest."""
        self._pair.choose(self._peer)
        self._pair.wait_ready()

    def hand_over(self, node: Node) -> None:
        """As the peer's documentation says."""
        self._pair.hand_over(node)

    def restore(self, node: Node, *, planned: bool) -> None:
        """Start what the fault has stopped."""
        self._pair.restore(node, planned=planned)
