"""More stories: networks that lie, disks, admins amid faults, witness and power switch."""

from ishmael.core.events import AddressEnded
from ishmael.sim.world import REFERENCES, World
from ishmael.words.record import Epoch, Record
from ishmael.words.roles import Network, Role
from tests.transcripts.playing import complete, fault, heal, returns


def flapping(world: World) -> None:
    """The master's telephone link goes down and up in quick succession: at most one move, and never two holders."""
    complete(world)
    moves = world.moves
    for _ in range(6):
        world.nodes[1].link(Network.PHONE, up=False)
        world.agenda.run_for(180)
        world.nodes[1].link(Network.PHONE, up=True)
        world.agenda.run_for(220)
    world.agenda.run_for(1500)
    assert world.moves - moves <= 1
    assert len(world.monitors.masters()) == 1


def loss(world: World) -> None:
    """Three frames of ten are lost on both networks: nothing moves."""
    complete(world)
    for wire in world.ether.wires.values():
        wire.loss = 0.3
    world.trace.remark(world.agenda.now_ms, "FAULT loss of 30 % on both networks")
    world.looked()
    world.agenda.run_for(4000)
    for wire in world.ether.wires.values():
        wire.loss = 0.0
    world.trace.remark(world.agenda.now_ms, "healed")
    world.looked()
    assert world.run_until_complete()
    assert [node.id for node in world.monitors.masters()] == [1]


def one_way_the_master_is_deaf(world: World) -> None:
    """Nothing reaches the master, all that it sends arrives: it lets go; its slave sees it and hears it claim no more."""
    complete(world)
    deaf = {(other, 1) for other in (2, *REFERENCES)}
    wires = world.ether.wires
    wires[Network.PHONE].cut |= deaf
    wires[Network.INTERNAL].cut |= {(2, 1)}
    world.trace.remark(world.agenda.now_ms, "FAULT one-way: nothing reaches node1")
    world.looked()
    world.agenda.run_for(3500)
    assert [node.id for node in world.monitors.masters()] == [2]
    for wire in wires.values():
        wire.cut.clear()
    world.trace.remark(world.agenda.now_ms, "healed")
    world.looked()
    world.agenda.run_for(1500)
    assert [node.id for node in world.monitors.masters()] == [2]


def one_way_the_slave_is_not_heard(world: World) -> None:
    """Nothing of the slave reaches the master, which sees its references and says that it serves: nothing moves."""
    complete(world)
    undo = fault(world, "one-way-to-master", 1)
    world.agenda.run_for(5000)
    heal(world, undo)
    assert world.run_until_complete()
    assert [node.id for node in world.monitors.masters()] == [1]


def disk_full(world: World) -> None:
    """The master's disk takes nothing: noticed by the next try of its helper, and the slave takes the role."""
    complete(world)
    undo = fault(world, "disk-full", 1)
    world.agenda.run_for(8000)
    assert [node.id for node in world.monitors.masters()] == [2]
    heal(world, undo)
    world.agenda.run_for(2000)
    world.re_add(1)
    assert world.run_until_complete()


def disk_readonly_at_the_slave(world: World) -> None:
    """The slave's disk takes nothing: it says so and is not fit; the master works alone until it is."""
    complete(world)
    undo = fault(world, "disk-full", 2)
    world.agenda.run_for(8000)
    assert [node.id for node in world.monitors.masters()] == [1]
    heal(world, undo)
    assert world.run_until_complete()


def disk_slow_at_a_hand_over(world: World) -> None:
    """Every save takes long: the master hands over for that, or serves on when it cannot."""
    complete(world)
    world.nodes[2].machine.disk.slow = 120.0
    world.trace.remark(world.agenda.now_ms, "FAULT disk-slow on node2")
    world.ask(1, "switch")
    world.agenda.run_for(4000)
    assert len(world.monitors.masters()) == 1
    world.nodes[2].machine.disk.slow = 1.0
    world.trace.remark(world.agenda.now_ms, "healed")
    world.agenda.run_for(4000)
    assert len(world.monitors.masters()) == 1


