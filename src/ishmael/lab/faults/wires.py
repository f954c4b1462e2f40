"""Faults of the networks. The telephone network is broken at its switch, the cable at the ends' way out.

What a frame must not pass is taken away where it leaves (nft(8), families bridge and netdev), never where it arrives: a
program that listens with packet(7) sees arriving frames before any filter does.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from ishmael.lab import network, plan
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.lab.tools import run, wait_until
from ishmael.words.errors import HostFault

_TABLE = "lab-fault"
LOSS_PERCENT = 30
FLAPS = 8
_FLAP_DOWN_S, _FLAP_UP_S = 0.2, 0.4


def peer_of(node: Node) -> Node:
    """The other node of the lab."""
    return next(Node(node.lab, other) for other in node.lab.nodes if other.name != node.plan.name)


def _link(netns: str, nic: str, *, up: bool, check: bool = True) -> None:
    run(["ip", "-n", netns, "link", "set", nic, "up" if up else "down"], check=check)


def _filter(netns: str, family: str, hook: str, rules: Sequence[str]) -> None:
    lines = "\n".join(rules)
    text = f"table {family} {_TABLE} {{\nchain faulty {{\ntype filter hook {hook} priority 0;\n{lines}\n}}\n}}\n"
    run(["ip", "netns", "exec", netns, "nft", "-f", "-"], stdin=text)


def _at_switch(lab: LabPlan, *rules: str) -> None:
    """Drop frames that pass the switch; each rule says which."""
    _filter(lab.network_netns, "bridge", "forward", [f"{rule} drop" for rule in rules])


def _on_cable(node: Node, what: str = "") -> None:
    """Lose what a node sends into the cable.

    It is led away to where nobody looks, for no sender hears of a frame that a wire has lost. One that is dropped here is told
    to it: Corosync tries it again and again, and stands still meanwhile.
    """
    _filter(node.plan.netns, "netdev", f'egress device "{plan.CABLE_NIC}"', [f'{what} fwd to "lo"'])


def mend_switch(lab: LabPlan) -> None:
    """Let every frame pass the switch again."""
    run(["ip", "netns", "exec", lab.network_netns, "nft", "delete", "table", "bridge", _TABLE], check=False)


def mend(node: Node) -> None:
    """Make every wire of the lab whole again, whichever fault broke it."""
    lab = node.lab
    mend_switch(lab)
    _link(lab.network_netns, network.BRIDGE, up=True)
    for one in (node, peer_of(node)):
        _link(lab.network_netns, one.plan.port, up=True)
        run(["ip", "netns", "exec", one.plan.netns, "nft", "delete", "table", "netdev", _TABLE], check=False)
        # The links of a machine without power stay without carrier.
        if one.init_pid is not None:
            _link(one.plan.netns, plan.CABLE_NIC, up=True, check=False)


def unplug_phones(node: Node) -> None:
    """Pull the node's telephone link out at the switch: it sees its carrier go."""
    network.plug(node.lab, node.plan, plugged=False)


def wrong_vlan(node: Node) -> None:
    """Let no frame of the node's port pass the switch; the carrier stays."""
    port = node.plan.port
    _at_switch(node.lab, f'iifname "{port}"', f'oifname "{port}"')


def stop_switch(node: Node) -> None:
    """Switch the switch off for all; the carriers stay."""
    _link(node.lab.network_netns, network.BRIDGE, up=False)


def cut_cable(node: Node) -> None:
    """Pull the internal cable out at the other node: this one sees its carrier go."""
    _link(peer_of(node).plan.netns, plan.CABLE_NIC, up=False)


def isolate(node: Node) -> None:
    """Let no frame from or to the node pass on either network; the carriers stay."""
    wrong_vlan(node)
    _on_cable(node)
    _on_cable(peer_of(node))


def block_corosync(node: Node) -> None:
    """Drop UDP between the nodes on both networks: Corosync's; ARP and TCP pass."""
    here, there = node.plan.port, peer_of(node).plan.port
    _at_switch(
        node.lab,
        f'iifname "{here}" oifname "{there}" ip protocol udp',
        f'iifname "{there}" oifname "{here}" ip protocol udp',
    )
    _on_cable(node, "ip protocol udp")
    _on_cable(peer_of(node), "ip protocol udp")


def lose_frames(node: Node) -> None:
    """Lose frames by chance on both links of the node, both ways."""
    chance, port = f"numgen random mod 100 < {LOSS_PERCENT}", node.plan.port
    _at_switch(node.lab, f'iifname "{port}" {chance}', f'oifname "{port}" {chance}')
    _on_cable(node, chance)
    _on_cable(peer_of(node), chance)


def narrow_database(node: Node) -> None:
    """Let what the node's database sends into the cable pass at 8 MB a second and no faster: TCP slows down to that."""
    _on_cable(node, "tcp sport 5432 limit rate over 8 mbytes/second burst 1 mbytes")


def deafen(node: Node) -> None:
    """Let nothing reach the node on either link; what it sends arrives."""
    _at_switch(node.lab, f'oifname "{node.plan.port}"')
    _on_cable(peer_of(node))


def flap(node: Node) -> None:
    """Pull and plug the telephone link several times, every second time the cable as well; all is plugged at the end."""
    for turn in range(FLAPS):
        unplug_phones(node)
        if turn % 2:
            cut_cable(node)
        _wait(_FLAP_DOWN_S)
        if turn % 2:
            _link(peer_of(node).plan.netns, plan.CABLE_NIC, up=True)
        network.plug(node.lab, node.plan, plugged=True)
        _wait(_FLAP_UP_S)


def _wait(seconds: float) -> None:
    """Let time pass: it is the fault's own rhythm, nothing is waited for."""
    wait_until(lambda: False, seconds, seconds / 2)


def link_is_up(node: Node) -> bool:
    """Whether the node has its telephone interface switched on."""
    flags = run(["ip", "-n", node.plan.netns, "-o", "link", "show", "dev", plan.PHONE_NIC]).stdout.partition(">")[0]
    return "UP" in flags.partition("<")[2].split(",")


def keep_address(node: Node, address: str, lifetime: str) -> None:
    """Give an address the node holds another lifetime, in seconds or ``forever``; nothing happens without it."""
    with suppress(HostFault):
        shown = run(["ip", "-n", node.plan.netns, "-o", "-4", "address", "show", "dev", plan.PHONE_NIC]).stdout
        found = [word for word in shown.split() if word.startswith(f"{address}/")]
        if found:
            words = ["address", "change", found[0], "dev", plan.PHONE_NIC]
            run(["ip", "-n", node.plan.netns, *words, "valid_lft", lifetime, "preferred_lft", lifetime])
