"""Cuts that only the benchmark makes: between the two nodes, while each still sees everybody else on the telephone network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ishmael.lab import plan
from ishmael.lab.plan import LabPlan
from ishmael.lab.tools import run

_TABLE = "between-nodes"


@dataclass(frozen=True)
class Cut:
    """One kind of cut, undone after five seconds.

    Args:
        name: what the benchmark calls it.
        mechanism: what is done, in words.
        make: does it.
        mend: undoes it; does no harm when there is none.
    """

    name: str
    mechanism: str
    make: Callable[[LabPlan], None]
    mend: Callable[[LabPlan], None]


def _ports(lab: LabPlan) -> tuple[str, str]:
    one, two = lab.nodes
    return one.port, two.port


def _filter(lab: LabPlan, what: str) -> None:
    """Drop on the bridge what one node sends to the other (nft(8), family bridge), and cut the cable."""
    one, two = _ports(lab)
    rules = f"""\
table bridge {_TABLE} {{
    chain forward {{
        type filter hook forward priority 0;
        iifname "{one}" oifname "{two}" {what} drop
        iifname "{two}" oifname "{one}" {what} drop
    }}
}}
"""
    run(["ip", "netns", "exec", lab.network_netns, "nft", "-f", "-"], stdin=rules)
    run(["ip", "-n", lab.nodes[0].netns, "link", "set", plan.CABLE_NIC, "down"])


def _mend(lab: LabPlan) -> None:
    run(["ip", "netns", "exec", lab.network_netns, "nft", "delete", "table", "bridge", _TABLE], check=False)
    run(["ip", "-n", lab.nodes[0].netns, "link", "set", plan.CABLE_NIC, "up"], check=False)


CUTS: tuple[Cut, ...] = (
    Cut(
        "nodes-cut",
        "no frame passes between the nodes on either network for 5 s; both see all others on the telephone network",
        lambda lab: _filter(lab, ""),
        _mend,
    ),
    Cut(
        "nodes-ip-cut",
        "as nodes-cut, but ARP still passes between the nodes on the telephone network",
        lambda lab: _filter(lab, "ether type ip"),
        _mend,
    ),
)


def named(name: str) -> Cut | None:
    """The cut of this name, if there is one."""
    return next((cut for cut in CUTS if cut.name == name), None)
