"""The status lamp: one worst state, its reasons in order of importance, and what to do about each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GREEN, YELLOW, RED = "green", "yellow", "red"
_CUT = {
    "internal": "The internal network between the nodes is cut; they see each other over the telephone network alone.",
    "phone": "The telephone network between the nodes is cut; they see each other over the internal network alone.",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that is not as it should be: how bad, what, and the way out."""

    state: str
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Lamp:
    """The lamp: its state and why."""

    state: str
    reasons: tuple[Reason, ...] = ()


def lamp(status: Mapping[str, Any]) -> Lamp:
    """The lamp for a status object.

    Args:
        status: of ``GET /status``; a mapping with ``error`` when the manager did not answer.
    """
    reasons = list(_reasons(status))
    reasons.sort(key=lambda reason: reason.state != RED)
    return Lamp(reasons[0].state if reasons else GREEN, tuple(reasons))


def _reasons(status: Mapping[str, Any]) -> list[Reason]:
    if status.get("error"):
        return [Reason(RED, str(status["error"]), str(status.get("hint") or ""))]
    found = []
    if not status.get("keeper", True):
        found.append(Reason(RED, "The keeper of this node does not answer.", "systemctl status ishmael-keeper"))
    state = status.get("state")
    if state == "standby":
        found.append(Reason(YELLOW, "This node is on standby and must be re-added.", "Re-add it on the master."))
    nodes = list(status.get("nodes") or [])
    heard = len(nodes) > 1 and all(node.get("online") for node in nodes)
    links = status.get("links") or {}
    found += [
        Reason(YELLOW, text, "Look at the cable, and at the switch.")
        for name, text in _CUT.items() if heard and links.get(name) is False
    ]  # fmt: skip
    if state == "degraded" and not any(node.get("role") == "master" and node.get("online") for node in nodes):
        found.append(Reason(RED, "No master is seen from this node.", "Look at the other node, and at the events."))
    if len(nodes) > 1 and state in ("degraded", "complete") and not status.get("failover_possible"):
        blocked = list(status.get("failover_blocked_by") or [])
        found += [Reason(YELLOW, f"No failover is possible: {why}.", "") for why in blocked[:5]]
    return found
