"""The stories of the table of faults; the name of a function is the name of its file, and its docstring the heading."""

from ishmael.core.state import Config
from ishmael.sim.world import World
from ishmael.words.record import Epoch, Record
from tests.transcripts.playing import complete, fault, heal, returns


def the_first_master_then_a_slave(world: World) -> None:
    """A node is set up as the first master; a second one joins without a record and becomes fit."""
    first, second = world.nodes[1], world.nodes[2]
    first.config, second.config = world.config_of(1, alone=True), Config(references=())
    first.boot()
    second.boot()
    world.agenda.run_for(4000)
    world.trace.begin(world.agenda.now_ms)
    world.ask(1, "form")
    world.agenda.run_for(1000)
    for node in (first, second):
        node.config = world.config_of(node.id)
        assert node.keeper is not None
        node.keeper.reconfigure(node.config)
    assert world.run_until_complete()


def power_cut_of_the_master(world: World) -> None:
    """The slave takes over; the former master returns, is standby, and is re-added."""
    complete(world)
    fault(world, "power-cut", 1)
    world.agenda.run_for(3000)
    assert [node.id for node in world.monitors.masters()] == [2]
    returns(world, 1)


def power_cut_of_the_slave_and_its_return(world: World) -> None:
    """Nothing moves; the master works alone after T_alone, and the slave becomes fit again when it is back."""
    complete(world)
    undo = fault(world, "power-cut", 2)
    world.agenda.run_for(5000)
    heal(world, undo)
    assert world.run_until_complete()


def planned_switch(world: World) -> None:
    """The admin hands the role over in order."""
    complete(world)
    world.ask(1, "switch")
    world.agenda.run_for(2000)
    assert [node.id for node in world.monitors.masters()] == [2]
    world.re_add(1)
    world.agenda.run_for(1500)
    assert world.complete()


def both_boot(world: World) -> None:
    """After a power cut of both, the recorded master resumes once both are there; its slave stays fit."""
    complete(world)
    for node in world.nodes.values():
        node.power_off()
    world.agenda.run_for(500)
    for node in world.nodes.values():
        node.boot()
    world.agenda.run_for(6000)
    assert world.complete()


def the_master_boots_alone_its_slave_was_unfit(world: World) -> None:
    """Recorded without a fit slave, it resumes at once."""
    world.nodes[1].machine.disk.visible = Record(Epoch(4, 1), 1)
    world.trace.begin(0)
    world.nodes[1].boot()
    world.agenda.run_for(4000)
    assert [node.id for node in world.monitors.masters()] == [1]


def the_master_boots_alone_its_slave_was_fit(world: World) -> None:
    """The slave may have taken over: it waits for the delay of "dial tone first", then serves with the data it has."""
    world.nodes[1].machine.disk.visible = Record(Epoch(4, 1), 1, slave_fit=True)
    world.trace.begin(0)
    world.nodes[1].boot()
    world.agenda.run_for(35000)
    assert [node.id for node in world.monitors.masters()] == [1]


def keeper_killed(world: World) -> None:
    """systemd restarts the keeper while its lease runs: it keeps the role."""
    complete(world)
    fault(world, "keeper-killed", 1)
    world.agenda.run_for(3000)
    assert world.complete()


def keeper_frozen_beyond_its_lease(world: World) -> None:
    """The lease ends by itself, the slave takes over; the old master is standby when its keeper runs again."""
    complete(world)
    world.nodes[1].stop_keeper(watchdog=False)
    world.trace.remark(world.agenda.now_ms, "FAULT keeper-frozen on node1")
    world.agenda.run_for(4000)
    heal(world, world.nodes[1].continue_keeper)
    world.agenda.run_for(1500)
    assert [node.id for node in world.monitors.masters()] == [2]


def isolated_master(world: World) -> None:
    """The master sees neither the slave nor a reference and lets go before the slave takes over."""
    complete(world)
    undo = fault(world, "isolated-master", 1)
    world.agenda.run_for(2000)
    heal(world, undo)
    world.agenda.run_for(1500)
    assert [node.id for node in world.monitors.masters()] == [2]


