"""Two nodes for the peers: a lab of its own, wired like the product's, without the product's package."""

from __future__ import annotations

from ishmael.lab.build import Say
from ishmael.lab.lifecycle import nodes_of
from ishmael.lab.node import Node
from ishmael.lab.peers.port import Peer
from ishmael.lab.peers.table import PEERS
from ishmael.lab.plan import LabPlan
from ishmael.lab.status import holds_cluster_ip
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault

READY_TIMEOUT_S = 90.0
_QUIET_S = 0.05
_WRITE = 'mkdir -p "$(dirname "$1")" && cat >"$1"'
_NONLOCAL = "net.ipv4.ip_nonlocal_bind=1"


class PeerPair:
    """The nodes of the peers; one peer at a time runs on them.

    Args:
        lab: which one; must be up, with the peers' packages installed.
        say: gets a line of progress.
    """

    def __init__(self, lab: LabPlan, say: Say) -> None:
        self.lab = lab
        self.nodes = nodes_of(lab)
        self._say = say
        self._running: Peer | None = None

    def choose(self, peer: Peer) -> None:
        """Let this peer run, alone, on both nodes.

        Raises:
            HostFault: it did not come to rest with one node holding the address.
        """
        if self._running is peer:
            return
        self._say(f"starting {peer.name} on the peers' nodes")
        for node in self.nodes:
            self._prepare(node)
        for node in self.nodes:
            self._start(node, peer, forget=True)
        if not wait_until(lambda: all(self._active(node, peer) for node in self.nodes), READY_TIMEOUT_S, 0.2):
            raise HostFault("peer-failed", f"{peer.name} does not run on both nodes.")
        first = self.nodes[0]
        if peer.forget():
            wait_until(lambda: peer.ready(first), READY_TIMEOUT_S, 0.3)
        peer.configure(first)
        self._running = peer
        self.wait_ready()

    def _prepare(self, node: Node) -> None:
        """Stop all peers, and start the phone system as the product has it: running on both nodes, warm."""
        units = sorted({unit for peer in PEERS for unit in peer.units})
        node.say(["systemctl", "disable", "--quiet", "--now", *reversed(units)])
        node.say(["sysctl", "-q", "-w", _NONLOCAL])
        node.say(["systemctl", "start", "asterisk.service"])

    def _start(self, node: Node, peer: Peer, *, forget: bool) -> None:
        if forget:
            for directory in peer.forget():
                node.say(["find", directory, "-mindepth", "1", "-delete"])
        for path, text in peer.files(node.plan).items():
            done = node.exec(["sh", "-euc", _WRITE, "peer", path], stdin=text)
            if done.returncode != 0:
                raise HostFault("peer-failed", f"Cannot write {path} on {node.plan.name}: {done.stderr.strip()}")
        node.say(["sync"])
        node.say(["systemctl", "start", *peer.units])

    def _active(self, node: Node, peer: Peer) -> bool:
        return node.exec(["systemctl", "is-active", *peer.units]).returncode == 0

    def wait_ready(self) -> None:
        """Wait until both nodes take part, nothing is under way, and exactly one holds the address.

        Raises:
            HostFault: not in time.
        """
        peer = self._peer()

        def rested() -> bool:
            if sum(map(holds_cluster_ip, self.nodes)) != 1:
                return False
            return all(peer.ready(node) for node in self.nodes)

        if not wait_until(rested, READY_TIMEOUT_S, _QUIET_S):
            holders = [node.plan.name for node in self.nodes if holds_cluster_ip(node)]
            raise HostFault("peer-failed", f"{peer.name} did not come to rest; holders of the address: {holders}.")

    def _peer(self) -> Peer:
        if self._running is None:
            raise HostFault("peer-failed", "No peer runs.")
        return self._running

    def hand_over(self, node: Node) -> None:
        """Move the address away from a node as the peer's admin would."""
        self._peer().hand_over(node, self._other(node))

    def restore(self, node: Node, *, planned: bool) -> None:
        """Let a node take part again after a fault.

        Args:
            node: the one that had the fault.
            planned: whether it was a planned move.
        """
        peer = self._peer()
        if planned:
            peer.after_hand_over(node, self._other(node))
        if not self._active(node, peer):
            # It has booted: the admin's files were synced, and nothing starts by itself.
            self._prepare(node)
            self._start(node, peer, forget=False)
        self.wait_ready()

    def _other(self, node: Node) -> Node:
        return next(other for other in self.nodes if other.plan.name != node.plan.name)
