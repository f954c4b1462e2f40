"""The two networks: carriers, cuts and loss per direction, hosts beside the nodes."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from ishmael.words.roles import Network

Host = int | str
"""A node by its id, a reference by its name."""


@dataclass
class Wire:
    """One network.

    Args:
        network: which.
        no_carrier: nodes whose link is down.
        cut: pairs (from, to) that nothing passes.
        loss: probability that a frame is lost, for every pair.
        loss_of: probability for single pairs (from, to), on top.
        udp_blocked: datagrams between the nodes are dropped, ARP passes.
        absent: references that do not answer.
    """

    network: Network
    no_carrier: set[int] = field(default_factory=set)
    cut: set[tuple[Host, Host]] = field(default_factory=set)
    loss: float = 0.0
    loss_of: dict[tuple[Host, Host], float] = field(default_factory=dict)
    udp_blocked: bool = False
    absent: set[str] = field(default_factory=set)

    def joins(self, source: Host, target: Host) -> bool:
        """Frames from ``source`` can reach ``target``."""
        return (
            source not in self.no_carrier
            and target not in self.no_carrier
            and source not in self.absent
            and target not in self.absent
            and (source, target) not in self.cut
        )

    def passes(self, source: Host, target: Host, draw: random.Random) -> bool:
        """Whether this one frame arrives."""
        if not self.joins(source, target):
            return False
        loss = max(self.loss, self.loss_of.get((source, target), 0.0))
        return loss == 0.0 or draw.random() >= loss

    def carries_udp(self, one: Host, other: Host) -> bool:
        """A knet link can be up: datagrams pass in both directions."""
        return not self.udp_blocked and self.joins(one, other) and self.joins(other, one)

    def lossy(self, one: Host, other: Host) -> float:
        """The worse direction's loss."""
        return max(self.loss, self.loss_of.get((one, other), 0.0), self.loss_of.get((other, one), 0.0))

    def separate(self, node: Host, others: tuple[Host, ...]) -> set[tuple[Host, Host]]:
        """The pairs between a host and others, both ways."""
        return {(node, other) for other in others} | {(other, node) for other in others}
