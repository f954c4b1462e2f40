"""Causing a fault of the table and undoing it. One at a time; what was begun is noted first, so that a crash loses nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ishmael.lab import state
from ishmael.lab.faults import wires
from ishmael.lab.faults.row import Fault, Where, nothing
from ishmael.lab.faults.table import FAULTS
from ishmael.lab.lifecycle import nodes_of
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.lab.status import holds_cluster_ip
from ishmael.words.errors import RequestRefused

_POWER = ("power-cut", "power-both")


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


def target(lab: LabPlan, name: str | None, fault: Fault | None = None) -> Node:
    """The node a fault is meant for: the named one, else the one that serves, or the other for a fault of the slave.

    Raises:
        RequestRefused: no such node, or none named and none serves.
    """
    if name is not None:
        return Node(lab, lab.node(name))
    node = serving_node(lab)
    if node is None:
        raise RequestRefused("nobody-serves", "No node holds the cluster IP.", "Name the node: fault NAME NODE.")
    return wires.peer_of(node) if fault is not None and fault.where is Where.SLAVE else node


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
    finally:
        done = time.monotonic()
        if fault.heal is nothing:
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


def before_reboot(lab: LabPlan, node: Node) -> None:
    """Undo what befell a node before it is shut down in order: a frozen one could not be."""
    now = state.load(lab)
    if now is not None and now.last_fault_node == node.plan.name and node.init_pid is not None:
        heal(lab)


def after_reboot(lab: LabPlan) -> None:
    """Forget a loss of power once every node has it again."""
    now = state.load(lab)
    if now is not None and now.last_fault in _POWER and all(node.init_pid for node in nodes_of(lab)):
        state.note_fault(lab, "", "")