def power_cut_of_both_then_only_the_master_returns(world: World) -> None:
    """Its slave was fit and may have taken over: it waits for the delay of "dial tone first"."""
    complete(world)
    for node in world.nodes.values():
        node.power_off()
    world.nodes[1].boot()
    world.agenda.run_for(36000)
    assert [node.id for node in world.monitors.masters()] == [1]


def nodes_cut_and_mended(world: World) -> None:
    """Nothing passes between the nodes, both see a reference: two nodes alone cannot tell. Mended, one yields at once."""
    complete(world)
    undo = fault(world, "nodes-cut", 1)
    world.agenda.run_for(5000)
    heal(world, undo)
    world.agenda.run_for(5000)
    assert len(world.monitors.masters()) == 1
    assert world.monitors.dual_ms_max <= 100


def hold_of_the_admin(world: World) -> None:
    """The admin of the master holds takeovers; its slave keeps to that after the master is gone.

    Released, it serves after the delay of "dial tone first": a slave that is held is not fit.
    """
    complete(world)
    world.ask(1, "hold")
    world.agenda.run_for(500)
    fault(world, "power-cut", 1)
    world.agenda.run_for(1500)
    assert world.monitors.masters() == []
    world.ask(2, "release")
    world.agenda.run_for(38000)
    assert [node.id for node in world.monitors.masters()] == [2]


def hold_released_at_once(world: World) -> None:
    """A hold that is released again leaves nothing behind: the next failure of the master is answered."""
    complete(world)
    world.ask(1, "hold")
    world.agenda.run_for(300)
    world.ask(1, "release")
    world.agenda.run_for(1500)
    fault(world, "power-cut", 1)
    world.agenda.run_for(1000)
    assert [node.id for node in world.monitors.masters()] == [2]


def dismissed(world: World) -> None:
    """The admin removes the slave, which must be re-added."""
    complete(world)
    world.ask(1, "dismiss", node=2)
    world.agenda.run_for(5000)
    world.re_add(2)
    assert world.run_until_complete()


def slave_that_takes_no_offer(world: World) -> None:
    """The slave's keeper is stopped when the offer comes: it is withdrawn, and the master serves on."""
    complete(world)
    world.nodes[2].stop_keeper(watchdog=False)
    world.trace.remark(world.agenda.now_ms, "FAULT keeper-frozen on node2")
    world.ask(1, "switch")
    world.agenda.run_for(1500)
    heal(world, world.nodes[2].continue_keeper)
    assert world.run_until_complete()
    assert [node.id for node in world.monitors.masters()] == [1]


def slave_that_sleeps_through_the_go(world: World) -> None:
    """The slave accepts and is stopped: nobody takes what was released, and the old master takes it back."""
    complete(world)
    world.ask(1, "switch")
    slave = world.nodes[2]
    for _ in range(200):
        world.agenda.run_for(1)
        if slave.keeper is not None and slave.keeper.state.accepted is not None and slave.keeper.state.accepted.saved:
            break
    slave.stop_keeper(watchdog=False)
    world.trace.remark(world.agenda.now_ms, "FAULT keeper-frozen on node2")
    world.agenda.run_for(12000)
    assert [node.id for node in world.monitors.masters()] == [1]
    heal(world, slave.continue_keeper)
    world.agenda.run_for(1500)
    assert [node.id for node in world.monitors.masters()] == [1]


def strange_address(world: World) -> None:
    """Somebody put the cluster IP on the slave by hand: it is removed."""
    complete(world)
    keeper = world.nodes[2].keeper
    assert keeper is not None
    world.nodes[2].machine.add_address(1000)
    keeper.ended(AddressEnded(holds=True))
    world.agenda.run_for(300)
    assert [node.id for node in world.holders()] == [1]


def a_claim_that_was_not_acted_on(world: World) -> None:
    """The slave died between its claim and the address; the master served on, and stands above that claim."""
    complete(world)
    world.nodes[2].power_off()
    world.nodes[2].machine.disk.visible = world.nodes[2].machine.disk.durable = Record(
        Epoch(9, 2), 2, taking=True, standby=frozenset({1})
    )
    world.trace.remark(world.agenda.now_ms, "FAULT power-cut on node2, amid a claim")
    world.agenda.run_for(4000)
    world.nodes[2].boot()
    world.agenda.run_for(4500)
    assert [node.id for node in world.monitors.masters()] == [1]


