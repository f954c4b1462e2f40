"""An objection on either node ends the slave's fitness, and its end gives it back."""

from __future__ import annotations

import pytest

from ishmael.core.events import FitnessObjected
from ishmael.sim.world import World


@pytest.mark.parametrize("node", [1, 2])
def test_an_objection_ends_fitness(node: int) -> None:
    """While one stands the slave does not take over a silent master; afterwards it would again."""
    world = World(7)
    world.boot_pair()
    assert world.run_until_complete()
    keeper = world.nodes[node].keeper
    assert keeper is not None
    keeper.feed(FitnessObjected("its files are behind"))
    world.agenda.run_for(6000)
    master, slave = world.nodes[1].keeper, world.nodes[2].keeper
    assert master is not None and slave is not None
    assert master.state.record is not None and not master.state.record.slave_fit
    assert slave.state.now_ms >= slave.state.fit_until_ms
    keeper.feed(FitnessObjected(""))
    assert world.run_until_complete()
