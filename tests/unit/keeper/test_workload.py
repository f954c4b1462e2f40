"""Plans: one process after the other, each with its limit; nothing waits, and the newest plan wins."""

from __future__ import annotations

import select
import time

from ishmael.keeper.services import Services
from ishmael.keeper.workload import Action, Plan, closing, opening, warming
from ishmael.words.profile import Profile, Unit

_PROFILE = Profile(
    "test",
    units=(Unit("database.service"), Unit("asterisk.service", warm=True, on_close="kill")),
    on_open=(("true",),),
)
_DEADLINE_S = 10


def _run(plan: Plan) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while plan.advance(time.monotonic_ns() // 1_000_000):
        assert time.monotonic() < deadline, "the plan did not end"
        poll = select.poll()
        poll.register(plan.fd, select.POLLIN)
        poll.poll(20)


def _actions(*argvs: str, limit_ms: int = 5000) -> list[Action]:
    return [Action(tuple(argv.split()), limit_ms, argv) for argv in argvs]


def test_opening_starts_in_order_and_then_runs_the_commands() -> None:
    """Units first, in their order; then what the profile asks for."""
    verbs = [action.argv[-1] for action in opening(_PROFILE)]
    assert verbs == ["database.service", "asterisk.service", "true"]


def test_closing_goes_in_reverse_and_kills_what_must_not_end_in_order() -> None:
    """Asterisk is killed, so that it unregisters nothing; the database is stopped, and killed when that takes too long."""
    actions = closing(_PROFILE, 5000)
    assert [action.argv[3] for action in actions] == ["kill", "stop"]
    assert actions[1].otherwise is not None
    assert actions[1].otherwise.argv[3] == "kill"


def test_only_warm_units_run_on_a_slave() -> None:
    """A cold unit is not started by warming."""
    assert [action.argv[-1] for action in warming(_PROFILE)] == ["asterisk.service"]


def test_a_plan_reports_every_failure_once() -> None:
    """Failures of needed actions are told; the rest still runs."""
    ended: list[list[str]] = []
    _run(Plan(_actions("false", "true", "/does/not/exist"), ended.append))
    assert ended == [["false: exit code 1", "/does/not/exist: No such file or directory"]]


def test_an_action_beyond_its_limit_is_killed_and_replaced() -> None:
    """A hanging stop is cut short, and the other way is tried."""
    ended: list[list[str]] = []
    hanging = Action(("sleep", "60"), 50, "stop", otherwise=Action(("true",), 5000, "kill"))
    began = time.monotonic()
    _run(Plan([hanging], ended.append))
    assert ended == [["stop: not done in 50 ms"]]
    assert time.monotonic() - began < _DEADLINE_S


def test_the_newest_plan_wins() -> None:
    """A close that comes while opening goes on alone; the open does not report any more."""
    ended: list[tuple[bool, list[str]]] = []
    services = Services(lambda opened, failures: ended.append((opened, failures)))
    services.profile = Profile("none", on_open=(("sleep", "0.2"),))
    services.open()
    services.advance(0)
    services.close(1000)
    deadline = time.monotonic() + _DEADLINE_S
    while not ended:
        assert time.monotonic() < deadline
        services.advance(time.monotonic_ns() // 1_000_000)
    assert ended == [(False, [])]