def witness_lost(world: World) -> None:
    """Gold: the witness alone is lost, which moves nothing; recorded after a while, and back again."""
    complete(world)
    undo = fault(world, "witness-gone", 1)
    world.agenda.run_for(65000)
    assert [node.id for node in world.monitors.masters()] == [1]
    fault(world, "power-cut", 1)
    world.agenda.run_for(2000)
    assert [node.id for node in world.monitors.masters()] == [2]
    heal(world, undo)
    returns(world, 1)
    world.agenda.run_for(3000)


def nodes_cut_with_a_witness(world: World) -> None:
    """Gold: the same cut as above; the witness stands with one node, and the other lets go first."""
    complete(world)
    far = fault(world, "witness-far", 1)
    world.agenda.run_for(3000)
    undo = fault(world, "nodes-cut", 1)
    world.agenda.run_for(5000)
    assert [node.id for node in world.monitors.masters()] == [2]
    heal(world, undo)
    far()
    world.agenda.run_for(3000)
    assert [node.id for node in world.monitors.masters()] == [2]


def power_cut_with_fencing(world: World) -> None:
    """Gold: the other node's power is cut, and that confirmed, before its address is taken."""
    complete(world)
    fault(world, "nodes-cut", 1)
    world.agenda.run_for(4000)
    assert [node.id for node in world.monitors.masters()] == [2]


def fence_that_fails(world: World) -> None:
    """Gold: the power switch does not confirm: reported, and nothing is taken over on a guess."""
    complete(world)
    undo = fault(world, "fence-fails", 1)
    fault(world, "power-cut", 1)
    world.agenda.run_for(2500)
    assert world.monitors.masters() == []
    heal(world, undo)
    world.agenda.run_for(45000)
    assert [node.id for node in world.monitors.masters()] == [2]


def two_holders_that_hear_each_other(world: World) -> None:
    """Cut from each other, both serve; the cable alone is mended: the lower epoch steps down as soon as it hears."""
    complete(world)
    both: set[tuple[int | str, int | str]] = {(1, 2), (2, 1)}
    for wire in world.ether.wires.values():
        wire.cut |= both
    world.trace.remark(world.agenda.now_ms, "FAULT nodes-cut")
    world.looked()
    world.agenda.run_for(2000)
    world.ether.wires[Network.INTERNAL].cut.clear()
    world.trace.remark(world.agenda.now_ms, "the cable is mended")
    world.looked()
    world.agenda.run_for(1500)
    assert [node.id for node in world.monitors.masters()] == [2]


def pause_that_nobody_excuses(world: World) -> None:
    """The master sleeps a little while its slave is away: nobody confirms it, so it lets go, and waits for its slave."""
    complete(world)
    undo = fault(world, "power-cut", 2)
    world.agenda.run_for(300)
    world.nodes[1].stop_keeper(watchdog=False)
    world.trace.remark(world.agenda.now_ms, "FAULT keeper-frozen on node1, for 500 ms")
    world.agenda.run_for(500)
    world.nodes[1].continue_keeper()
    world.agenda.run_for(1000)
    assert world.monitors.masters() == []
    heal(world, undo)
    world.agenda.run_for(5000)
    assert [node.id for node in world.monitors.masters()] == [1]


def released_and_nobody_takes_it(world: World) -> None:
    """The master's Corosync stays away, it releases; its slave dies in that moment: it resumes when that is certain."""
    complete(world)
    undo = fault(world, "corosync-failing", 1)
    for _ in range(2500):
        world.agenda.run_for(1)
        if not world.holders():
            break
    fault(world, "power-cut", 2)
    world.agenda.run_for(5000)
    assert [node.id for node in world.monitors.masters()] == [1]
    heal(world, undo)


def a_master_that_restarts_without_its_role(world: World) -> None:
    """The keeper was away for longer than its lease, its disk takes nothing, and the admin holds the slave: both wait."""
    complete(world)
    world.ask(2, "hold")
    world.agenda.run_for(300)
    world.nodes[1].stop_keeper(watchdog=False)
    world.trace.remark(world.agenda.now_ms, "FAULT keeper-frozen on node1")
    world.agenda.run_for(2500)
    undo = fault(world, "disk-full", 1)
    world.nodes[1].kill_keeper()
    world.agenda.run_for(6000)
    heal(world, undo)
    world.agenda.run_for(6000)
    assert [node.id for node in world.monitors.masters()] == [1]


