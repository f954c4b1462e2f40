"""The lab's networks: a telephone network (a bridge) and the internal cable (one veth pair), all in own namespaces."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ishmael.lab import plan
from ishmael.lab.plan import LabPlan, NodePlan
from ishmael.lab.tools import run
from ishmael.words.errors import HostFault

BRIDGE = "phones"
NETNS_DIRECTORY = Path("/run/netns")


def hosts(lab: LabPlan) -> tuple[tuple[str, str, str], ...]:
    """The other hosts on the telephone network: namespace, address, MAC."""
    return (
        (lab.gateway_netns, plan.GATEWAY_IP, "02:77:00:00:00:01"),
        (lab.reference_netns, plan.REFERENCE_IP, "02:77:00:00:00:02"),
        (lab.client_netns, plan.CLIENT_IP, "02:77:00:00:00:50"),
    )


def create(lab: LabPlan) -> None:
    """Make the namespaces and wire them; the nodes' own links stay down until a node boots."""
    for name in lab.namespaces:
        run(["ip", "netns", "add", name])
        run(["ip", "-n", name, "link", "set", "lo", "up"])
    net = lab.network_netns
    _batch(net, [f"link add {BRIDGE} type bridge stp_state 0 forward_delay 0", f"link set {BRIDGE} up"])
    for number, (name, address, mac) in enumerate(hosts(lab)):
        _plug(net, f"h{number}", name, "eth0", mac)
        lines = [f"addr add {address}/{plan.PREFIX_LENGTH} dev eth0", "link set eth0 up"]
        if name == lab.client_netns:
            lines.append(f"route add default via {plan.GATEWAY_IP}")
        _batch(name, lines)
    one, two = lab.nodes
    for node in (one, two):
        _plug(net, node.port, node.netns, plan.PHONE_NIC, node.phone_mac)
    _batch(
        one.netns,
        [
            f"link add {plan.CABLE_NIC} address {one.cable_mac} type veth "
            f"peer name {plan.CABLE_NIC} address {two.cable_mac} netns {two.netns}"
        ],
    )


def add_host(lab: LabPlan, netns: str, port: str, nic: str, mac: str) -> None:
    """One more host on the telephone network, without an address.

    Args:
        lab: whose network.
        netns: name of the host's namespace, which is made.
        port: the bridge's end of its link.
        nic: the host's end.
        mac: its hardware address.
    """
    run(["ip", "netns", "add", netns])
    run(["ip", "-n", netns, "link", "set", "lo", "up"])
    _plug(lab.network_netns, port, netns, nic, mac)
    _batch(netns, [f"link set {nic} up"])


def remove_host(netns: str) -> None:
    """Take such a host away again."""
    # A link can outlive its namespace for a moment; deleted first, its name is free at once.
    with suppress(HostFault):
        _batch(netns, [f"link delete {nic}" for nic in _links(netns)])
    run(["ip", "netns", "delete", netns])


def _plug(net: str, port: str, netns: str, nic: str, mac: str) -> None:
    _batch(
        net,
        [
            f"link add {port} type veth peer name {nic} address {mac} netns {netns}",
            f"link set {port} master {BRIDGE} up",
        ],
    )


def _batch(netns: str, lines: list[str]) -> None:
    run(["ip", "-n", netns, "-batch", "-"], stdin="\n".join(lines) + "\n")


def renewal(lab: LabPlan, node: NodePlan) -> str:
    """Shell lines that give a node a fresh network namespace, as a machine that boots has a fresh kernel.

    The links move over to it, so the ends on the other side stay what they are: they only see the carrier go.
    """
    net, own, parked = lab.network_netns, node.netns, f"f-{node.name}"
    return f"""\
ip -n {own} link set {plan.PHONE_NIC} netns {net} name {parked}
ip -n {own} link set {plan.CABLE_NIC} netns {net} name {node.parked_cable}
ip netns delete {own}
ip netns add {own}
ip -n {own} link set lo up
ip -n {net} link set {parked} netns {own} name {plan.PHONE_NIC}
ip -n {net} link set {node.parked_cable} netns {own} name {plan.CABLE_NIC}
"""


def cut(node: NodePlan) -> None:
    """Take the carrier from both links of a node, as a dead machine does."""
    _batch(node.netns, [f"link set {plan.PHONE_NIC} down", f"link set {plan.CABLE_NIC} down"])


def limit_cable(node: NodePlan, mbit: int) -> None:
    """Let the cable carry so many megabits a second from this node (tc-tbf(8)); 0: as many as this machine can.

    A node that boots has a cable without limit.
    """
    there = ["ip", "netns", "exec", node.netns, "tc", "qdisc"]
    limit = ["rate", f"{mbit}mbit", "burst", "256kb", "latency", "5ms"]
    if mbit:
        run([*there, "replace", "dev", plan.CABLE_NIC, "root", "tbf", *limit])
    else:
        run([*there, "delete", "dev", plan.CABLE_NIC, "root"], check=False)


def plug(lab: LabPlan, node: NodePlan, *, plugged: bool) -> None:
    """Plug a node's telephone link into the bridge or pull it out: the node sees its carrier come or go."""
    _batch(lab.network_netns, [f"link set {node.port} {'up' if plugged else 'down'}"])


def remove(lab: LabPlan) -> None:
    """Take the namespaces away; the links in them go along.

    Raises:
        HostFault: one of them stayed.
    """
    for name in left(lab):
        remove_host(name)


def _links(netns: str) -> list[str]:
    shown = run(["ip", "-n", netns, "-o", "link", "show"], check=False).stdout
    names = [line.split(": ")[1].split("@")[0] for line in shown.splitlines() if ": " in line]
    return [name for name in names if name != "lo"]


def left(lab: LabPlan) -> list[str]:
    """Namespaces of the lab that exist."""
    return [name for name in (*lab.namespaces, lab.phone_netns) if (NETNS_DIRECTORY / name).exists()]
