"""keepalived: VRRP on the telephone network (RFC 5798, version 3 for advertisements below a second)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Template

from ishmael.lab import plan
from ishmael.lab.node import Node
from ishmael.lab.plan import NodePlan

UNIT = "keepalived.service"
PRIORITY = {"node1": 100, "node2": 90}

# A carrier lost on `interface` is noticed by default; three advertisements missed is RFC 5798's and keepalived's count.
CONFIG = Template(
    """\
global_defs {
    router_id $name
    vrrp_version 3
}

vrrp_instance phone {
    state BACKUP
    nopreempt
    interface $nic
    virtual_router_id 77
    priority $priority
    advert_int $advert_s
    virtual_ipaddress {
        $address dev $nic
    }
}
"""
)


@dataclass(frozen=True)
class Keepalived:
    """keepalived with one interval of advertisements.

    Args:
        name: what the benchmark calls it.
        advert_s: seconds between two advertisements; keepalived's default is 1.
    """

    name: str
    advert_s: str
    units: tuple[str, ...] = (UNIT,)

    def files(self, node: NodePlan) -> Mapping[str, str]:
        """Path and content of its configuration."""
        text = CONFIG.substitute(
            name=node.name,
            nic=plan.PHONE_NIC,
            priority=PRIORITY[node.name],
            advert_s=self.advert_s,
            address=f"{plan.CLUSTER_IP}/{plan.PREFIX_LENGTH}",
        )
        return {"/etc/keepalived/keepalived.conf": text}

    def forget(self) -> tuple[str, ...]:
        """keepalived remembers nothing."""
        return ()

    def configure(self, node: Node) -> None:
        """The file is all there is."""

    def ready(self, node: Node) -> bool:
        """It runs; who holds the address is seen from outside."""
        return node.exec(["systemctl", "is-active", UNIT]).returncode == 0

    def hand_over(self, node: Node, other: Node) -> None:  # noqa: ARG002 - the port asks
        """Stop it: it says goodbye with priority 0, which the other need not wait for."""
        node.say(["systemctl", "stop", UNIT])

    def after_hand_over(self, node: Node, other: Node) -> None:  # noqa: ARG002 - the port asks
        """Start it again; `nopreempt` leaves the address where it is."""
        node.say(["systemctl", "start", UNIT])