def disk_full_without_a_slave(world: World) -> None:
    """Nobody can take over from a master whose disk takes nothing: it serves on, says so, and tries again."""
    complete(world)
    fault(world, "power-cut", 2)
    world.agenda.run_for(4500)
    undo = fault(world, "disk-full", 1)
    world.agenda.run_for(8000)
    assert [node.id for node in world.monitors.masters()] == [1]
    heal(world, undo)
    world.agenda.run_for(3000)


def record_from_the_future(world: World) -> None:
    """A node comes back with a record that a newer version wrote: it stays out and says why, and nothing is lost."""
    complete(world)
    fault(world, "record-future", 1)
    world.agenda.run_for(6000)
    assert [node.id for node in world.monitors.masters()] == [2]
    assert world.nodes[1].role is Role.OUT
    assert world.nodes[1].machine.disk.damaged
    world.reset(1)
    world.agenda.run_for(1000)
    returns(world, 1)


def record_older_than_its_last_one(world: World) -> None:
    """A former master comes back with a record from before its fall, as from a backup: it follows, in standby."""
    complete(world)
    node = world.nodes[1]
    node.power_off()
    world.trace.remark(world.agenda.now_ms, "FAULT power-cut on node1; it comes back with the first record it ever had")
    node.machine.disk.visible = node.machine.disk.durable = node.machine.disk.past[0]
    world.agenda.run_for(3000)
    assert [node.id for node in world.monitors.masters()] == [2]
    returns(world, 1)


def clock_step(world: World) -> None:
    """The master's wall clock jumps two hours back and its keeper is killed on top: it keeps the role, nothing moves."""
    complete(world)
    moves = world.moves
    world.nodes[1].machine.wall_offset_ms -= 7_200_000
    world.nodes[2].machine.wall_offset_ms += 3_600_000
    world.trace.remark(world.agenda.now_ms, "FAULT clock-step: node1 two hours back, node2 one hour ahead")
    world.agenda.run_for(3000)
    fault(world, "keeper-killed", 1)
    world.agenda.run_for(3000)
    assert world.run_until_complete()
    assert world.moves == moves
    assert [node.id for node in world.monitors.masters()] == [1]


def service_crash(world: World) -> None:
    """The master's database dies and systemd starts it again: nothing moves, and the slave is fit again after a moment."""
    complete(world)
    moves = world.moves
    world.trace.remark(world.agenda.now_ms, "FAULT service-crash on node1: its database")
    world.database.crash(1, crashed=True)
    world.agenda.run_for(2500)
    world.database.crash(1, crashed=False)
    world.trace.remark(world.agenda.now_ms, "systemd has started it again")
    assert world.run_until_complete()
    assert world.moves == moves


def service_failing_that_the_profile_hands_over(world: World) -> None:
    """A service does not stay up, and the profile says that this is worth a move: handed over in order."""
    complete(world)
    undo = fault(world, "service-failing", 1)
    world.agenda.run_for(1500)
    assert [node.id for node in world.monitors.masters()] == [2]
    heal(world, undo)
    returns(world, 1)


def nodes_cut_and_the_lower_epoch_comes_back(world: World) -> None:
    """Both served in a split; one with the lower epoch comes back as if it were a slave: its data differs, so it is standby."""
    complete(world)
    undo = fault(world, "nodes-cut", 1)
    world.agenda.run_for(4000)
    for _ in range(3):
        world.nodes[1].link(Network.PHONE, up=False)
        world.agenda.run_for(400)
        world.nodes[1].link(Network.PHONE, up=True)
        world.agenda.run_for(1000)
    world.trace.remark(world.agenda.now_ms, "node1's telephone link went down and up; its epoch is the higher one now")
    world.nodes[2].power_off()
    heal(world, undo)
    world.nodes[2].boot()
    world.agenda.run_for(6000)
    assert [node.id for node in world.monitors.masters()] == [1]
    assert world.nodes[2].role is Role.STANDBY
    returns(world, 2)
