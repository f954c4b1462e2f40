"""What one fault is: its name, what is done, what the cluster may do about it, and how it is caused and undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ishmael.lab.node import Node


class Moves(StrEnum):
    """How often the role may move from one node to the other while the fault lasts."""

    MUST = "once"
    MAY = "at most once"
    NEVER = "never"


class Where(StrEnum):
    """The node a fault is meant for when none is named."""

    MASTER = "master"
    SLAVE = "slave"


def nothing(_node: Node) -> None:
    """Undo what leaves nothing broken."""


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    Args:
        name: its name, by mechanism (contract.md).
        mechanism: what is done, in words.
        outcome: what the cluster may do about it.
        inject: causes it on a node.
        heal: undoes it on that node; does no harm when there is nothing to undo.
        moves: the allowed outcome as a figure.
        where: the node it befalls when none is named.
        watch_s: seconds until its outcome has shown.
        after_s: seconds to go on watching once there is one master after healing.
        serves: whether somebody serves before it is healed.
        reboots: healing takes the node's power for a moment: the role may move then, if it has not before.
        both_after_ms: how long both may hold the address after the first frame between them (failover.md, "Never").
        gap_ms_max: longest silence a client may see, with room for a busy machine; none where nobody serves or a rule waits.
        tells: kinds of events of which one must come of it.
        deaf: the node keeps the address though no frame of it passes: both hold it, and only one can be reached.
    """

    name: str
    mechanism: str
    outcome: str
    inject: Callable[[Node], None]
    heal: Callable[[Node], None] = nothing
    moves: Moves = Moves.NEVER
    where: Where = Where.MASTER
    watch_s: float = 4.0
    after_s: float = 1.0
    serves: bool = True
    reboots: bool = False
    both_after_ms: float = 100.0
    gap_ms_max: float | None = None
    tells: tuple[str, ...] = ()
    deaf: bool = False

    def to_mapping(self) -> dict[str, Any]:
        """The row for ``ishmael lab fault --list --json``."""
        return {
            "name": self.name,
            "mechanism": self.mechanism,
            "outcome": self.outcome,
            "moves": self.moves.value,
            "on": self.where.value,
        }
