"""Which references are asked: by turns while nothing is amiss, all as soon as something is."""

from __future__ import annotations

from dataclasses import replace

from ishmael.core import commands as do
from ishmael.core import events as ev
from ishmael.core.machine import step
from ishmael.core.state import State
from ishmael.sim.world import World


def _quiet_slave() -> State:
    world = World(seed=3)
    world.boot_pair()
    assert world.run_until_complete()
    world.agenda.run_for(12_000)
    keeper = world.nodes[2].keeper
    assert keeper is not None
    state = keeper.state.copied()
    assert len(state.references) == 2
    state.references = {
        name: replace(sense, asked_ms=state.now_ms - 50 - 60 * at, answered_ms=state.now_ms - 50 - 60 * at, missed=0)
        for at, (name, sense) in enumerate(state.references.items())
    }
    return state


def _asked(state: State) -> tuple[str, ...]:
    out = step(state, state.now_ms + 60, ev.Ticked(state.now_ms + 60 + state.boot_offset_ms))
    return next(c.names for c in out.commands if isinstance(c, do.AskReferences))


def test_while_nothing_is_amiss_the_one_asked_longest_ago_is_asked() -> None:
    state = _quiet_slave()
    _, second = state.references
    assert _asked(state) == (second,)


def test_all_are_asked_once_one_has_not_answered() -> None:
    state = _quiet_slave()
    first, *_ = state.references
    state.references = {**state.references, first: replace(state.references[first], answered_ms=-1)}
    assert _asked(state) == tuple(state.references)


def test_all_are_asked_while_the_peer_is_missed() -> None:
    state = _quiet_slave()
    state.peer_ms -= 100
    assert _asked(state) == tuple(state.references)
