"""Stories of what an admin has kept for himself: failover checks that only notify, and data first."""

from ishmael.sim.world import World
from tests.transcripts.playing import complete, fault, heal


def _only(world: World, *checks: str) -> None:
    complete(world)
    world.only_notify(frozenset(checks))
    world.agenda.run_for(300)


def power_cut_while_f1_only_notifies(world: World) -> None:
    """The slave stays what it is, whatever rule 8 would do; the master comes back and serves. Then F1 moves again."""
    _only(world, "F1")
    undo = fault(world, "power-cut", 1)
    world.agenda.run_for(12_000)
    assert world.monitors.masters() == []
    heal(world, undo)
    assert world.run_until_complete(20_000)
    assert [node.id for node in world.monitors.masters()] == [1]
    world.only_notify(frozenset())
    world.agenda.run_for(300)
    fault(world, "power-cut", 1)
    world.agenda.run_for(1000)
    assert [node.id for node in world.monitors.masters()] == [2]


def power_cut_until_f1_moves_again(world: World) -> None:
    """The admin lets F1 move again while nobody serves: dial tone first (rule 8)."""
    _only(world, "F1")
    fault(world, "power-cut", 1)
    world.agenda.run_for(5000)
    world.only_notify(frozenset())
    world.agenda.run_for(world.times.dial_tone_ms + 5000)
    assert [node.id for node in world.monitors.masters()] == [2]


def phone_link_down_while_f4_only_notifies(world: World) -> None:
    """The master serves on without its telephones; once its link is back and F4 moves again, nothing is left over."""
    _only(world, "F4")
    undo = fault(world, "phone-link-down", 1)
    world.agenda.run_for(2000)
    assert [node.id for node in world.monitors.masters()] == [1]
    heal(world, undo)
    world.agenda.run_for(1000)
    world.only_notify(frozenset())
    world.agenda.run_for(500)
    assert world.run_until_complete()
    assert [node.id for node in world.monitors.masters()] == [1]


def corosync_failing_while_f2_only_notifies(world: World) -> None:
    """The master serves on; its slave sees that it does."""
    _only(world, "F2")
    undo = fault(world, "corosync-failing", 1)
    world.agenda.run_for(3500)
    assert [node.id for node in world.monitors.masters()] == [1]
    heal(world, undo)
    world.only_notify(frozenset())
    assert world.run_until_complete()
    assert [node.id for node in world.monitors.masters()] == [1]


def data_first_until_the_admin_asks(world: World) -> None:
    """Both lose their power and only the slave returns: it says that nobody serves, and serves when it is asked to."""
    complete(world)
    for node in world.nodes.values():
        node.power_off()
    world.nodes[2].boot()
    world.agenda.run_for(60_000)
    assert world.monitors.masters() == []
    ticket = world.ask(2, "serve")
    world.agenda.run_for(1500)
    assert world.answers[ticket].refusal is None
    assert [node.id for node in world.monitors.masters()] == [2]


def asked_to_serve_beside_a_master(world: World) -> None:
    """A slave that hears its master does not serve, whoever asks."""
    complete(world)
    ticket = world.ask(2, "serve")
    world.agenda.run_for(500)
    refusal = world.answers[ticket].refusal
    assert refusal is not None and refusal.code == "somebody-may-serve"
    assert [node.id for node in world.monitors.masters()] == [1]
