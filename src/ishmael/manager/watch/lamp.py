"""What the status alone says against a green lamp: seen at once, where a check takes its time or runs on another node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_CUT = {
    "internal": ("The internal network between the nodes is cut; they see each other over the telephone network alone.",
                 "Das interne Netz zwischen den Knoten ist unterbrochen; sie sehen sich nur über das Telefonnetz."),
    "phone": ("The telephone network between the nodes is cut; they see each other over the internal network alone.",
              "Das Telefonnetz zwischen den Knoten ist unterbrochen; sie sehen sich nur über das interne Netz."),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Said:
    """One reason.

    Args:
        check: the check that finds the same sooner or later; its own result then says more. Or a name of its own.
        state: ``critical`` or ``warning``.
        title, hint: in English and German.
        output: details, as the keeper says them.
    """

    check: str
    state: str
    title: tuple[str, str]
    hint: tuple[str, str] = ("", "")
    output: str = ""


def seen_at_once(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Reasons that need no check, in the shape of a check's row.

    Args:
        status: of ``GET /status``.
    """
    return [
        {
            "id": said.check, "name": said.check, "title": said.title[0], "title_de": said.title[1],
            "node": status.get("node"), "state": said.state, "since": status.get("since"), "output": said.output,
            "hint": said.hint[0], "hint_de": said.hint[1], "acknowledged": "",
        }
        for said in _reasons(status)
    ]  # fmt: skip


def _reasons(status: Mapping[str, Any]) -> list[_Said]:
    found = []
    if not status.get("keeper", True):
        found.append(_Said("keeper", "critical",
                           ("The keeper of this node does not answer.", "Der Keeper dieses Knotens antwortet nicht."),
                           ("See: systemctl status ishmael-keeper", "Siehe: systemctl status ishmael-keeper")))  # fmt: skip
    state = status.get("state")
    if state == "standby":
        found.append(_Said("on-standby", "warning",
                           ("This node is on standby and must be re-added.",
                            "Dieser Knoten ist im Standby und muss wieder hinzugefügt werden."),
                           ("Re-add it on the master.", "Fügen Sie ihn auf dem Master wieder hinzu.")))  # fmt: skip
    nodes = list(status.get("nodes") or [])
    heard = len(nodes) > 1 and all(node.get("online") for node in nodes)
    links = status.get("links") or {}
    hint = ("Look at the cable, and at the switch.", "Prüfen Sie Kabel und Switch.")
    found += [_Said("X1", "warning", text, hint) for name, text in _CUT.items() if heard and links.get(name) is False]
    if state == "degraded" and not any(node.get("role") == "master" and node.get("online") for node in nodes):
        found.append(_Said("no-master", "critical",
                           ("No master is seen from this node.", "Von diesem Knoten aus ist kein Master zu sehen."),
                           ("Look at the other node, and at the events.",
                            "Sehen Sie nach dem anderen Knoten und in die Ereignisse.")))  # fmt: skip
    if len(nodes) > 1 and state in ("degraded", "complete") and not status.get("failover_possible"):
        blocked = "; ".join(map(str, status.get("failover_blocked_by") or []))
        found.append(_Said("X7", "warning", ("No failover is possible", "Kein Umschalten bei Ausfall möglich"),
                           ("See: ishmael status. A node on standby is re-added with: ishmael re-add.",
                            "Siehe: ishmael status. Ein Knoten im Standby wird wieder aufgenommen mit: ishmael re-add."),
                           blocked))  # fmt: skip
    return found
