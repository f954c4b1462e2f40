"""ARP on both networks: the kernel answers, the keepers listen."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from ishmael.core.events import HolderSeen, PeerAddressAnswered, PeerFrameSeen, ReferenceAnswered
from ishmael.sim.agenda import Agenda
from ishmael.sim.wires import Wire
from ishmael.words.roles import Network

if TYPE_CHECKING:
    from ishmael.sim.node import Node

FOREIGN = "stranger"
FOREIGN_MAC = "02:00:00:00:00:99"


class Ether:
    """Frames between the nodes, the references and, now and then, a stranger with the cluster IP."""

    def __init__(
        self, agenda: Agenda, draw: random.Random, nodes: dict[int, Node], references: tuple[str, ...]
    ) -> None:
        self.agenda = agenda
        self.draw = draw
        self.nodes = nodes
        self.references = references
        self.wires = {network: Wire(network) for network in Network}
        self.stranger_since_ms = -1.0
        self.on_peer_frame: Callable[[], None] = lambda: None

    def probe_peer(self, node: int) -> None:
        """Ask the peer for its own address on both networks, and for the cluster IP on the telephone network.

        A kernel answers only for addresses of the interface that was asked on (``arp_ignore=1``).
        """
        self.probe_holder(node)
        for network in Network:
            self._ask(network, node, cluster=False)

    def probe_holder(self, node: int) -> None:
        """Ask the telephone network who holds the cluster IP."""
        self._ask(Network.PHONE, node, cluster=True)
        wire = self.wires[Network.PHONE]
        if (
            self.stranger_since_ms >= 0
            and wire.passes(node, FOREIGN, self.draw)
            and wire.passes(FOREIGN, node, self.draw)
        ):
            self._arrive(node, HolderSeen("foreign", FOREIGN_MAC), self.draw.uniform(0.2, 1.0))

    def announce(self, node: int) -> None:
        """Gratuitous ARP on the telephone network."""
        if self.wires[Network.PHONE].passes(node, 3 - node, self.draw):
            self._to_peer(3 - node, HolderSeen("peer", f"node{node}"))

    def ask_references(self, node: int, names: tuple[str, ...]) -> None:
        """Ask these references once, by broadcast: the peer sees it too, and listens while it is worried."""
        wire, peer = self.wires[Network.PHONE], self.nodes[3 - node]
        if peer.listens() and wire.passes(node, peer.id, self.draw):
            self._to_peer(peer.id, PeerFrameSeen(Network.PHONE))
        for name in names:
            if wire.passes(node, name, self.draw) and wire.passes(name, node, self.draw):
                self._arrive(node, ReferenceAnswered(name), self.draw.uniform(0.2, 1.5))

    def _ask(self, network: Network, node: int, cluster: bool) -> None:
        wire, peer = self.wires[network], self.nodes[3 - node]
        if not wire.passes(node, peer.id, self.draw):
            return

        def arrive() -> None:
            if not peer.machine.kernel_alive:
                return
            if wire.joins(peer.id, node):
                self.on_peer_frame()
            if peer.listens():
                peer.frame(PeerFrameSeen(network))
            if (peer.machine.holds or not cluster) and wire.passes(peer.id, node, self.draw):
                event = HolderSeen("peer", f"node{peer.id}") if cluster else PeerAddressAnswered(network)
                self._to_peer(node, event)

        self.agenda.after(self.draw.uniform(0.1, 0.6), arrive)

    def _to_peer(self, node: int, event: HolderSeen | PeerAddressAnswered | PeerFrameSeen) -> None:
        def arrive() -> None:
            if self.nodes[node].machine.kernel_alive:
                if isinstance(event, HolderSeen):
                    self.on_peer_frame()
                self.nodes[node].frame(event)

        self.agenda.after(self.draw.uniform(0.1, 0.6), arrive)

    def _arrive(self, node: int, event: HolderSeen | ReferenceAnswered, delay_ms: float) -> None:
        def arrive() -> None:
            if self.nodes[node].machine.kernel_alive:
                self.nodes[node].frame(event)

        self.agenda.after(delay_ms, arrive)
