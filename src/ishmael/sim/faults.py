"""The vocabulary of faults: each is done to a world and gives back how it is undone.

Names are those of the command line; each models the same mechanism as the fault of that name on real nodes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ishmael.sim import faults_inside
from ishmael.sim.ether import FOREIGN
from ishmael.sim.node import Node
from ishmael.sim.world import REFERENCES, WITNESS, World
from ishmael.words.roles import Network

Undo = Callable[[], None]
Whom = Literal["master", "slave", "any"]


@dataclass(frozen=True)
class Fault:
    """One fault.

    Args:
        name: as on the command line.
        whom: the node it is done to, by its role at that moment.
        begin: does it to a node and returns how to undo it.
        moves: the address may move, or be let go, because of it alone.
        by_chance: the random mix has it; else only a written plan.
    """

    name: str
    whom: Whom
    begin: Callable[[World, Node, random.Random], Undo]
    moves: bool = True
    by_chance: bool = True


def _power_cut(_world: World, node: Node, _draw: random.Random) -> Undo:
    node.power_off()
    return node.boot


def _power_both(world: World, _node: Node, draw: random.Random) -> Undo:
    for node in world.nodes.values():
        node.power_off()
    first, second = draw.sample([1, 2], 2)
    later_ms = draw.choice([0.0, draw.uniform(0, 3000), draw.uniform(3000, 30000)])
    alone = draw.random() < 0.5
    if alone:
        world.agenda.after(draw.uniform(100, 2000), world.nodes[first].boot)

    def undo() -> None:
        world.nodes[first].boot()
        world.agenda.after(min(later_ms, 1000), world.nodes[second].boot)

    return undo


def _userland_frozen(_world: World, node: Node, _draw: random.Random) -> Undo:
    node.machine.userland_frozen = True
    node.world.monitors.keeper_gone(node.id)
    node.world.looked()

    def undo() -> None:
        if node.machine.userland_frozen:
            node.machine.userland_frozen = False
            node.wake()

    return undo


def _kernel_hung(_world: World, node: Node, _draw: random.Random) -> Undo:
    if not node.machine.powered:
        return lambda: None
    node.machine.hang()
    node.world.monitors.keeper_gone(node.id)
    node.world.looked()

    def undo() -> None:
        if node.machine.hung:
            node.machine.unhang()
            node.wake()

    return undo


def _vm_stopped(_world: World, node: Node, draw: random.Random) -> Undo:
    if not node.machine.powered or node.machine.stopped_vm:
        return lambda: None
    node.machine.stop_vm()
    node.world.monitors.keeper_gone(node.id)
    node.world.looked()
    clocks_tell = draw.random() < 0.5
    node.world.monitors.timeless[node.id] = clocks_tell

    def undo() -> None:
        if node.machine.stopped_vm:
            node.machine.resume_vm(clocks_tell=clocks_tell)
            node.wake()

    return undo


def _keeper_killed(_world: World, node: Node, _draw: random.Random) -> Undo:
    node.kill_keeper()
    return lambda: None


def _keeper_frozen(_world: World, node: Node, draw: random.Random) -> Undo:
    """SIGSTOP; or the keeper's cgroup is frozen, which systemd's watchdog waits out."""
    node.stop_keeper(watchdog=draw.random() < 0.6)
    return node.continue_keeper


def _corosync_killed(world: World, node: Node, draw: random.Random) -> Undo:
    world.corosync.stop(node.id)
    world.agenda.after(draw.uniform(300, 1300), lambda: world.corosync.start(node.id))
    return lambda: None


def _corosync_failing(world: World, node: Node, _draw: random.Random) -> Undo:
    daemon = world.corosync.daemons[node.id]
    daemon.restarts = False
    world.corosync.stop(node.id)

    def undo() -> None:
        daemon.restarts = True
        world.corosync.start(node.id)

    return undo


def _phone_link_down(_world: World, node: Node, _draw: random.Random) -> Undo:
    return _link_down(node, Network.PHONE)


def _cut(world: World, network: Network, pairs: set[tuple[int | str, int | str]]) -> Undo:
    wire = world.ether.wires[network]
    added = pairs - wire.cut
    wire.cut |= added
    world.looked()

    def undo() -> None:
        wire.cut -= added
        world.looked()

    return undo


def _all(*undos: Undo) -> Undo:
    def undo() -> None:
        for each in undos:
            each()

    return undo


def _everybody(node: Node) -> tuple[int | str, ...]:
    return (3 - node.id, *REFERENCES, WITNESS, FOREIGN)


def _phone_vlan_wrong(world: World, node: Node, _draw: random.Random) -> Undo:
    return _cut(world, Network.PHONE, world.ether.wires[Network.PHONE].separate(node.id, _everybody(node)))


def _phone_dead_both(world: World, _node: Node, draw: random.Random) -> Undo:
    """It comes back for both at once, or for one a while earlier (rule 4 lets it settle)."""
    nodes = list(world.nodes.values())
    for node in nodes:
        node.link(Network.PHONE, up=False)

    draw.shuffle(nodes)
    later_ms = draw.choice([0.0, draw.uniform(50, 2000)])

    def undo() -> None:
        nodes[0].link(Network.PHONE, up=True)
        world.agenda.after(later_ms, lambda: nodes[1].link(Network.PHONE, up=True))

    return undo


def _references_silent(world: World, _node: Node, draw: random.Random) -> Undo:
    wire = world.ether.wires[Network.PHONE]
    gone = set(REFERENCES) if draw.random() < 0.6 else {draw.choice(REFERENCES)}
    wire.absent |= gone

    def undo() -> None:
        wire.absent -= gone

    return undo


def _references_skewed(world: World, _node: Node, draw: random.Random) -> Undo:
    """Each reference loses frames at its own rate, towards each node, and they come back one after the other.

    Where nearly all towards the master are lost and those towards the slave are not, F4 moves the role by right.
    """
    wire = world.ether.wires[Network.PHONE]
    lossy: dict[tuple[int | str, int | str], float] = {
        (name, node): draw.uniform(0, 0.9) for name in REFERENCES for node in (1, 2)
    }
    wire.loss_of |= lossy

    def back(pair: tuple[int | str, int | str]) -> None:
        wire.loss_of.pop(pair, None)

    def undo() -> None:
        for number, pair in enumerate(lossy):
            world.agenda.after(number * draw.uniform(0, 400), lambda pair=pair: back(pair))  # type: ignore[misc]

    return undo


def _internal_cut(world: World, node: Node, draw: random.Random) -> Undo:
    if draw.random() < 0.5:
        return _link_down(node, Network.INTERNAL)
    return _cut(world, Network.INTERNAL, {(1, 2), (2, 1)})


def _link_down(node: Node, network: Network) -> Undo:
    node.link(network, up=False)
    return lambda: node.link(network, up=True)


def _isolated(world: World, node: Node, draw: random.Random) -> Undo:
    if draw.random() < 0.5:
        return _all(*[_link_down(node, network) for network in Network])
    wires = world.ether.wires
    return _all(
        _cut(world, Network.PHONE, wires[Network.PHONE].separate(node.id, _everybody(node))),
        _cut(world, Network.INTERNAL, {(1, 2), (2, 1)}),
    )


def _corosync_blocked(world: World, _node: Node, _draw: random.Random) -> Undo:
    for wire in world.ether.wires.values():
        wire.udp_blocked = True
    world.looked()

    def undo() -> None:
        for wire in world.ether.wires.values():
            wire.udp_blocked = False
        world.looked()

    return undo


def _one_way(world: World, node: Node, draw: random.Random) -> Undo:
    peer = 3 - node.id
    pair = (node.id, peer)
    kind = draw.randrange(4)
    if kind == 0:
        return _cut(world, Network.PHONE, {pair})
    if kind == 1:
        return _cut(world, Network.INTERNAL, {pair})
    if kind == 2:
        # Deaf: nothing reaches it, all that it sends arrives.
        deaf: set[tuple[int | str, int | str]] = {(other, node.id) for other in _everybody(node)}
        return _all(_cut(world, Network.PHONE, deaf), _cut(world, Network.INTERNAL, {(peer, node.id)}))
    return _all(_cut(world, Network.PHONE, {pair}), _cut(world, Network.INTERNAL, {pair}))


def _loss(world: World, node: Node, draw: random.Random) -> Undo:
    if draw.random() < 0.3:
        return _loss_one_way(world, node, draw)
    wires = [world.ether.wires[n] for n in draw.choice([[Network.PHONE], [Network.INTERNAL], list(Network)])]
    for wire in wires:
        wire.loss = 0.3
    world.looked()

    def undo() -> None:
        for wire in wires:
            wire.loss = 0.0
        world.looked()

    return undo


def _loss_one_way(world: World, node: Node, draw: random.Random) -> Undo:
    """Frames are lost in one direction only: those to a node, from its peer and from all others."""
    wires = [world.ether.wires[n] for n in draw.choice([[Network.PHONE], [Network.INTERNAL], list(Network)])]
    lossy: dict[tuple[int | str, int | str], float] = {(other, node.id): 0.3 for other in _everybody(node)}
    for wire in wires:
        wire.loss_of |= lossy
    world.looked()

    def undo() -> None:
        for wire in wires:
            for pair in lossy:
                wire.loss_of.pop(pair, None)
        world.looked()

    return undo


def _flapping(world: World, node: Node, draw: random.Random) -> Undo:
    """The telephone link, or the cable, goes down and up in quick succession."""
    networks = draw.choice([[Network.PHONE], [Network.INTERNAL], list(Network)])
    going = [True]

    def toggle(up: bool) -> None:
        if not going[0]:
            return
        for network in networks:
            node.link(network, up=up)
        world.agenda.after(draw.uniform(30, 600), lambda: toggle(not up))

    def undo() -> None:
        going[0] = False
        for network in networks:
            node.link(network, up=True)

    toggle(False)
    return undo


def _stop_hangs(_world: World, node: Node, _draw: random.Random) -> Undo:
    node.stop_hangs = True

    def undo() -> None:
        node.stop_hangs = False

    return undo


def _crash_at_command(_world: World, node: Node, draw: random.Random) -> Undo:
    """The keeper, or the machine, dies right before a command of its keeper that is more than a beat or a probe."""
    keeper = node.keeper
    if keeper is not None:
        keeper.crash = node.kill_keeper if draw.random() < 0.5 else node.power_off
        keeper.crash_in = draw.randint(1, 12)
    return node.boot


def _witness_gone(world: World, _node: Node, _draw: random.Random) -> Undo:
    wire = world.ether.wires[Network.PHONE]
    wire.absent.add(WITNESS)
    world.looked()

    def undo() -> None:
        wire.absent.discard(WITNESS)
        world.looked()

    return undo


def _fence_fails(world: World, _node: Node, _draw: random.Random) -> Undo:
    world.fence_broken = True

    def undo() -> None:
        world.fence_broken = False

    return undo


def _nodes_cut(world: World, _node: Node, draw: random.Random) -> Undo:
    """Nothing passes between the nodes, and both see everybody else: what two nodes alone cannot decide.

    The networks come back together, or the cable first, or the telephone network.
    """
    both: set[tuple[int | str, int | str]] = {(1, 2), (2, 1)}
    cuts = [_cut(world, network, both) for network in Network]
    draw.shuffle(cuts)
    later_ms = draw.choice([0.0, 0.0, draw.uniform(200, 1500)])

    def undo() -> None:
        cuts[0]()
        if later_ms:
            world.agenda.after(later_ms, cuts[1])
        else:
            cuts[1]()

    return undo


def _witness_far(world: World, node: Node, _draw: random.Random) -> Undo:
    """One node cannot reach the witness."""
    return _cut(world, Network.PHONE, world.ether.wires[Network.PHONE].separate(node.id, (WITNESS,)))


def _one_way_to(world: World, node: Node, _draw: random.Random) -> Undo:
    """Nothing of the peer reaches a node, which sees everybody else and is seen by all."""
    pair: set[tuple[int | str, int | str]] = {(3 - node.id, node.id)}
    return _all(*[_cut(world, network, pair) for network in Network])


def _hold(world: World, node: Node, _draw: random.Random) -> Undo:
    world.ask(node.id, "hold")

    def known() -> None:
        world.held = True

    world.agenda.after(250, known)

    def undo() -> None:
        world.held = False
        for number in world.nodes:
            world.ask(number, "release")

    return undo


def _only_notified(world: World, _node: Node, draw: random.Random) -> Undo:
    """An admin switches failover checks to notify only, on both nodes."""
    checks = frozenset(draw.choice([("F1",), ("F2",), ("F4",), ("F1", "F2", "F4")]))
    world.only_notify(checks)
    return lambda: world.only_notify(frozenset())


def _planned(world: World, node: Node, _draw: random.Random) -> Undo:
    world.ask(node.id, "switch")
    return lambda: None


def _admin(world: World, node: Node, draw: random.Random) -> Undo:
    """An admin does something in the middle of it all."""
    what = draw.choice(["admit", "switch", "hold", "dismiss", "stop"])
    peer = 3 - node.id
    if what == "admit":
        world.re_add(peer)
        return lambda: None
    world.ask(node.id, what, node=peer)

    def undo() -> None:
        if what == "hold":
            world.ask(node.id, "release")

    return undo


def _stranger(world: World, _node: Node, _draw: random.Random) -> Undo:
    """A foreign machine uses the cluster IP."""
    world.ether.stranger_since_ms = world.agenda.now_ms

    def undo() -> None:
        world.ether.stranger_since_ms = -1.0

    return undo


FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("power-cut", "any", _power_cut),
        Fault("power-both", "any", _power_both),
        Fault("userland-frozen", "any", _userland_frozen),
        Fault("kernel-hung", "any", _kernel_hung),
        Fault("vm-stopped", "any", _vm_stopped),
        Fault("keeper-killed", "any", _keeper_killed, moves=False),
        Fault("keeper-frozen", "any", _keeper_frozen),
        Fault("corosync-killed", "any", _corosync_killed, moves=False),
        Fault("corosync-failing", "any", _corosync_failing),
        Fault("phone-link-down", "any", _phone_link_down),
        Fault("phone-vlan-wrong", "any", _phone_vlan_wrong),
        Fault("phone-dead-both", "any", _phone_dead_both, moves=False),
        Fault("references-silent", "any", _references_silent, moves=False),
        Fault("references-skewed", "any", _references_skewed),
        Fault("internal-cut", "any", _internal_cut, moves=False),
        Fault("isolated-master", "master", _isolated),
        Fault("isolated-slave", "slave", _isolated, moves=False),
        Fault("corosync-blocked", "any", _corosync_blocked, moves=False),
        Fault("flapping", "any", _flapping),
        Fault("loss", "any", _loss),
        Fault("one-way", "any", _one_way),
        Fault("stop-hangs", "any", _stop_hangs, moves=False),
        Fault("disk-full", "any", faults_inside.disk_full),
        Fault("fsync-fails", "any", faults_inside.fsync_fails),
        Fault("disk-slow", "any", faults_inside.slow_disk),
        Fault("record-damaged", "any", faults_inside.record_damaged),
        Fault("record-future", "any", faults_inside.record_future),
        Fault("record-lost", "any", faults_inside.record_lost),
        Fault("record-older", "any", faults_inside.record_older),
        Fault("clock-step", "any", faults_inside.clock_step, moves=False),
        Fault("service-crash", "any", faults_inside.service_crash, moves=False),
        Fault("service-failing", "master", faults_inside.service_failing),
        Fault("crash-at-command", "any", _crash_at_command),
        Fault("witness-gone", "any", _witness_gone, moves=False),
        Fault("fence-fails", "any", _fence_fails, moves=False),
        Fault("nodes-cut", "any", _nodes_cut),
        Fault("witness-far", "any", _witness_far, by_chance=False),
        Fault("one-way-to-master", "master", _one_way_to, moves=False, by_chance=False),
        Fault("hold", "master", _hold, by_chance=False),
        Fault("only-notified", "any", _only_notified, moves=False),
        Fault("planned", "master", _planned),
        Fault("admin", "master", _admin),
        Fault("stranger", "any", _stranger, moves=False),
    )
}
