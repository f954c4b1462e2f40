"""When ticks may be left out: only while nothing is under way and nobody is missed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ishmael.core import facts
from ishmael.core.state import State
from ishmael.sim.world import World
from ishmael.words.roles import Network
from ishmael.words.settings import Times


@pytest.fixture
def world() -> World:
    """A complete cluster in which nothing has happened for a while."""
    world = World(seed=3)
    world.boot_pair()
    assert world.run_until_complete()
    world.agenda.run_for(12_000)
    return world


def _state(world: World, number: int) -> State:
    keeper = world.nodes[number].keeper
    assert keeper is not None
    return keeper.state


def _ticks_in(world: World, number: int, span_ms: float) -> int:
    seen = set()
    end_ms = world.agenda.now_ms + span_ms
    while world.agenda.now_ms < end_ms:
        world.agenda.run_for(5)
        seen.add(_state(world, number).last_tick_ms)
    return len(seen)


def test_a_quiet_pair_takes_one_tick_of_three(world: World) -> None:
    """Both, the master and its slave."""
    for number in (1, 2):
        assert facts.quiet(_state(world, number))
        assert 14 <= _ticks_in(world, number, 1000) <= 20


def test_a_silent_master_is_suspected_no_later(world: World) -> None:
    """From the last beat on the slave has found out within suspect_ms, two ticks and what a tick may be late."""
    world.nodes[1].power_off()
    times = world.times
    last_ms = _state(world, 2).peer_ms
    while _state(world, 2).probe.last_ms < 0:
        world.agenda.run_for(1)
    assert _state(world, 2).probe.last_ms - last_ms <= times.suspect_ms + 2 * times.tick_ms + 5
    assert not facts.quiet(_state(world, 2))


def test_a_lost_link_ends_the_quiet_at_once(world: World) -> None:
    """The rules that follow from it are tried without waiting for the rarer tick."""
    world.nodes[1].link(Network.PHONE, up=False)
    assert not facts.quiet(_state(world, 1))


def test_times_that_leave_no_room_are_ticked_through(world: World) -> None:
    """A tick so long that three of them would look like a pause, or hide a missing beat, is never left out."""
    state = _state(world, 1).copied()
    state.config = replace(state.config, times=replace(Times(), tick_ms=38))
    state.peer_ms = state.heard_ms = state.reference_ms = state.reference_ask_ms = state.now_ms
    assert not facts.quiet(state)
    state.config = replace(state.config, times=Times())
    assert facts.quiet(state)
