"""The faults the lab can cause: a table of name, mechanism, allowed outcome, and how to cause and undo it.

A fault is named by its mechanism; what the cluster may do about it is written down here and checked by the tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ishmael.lab import network, state
from ishmael.lab.lifecycle import nodes_of
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.lab.status import holds_cluster_ip
from ishmael.words.errors import RequestRefused

PLANNED_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    Args:
        name: its name, by mechanism (contract.md).
        mechanism: what is done, in words.
        outcome: what the cluster may do about it.
        inject: causes it on a node.
        heal: undoes it on that node.
    """

    name: str
    mechanism: str
    outcome: str
    inject: Callable[[Node], None]
    heal: Callable[[Node], None]


@dataclass(frozen=True)
class Injected:
    """A fault that was caused.

    Args:
        fault: which one.
        node: where.
        begun_s: when it began, on the host's monotonic clock.
        done_s: when it was complete, on the same clock.
    """

    fault: Fault
    node: str
    begun_s: float
    done_s: float


def _boot(node: Node) -> None:
    node.boot()
    node.wait_running()


def _hand_over(node: Node) -> None:
    node.say(["ishmael", "failover", "--yes", "--json"], timeout_s=PLANNED_TIMEOUT_S)


def _unplug(node: Node) -> None:
    network.plug(node.lab, node.plan, plugged=False)


def _plug(node: Node) -> None:
    network.plug(node.lab, node.plan, plugged=True)


def _nothing(_node: Node) -> None:
    """A planned switch leaves nothing broken."""


FAULTS: tuple[Fault, ...] = (
    Fault(
        "power-cut",
        "the node's disk loses what was not synced, every process is killed at once, both links lose their carrier",
        "of the master: the slave takes over, the old master is standby on its return; of the slave: nothing moves",
        Node.power_cut,
        _boot,
    ),
    Fault(
        "phone-link-down",
        "the node's telephone link is pulled out at the switch: the node sees its carrier go",
        "of the master: handed over; of the slave: nothing moves",
        _unplug,
        _plug,
    ),
    Fault(
        "planned",
        "`ishmael failover --yes` on the master",
        "handed over in order; the former master is standby and can be re-added",
        _hand_over,
        _nothing,
    ),
)


def named(name: str) -> Fault:
    """The fault of this name.

    Raises:
        RequestRefused: there is none.
    """
    for fault in FAULTS:
        if fault.name == name:
            return fault
    known = ", ".join(fault.name for fault in FAULTS)
    raise RequestRefused("no-such-fault", f"There is no fault '{name}'.", f"Faults: {known}.")


def serving_node(lab: LabPlan) -> Node | None:
    """The node that holds the cluster IP now; None when none does."""
    return next((node for node in nodes_of(lab) if holds_cluster_ip(node)), None)


def target(lab: LabPlan, name: str | None) -> Node:
    """The node a fault is meant for: the named one, else the one that serves.

    Raises:
        RequestRefused: no such node, or none named and none serves.
    """
    if name is not None:
        return Node(lab, lab.node(name))
    node = serving_node(lab)
    if node is None:
        raise RequestRefused("nobody-serves", "No node holds the cluster IP.", "Name the node: fault NAME NODE.")
    return node


def inject(lab: LabPlan, fault: Fault, node: Node) -> Injected:
    """Cause a fault.

    Raises:
        RequestRefused: another one is not healed yet, or this one does not fit the node's state.
    """
    now = state.load(lab)
    if now is not None and now.last_fault:
        raise RequestRefused(
            "fault-not-healed",
            f"{now.last_fault} on {now.last_fault_node} is not healed yet.",
            "ishmael lab heal",
        )
    if node.init_pid is None:
        raise RequestRefused("node-off", f"{node.plan.name} is off.", f"ishmael lab reboot {node.plan.name}")
    # Noted first: after a crash in between, healing finds it.
    state.note_fault(lab, fault.name, node.plan.name)
    begun = time.monotonic()
    try:
        fault.inject(node)
    except Exception:
        if node.init_pid is not None:
            state.note_fault(lab, "", "")
        raise
    done = time.monotonic()
    if fault.heal is _nothing:
        state.note_fault(lab, "", "")
    return Injected(fault, node.plan.name, begun, done)


def heal(lab: LabPlan) -> tuple[str, str] | None:
    """Undo the last fault.

    Returns:
        Its name and node; None when there was none.
    """
    now = state.load(lab)
    if now is None or not now.last_fault:
        return None
    named(now.last_fault).heal(Node(lab, lab.node(now.last_fault_node)))
    state.note_fault(lab, "", "")
    return now.last_fault, now.last_fault_node
