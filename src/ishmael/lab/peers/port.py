"""What a peer is to the benchmark: files, units, and how an admin moves the address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ishmael.lab.node import Node
from ishmael.lab.plan import NodePlan


class Peer(Protocol):
    """One kind of software in one configuration."""

    @property
    def name(self) -> str:
        """What the benchmark calls it."""

    @property
    def units(self) -> tuple[str, ...]:
        """Its units, in the order in which they are started."""

    def files(self, node: NodePlan) -> Mapping[str, str]:
        """Path and content of each file of its configuration on a node."""

    def forget(self) -> tuple[str, ...]:
        """Directories with what it remembers of an earlier configuration."""

    def configure(self, node: Node) -> None:
        """What is told to the running software, once, on one node."""

    def ready(self, node: Node) -> bool:
        """Whether it says, on this node, that both nodes take part and nothing is under way."""

    def hand_over(self, node: Node, other: Node) -> None:
        """Move the address away from a node as its admin would; may return before it has moved."""

    def after_hand_over(self, node: Node, other: Node) -> None:
        """Undo what would keep the node from serving again."""
