"""The master's question whether the slave sees a reference (F4): asked at once, and no sign of lost frames."""

from __future__ import annotations

from dataclasses import replace

from ishmael.core import commands as do
from ishmael.core import events as ev
from ishmael.core.machine import step
from ishmael.core.state import State
from ishmael.sim.world import World


def _slave() -> State:
    """The slave of a complete cluster, just before a reference answers what it was asked with the last tick."""
    world = World(seed=3)
    world.boot_pair()
    assert world.run_until_complete()
    world.agenda.run_for(12_000)
    keeper = world.nodes[2].keeper
    assert keeper is not None
    state = keeper.state.copied()
    state.references = {
        name: replace(sense, asked_ms=state.now_ms, answered_ms=state.now_ms - 50, missed=0)
        for name, sense in state.references.items()
    }
    return state


def test_who_is_asked_again_before_the_next_tick_has_missed_nothing() -> None:
    """Else a master that asks with its last breath would make its death look like a network that loses frames."""
    state = _slave()
    assert state.peer is not None
    now_ms = state.now_ms + 30
    asked = step(state, now_ms, ev.MessageArrived(replace(state.peer, question=True)))
    assert do.AskReferences(tuple(state.references)) in asked.commands
    first, *_ = asked.state.references
    again = step(asked.state, now_ms, ev.ReferenceAnswered(first))
    assert do.AskReferences(tuple(state.references)) in again.commands
    assert not again.state.lossy
    assert again.state.loss_ms == state.loss_ms
    assert [sense.missed for sense in again.state.references.values()] == [0, 0]
