"""Is the slave in step? Told by canaries alone."""

from __future__ import annotations

from typing import cast

from ishmael.dbwatch.session import Follower, Session, Sight
from ishmael.dbwatch.step import InStep


class _Server:
    """A master whose log grows by a hundred bytes a canary."""

    def __init__(self) -> None:
        self.now_s, self.position = 100.0, 1000

    def sing(self) -> int:
        self.position += 100
        return self.position

    def sight(self, flushed: int, replayed: int, *, streams: bool = True) -> Sight:
        follower = Follower(streams, flushed, replayed)
        return Sight(False, "ishmael_2", self.position, 0, follower, False)


def _watch() -> tuple[_Server, InStep]:
    server = _Server()
    return server, InStep(lambda: server.now_s)


def _look(server: _Server, step: InStep, sight: Sight) -> tuple[bool, str]:
    step.look(cast(Session, server), sight)
    return step.verdict(sight)


def test_a_slave_that_keeps_up_is_in_step() -> None:
    """Every canary flushed and applied at the next look."""
    server, step = _watch()
    step.must_have(1000)
    for _ in range(20):
        server.now_s += 0.1
        verdict = _look(server, step, server.sight(server.position, server.position))
    assert verdict == (True, "")
    assert step.canary_age_ms() is not None and (step.canary_age_ms() or 0) <= 300


def test_a_stalled_slave_is_out_of_step_within_a_second() -> None:
    """It streams on and flushes nothing: said between half a second and a second later."""
    server, step = _watch()
    for _ in range(10):
        server.now_s += 0.1
        _look(server, step, server.sight(server.position, server.position))
    stuck, begun_s = server.position, server.now_s
    while step.verdict(server.sight(stuck, stuck))[0]:
        server.now_s += 0.05
        _look(server, step, server.sight(stuck, stuck))
        assert server.now_s - begun_s < 2
    assert 0.5 <= server.now_s - begun_s <= 1.1


def test_what_was_acknowledged_before_must_be_there() -> None:
    """Streaming with no lag is not enough: the slave must have flushed up to the switch."""
    server, step = _watch()
    step.must_have(5000)
    server.now_s += 0.1
    assert _look(server, step, server.sight(4999, 4999)) == (False, "the slave does not have everything yet")
    assert _look(server, step, server.sight(5000, 5000)) == (True, "")


def test_a_slow_master_is_not_held_against_the_slave() -> None:
    """While no canary is written, none is overdue."""
    server, step = _watch()
    server.now_s += 0.1
    _look(server, step, server.sight(2000, 2000))
    server.now_s += 30
    assert _look(server, step, server.sight(2000, 2000)) == (True, "")


def test_a_slave_that_does_not_stream_is_named() -> None:
    """Gone is told apart from behind."""
    server, step = _watch()
    server.now_s += 0.1
    assert _look(server, step, server.sight(0, 0, streams=False)) == (False, "the slave does not stream")
