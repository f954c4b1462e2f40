"""A slave whose keeper stands there while its database does not follow: commits do not wait for it for ever."""

from __future__ import annotations

from ishmael.sim.world import World


def _complete() -> World:
    world = World(seed=3)
    world.boot_pair()
    assert world.run_until_complete()
    world.agenda.run_for(1000)
    return world


def _acknowledged(world: World) -> int:
    return sum(world.database.acknowledged.values())


def test_commits_go_on_when_the_slaves_database_is_gone() -> None:
    """Withdrawn, recorded, let go; and when it follows again, the cluster is complete again and nothing was lost."""
    world = _complete()
    world.database.of[2].following = False
    world.agenda.run_for(2000)
    before = _acknowledged(world)
    world.agenda.run_for(1000)
    assert _acknowledged(world) > before + 20
    assert not world.complete()
    world.database.of[2].following = True
    assert world.run_until_complete()
    assert [node.id for node in world.monitors.masters()] == [1]
    assert world.database.lacks(2) == ""


def test_a_stream_that_never_comes_does_not_make_them_wait_again_and_again() -> None:
    """Tried anew now and then; in between commits go on."""
    world = _complete()
    world.database.of[2].following = False
    world.agenda.run_for(3000)
    stalled_ms = world.database.stalled_ms
    world.agenda.run_for(40_000)
    assert world.database.stalled_ms - stalled_ms < 20_000
    keeper = world.nodes[1].keeper
    assert keeper is not None and keeper.state.record is not None and not keeper.state.record.slave_fit