def isolated_slave(world: World) -> None:
    """Nothing moves: the slave sees no reference either."""
    complete(world)
    undo = fault(world, "isolated-slave", 2)
    world.agenda.run_for(2000)
    heal(world, undo)
    assert world.run_until_complete()


def userland_frozen(world: World) -> None:
    """The kernel still answers, the lease ends, the slave sees the released address and takes over."""
    complete(world)
    undo = fault(world, "userland-frozen", 1)
    world.agenda.run_for(4000)
    heal(world, undo)
    world.agenda.run_for(1500)
    assert [node.id for node in world.monitors.masters()] == [2]


def kernel_hung_and_back(world: World) -> None:
    """All frames stop with the address held; on return the old master drops at the first frame."""
    complete(world)
    undo = fault(world, "kernel-hung", 1)
    world.agenda.run_for(3000)
    heal(world, undo)
    world.agenda.run_for(1500)
    assert [node.id for node in world.monitors.masters()] == [2]


def phone_link_down(world: World) -> None:
    """The carrier of the master's telephone link goes: it hands over to the slave, which still sees a reference."""
    complete(world)
    undo = fault(world, "phone-link-down", 1)
    world.agenda.run_for(2000)
    heal(world, undo)
    world.agenda.run_for(500)
    assert [node.id for node in world.monitors.masters()] == [2]


def phone_vlan_wrong(world: World) -> None:
    """The references fall silent at the master, with carrier: it asks the slave and hands over."""
    complete(world)
    undo = fault(world, "phone-vlan-wrong", 1)
    world.agenda.run_for(2000)
    heal(world, undo)
    world.agenda.run_for(500)
    assert [node.id for node in world.monitors.masters()] == [2]


def phone_dead_both(world: World) -> None:
    """Nothing moves while the network is gone for both, nor when it comes back."""
    complete(world)
    undo = fault(world, "phone-dead-both", 1)
    world.agenda.run_for(2000)
    heal(world, undo)
    world.agenda.run_for(2000)
    assert [node.id for node in world.monitors.masters()] == [1]


def internal_cut(world: World) -> None:
    """Nothing moves: the other network carries everything."""
    complete(world)
    undo = fault(world, "internal-cut", 1)
    world.agenda.run_for(2000)
    heal(world, undo)
    assert world.run_until_complete()


def corosync_blocked(world: World) -> None:
    """The keepers do not hear each other and ARP lives: nothing moves; the master works alone after T_alone."""
    complete(world)
    undo = fault(world, "corosync-blocked", 1)
    world.agenda.run_for(4500)
    heal(world, undo)
    assert world.run_until_complete()


def corosync_killed_once(world: World) -> None:
    """It is restarted, nothing moves."""
    complete(world)
    fault(world, "corosync-killed", 1)
    world.agenda.run_for(3000)
    assert [node.id for node in world.monitors.masters()] == [1]


def corosync_failing_for_good(world: World) -> None:
    """The master's own Corosync stays away: its release is the message (F2), the slave takes over."""
    complete(world)
    undo = fault(world, "corosync-failing", 1)
    world.agenda.run_for(3500)
    heal(world, undo)
    world.agenda.run_for(1500)
    assert [node.id for node in world.monitors.masters()] == [2]


def stop_hangs_at_handover(world: World) -> None:
    """A service that does not stop is cut short; the hand-over completes."""
    complete(world)
    fault(world, "stop-hangs", 1)
    world.ask(1, "switch")
    world.agenda.run_for(8000)
    assert [node.id for node in world.monitors.masters()] == [2]


def power_cut_of_both_then_only_the_slave_returns(world: World) -> None:
    """Its fitness died with the power: it waits for the delay of "dial tone first"."""
    complete(world)
    for node in world.nodes.values():
        node.power_off()
    world.nodes[2].boot()
    world.agenda.run_for(42000)
    assert [node.id for node in world.monitors.masters()] == [2]


def record_damaged(world: World) -> None:
    """A node with a damaged record stays out and says why; reset and added again it becomes slave."""
    complete(world)
    fault(world, "record-damaged", 2)
    world.agenda.run_for(6000)
    world.reset(2)
    assert world.run_until_complete()
