"""Pacemaker on Corosync: the address as a resource (ocf:heartbeat:IPaddr2), without stonith, as on two nodes alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Template

from ishmael.lab import plan
from ishmael.lab.node import Node
from ishmael.lab.plan import NodePlan

UNITS = ("corosync.service", "pacemaker.service")

# Both networks as links, the cable first, as the product has them.
COROSYNC = Template(
    """\
totem {
    version: 2
    cluster_name: peer
    transport: knet
    crypto_cipher: none
    crypto_hash: none
$token}

nodelist {
    node {
        name: node1
        nodeid: 1
        ring0_addr: 10.78.0.1
        ring1_addr: 10.77.0.11
    }
    node {
        name: node2
        nodeid: 2
        ring0_addr: 10.78.0.2
        ring1_addr: 10.77.0.12
    }
}

quorum {
    provider: corosync_votequorum
    two_node: 1
    wait_for_all: 0
}

logging {
    to_logfile: no
    to_syslog: yes
}
"""
)

ADDRESS = f"""\
property stonith-enabled=false no-quorum-policy=ignore
rsc_defaults resource-stickiness=100
primitive address ocf:heartbeat:IPaddr2 \\
    params ip={plan.CLUSTER_IP} cidr_netmask={plan.PREFIX_LENGTH} nic={plan.PHONE_NIC} \\
    op monitor interval=10s timeout=20s
"""

LINK_MONITOR = f"""\
primitive link ocf:heartbeat:ethmonitor \\
    params interface={plan.PHONE_NIC} link_status_only=true repeat_count=1 repeat_interval=1 \\
    op monitor interval=500ms timeout=10s
clone links link
location address-needs-link address rule -inf: not_defined ethmonitor-{plan.PHONE_NIC} or ethmonitor-{plan.PHONE_NIC} lt 1
"""

# With knet's own pings, made for a token of seconds, the links flap: these are the product's.
PINGS = """\
    interface {
        linknumber: 0
        knet_ping_interval: 50
        knet_ping_timeout: 300
        knet_pong_count: 2
    }
    interface {
        linknumber: 1
        knet_ping_interval: 50
        knet_ping_timeout: 300
        knet_pong_count: 2
    }
"""

_CONFIGURE_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Pacemaker:
    """Pacemaker with one token time.

    Args:
        name: what the benchmark calls it.
        token_ms: Corosync's token time; none for Corosync's default.
        link_monitor: whether the address leaves a node whose telephone link is down.
    """

    name: str
    token_ms: int | None
    link_monitor: bool
    units: tuple[str, ...] = UNITS

    @property
    def resources(self) -> str:
        """Its configuration in the words of ``crm configure``."""
        return ADDRESS + (LINK_MONITOR if self.link_monitor else "")

    def files(self, node: NodePlan) -> Mapping[str, str]:  # noqa: ARG002 - alike on both
        """Path and content of Corosync's configuration, and of the one that is loaded into Pacemaker."""
        token = f"    token: {self.token_ms}\n{PINGS}" if self.token_ms else ""
        return {"/etc/corosync/corosync.conf": COROSYNC.substitute(token=token), "/etc/peer.crm": self.resources}

    def forget(self) -> tuple[str, ...]:
        """Where the last configuration and its state lie."""
        return ("/var/lib/pacemaker/cib", "/var/lib/pacemaker/pengine", "/var/lib/corosync")

    def configure(self, node: Node) -> None:
        """Load the resources into the running cluster."""
        node.say(["crm", "--force", "configure", "load", "replace", "/etc/peer.crm"], timeout_s=_CONFIGURE_TIMEOUT_S)

    def ready(self, node: Node) -> bool:
        """Both nodes are online and the cluster has come to rest."""
        said = node.exec(["crm_mon", "-1", "--output-as=text"], timeout_s=10)
        online = "Online: [ node1 node2 ]" in said.stdout
        idle = node.exec(["crmadmin", "--timeout=2", "--dc_lookup", "--quiet"], timeout_s=5)
        dc = idle.stdout.strip()
        if not online or not dc:
            return False
        return "S_IDLE" in node.exec(["crmadmin", "--timeout=2", f"--status={dc}"], timeout_s=5).stdout

    def hand_over(self, node: Node, other: Node) -> None:
        """Move the resource."""
        node.say(["crm_resource", "--move", "--resource", "address", "--node", other.plan.name])

    def after_hand_over(self, node: Node, other: Node) -> None:  # noqa: ARG002 - the port asks
        """Clear the preference that moving left behind; stickiness keeps the address where it is."""
        other.say(["crm_resource", "--clear", "--resource", "address"])
