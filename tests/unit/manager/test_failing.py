"""A service that does not stay up is told, and handed over only where the profile says so; the first call ends an outage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ishmael.manager.drivers.services import standings_from
from ishmael.manager.drivers.surroundings import read_answered
from ishmael.manager.story import stories
from ishmael.manager.watch.failing import AGAIN_S, DOWN_S, RESTARTS, WITHIN_S, FailingServices
from ishmael.manager.watch.first_call import FOR_S, FirstCall
from ishmael.words import places
from ishmael.words.errors import RequestRefused
from ishmael.words.profile import profile_from_toml
from manager.helpers import stage
from manager.world import PROFILE, Machine, World

UNIT = "asterisk.service"
HANDS_OVER = PROFILE + 'when_failing = "hand-over"\n'


def _master(where: Path, profile: str, name: str = "complete") -> tuple[Machine, FailingServices]:
    world = World()
    stage(world, name, where)
    machine = world.machines[0]
    machine.files.write(places.PROFILE, profile.encode(), 0o644)
    machine.services.add(UNIT, enabled=False, active=True)
    machine.keeper.asked.clear()
    watch = FailingServices(machine.hands)
    watch.look(0.0)
    watch.look(20.0)
    return machine, watch


def _crashes(machine: Machine, watch: FailingServices, times: Sequence[float]) -> None:
    for at_s in times:
        machine.services.restarts[UNIT] = machine.services.restarts.get(UNIT, 0) + 1
        watch.look(at_s)


def _told(machine: Machine) -> list[tuple[str, dict[str, Any]]]:
    return [(kind, facts) for kind, _why, facts in machine.keeper.told if kind == "service-failing"]


def test_single_crashes_are_systemds_business(tmp_path: Path) -> None:
    """Fewer than three in two minutes are not told, however many there are in a day."""
    machine, watch = _master(tmp_path, HANDS_OVER)
    _crashes(machine, watch, [30.0 + n * (WITHIN_S / 2 + 1) for n in range(12)])
    assert (_told(machine), machine.keeper.asked) == ([], [])


@pytest.mark.parametrize(("profile", "asked"), [(PROFILE, []), (HANDS_OVER, ["switch"])])
def test_a_service_that_keeps_dying_is_told_once_and_the_profile_decides(
    tmp_path: Path, profile: str, asked: list[str]
) -> None:
    """The third crash counts; what was told is not told again while it lasts."""
    machine, watch = _master(tmp_path, profile)
    _crashes(machine, watch, [30.0 + n for n in range(RESTARTS)])
    watch.look(36.0)
    policy = "hand-over" if asked else "notify"
    assert _told(machine) == [("service-failing", {"unit": UNIT, "policy": policy, "restarts": RESTARTS})]
    assert machine.keeper.asked == asked


def test_a_service_that_failed_for_good_or_stays_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed: at once. Neither failed nor running: after a while."""
    machine, watch = _master(tmp_path, PROFILE)
    machine.services.stop(UNIT)
    watch.look(30.0)
    assert len(_told(machine)) == 1
    standing = {UNIT: ("activating", 0)}
    monkeypatch.setattr(machine.services, "standings", lambda _units: standing)
    again = FailingServices(machine.hands)
    again.look(0.0)
    again.look(20.0)
    again.look(20.0 + DOWN_S - 1)
    assert len(_told(machine)) == 1
    again.look(20.0 + DOWN_S)
    assert len(_told(machine)) == 2


def test_a_slave_that_is_not_fit_is_asked_again_later(tmp_path: Path) -> None:
    """A refusal is no end; nor is it repeated every second."""
    machine, watch = _master(tmp_path, HANDS_OVER)
    machine.other.keeper.never_fit = True
    _crashes(machine, watch, [30.0, 31.0, 32.0])
    for at_s in (33.0, 34.0, 32.0 + AGAIN_S):
        watch.look(at_s)
    assert machine.keeper.asked == ["switch", "switch"]
    assert len(_told(machine)) == 1


def test_only_a_master_looks_and_not_at_what_was_before(tmp_path: Path) -> None:
    """Crashes while it was slave, and while it opened its services, move nothing."""
    machine, _watch = _master(tmp_path, HANDS_OVER)
    machine.other.services.add(UNIT, enabled=False, active=True)
    other = FailingServices(machine.other.hands)
    _crashes(machine.other, other, [30.0, 31.0, 32.0, 33.0])
    assert (_told(machine.other), machine.other.keeper.asked) == ([], [])
    machine.services.restarts[UNIT] = 9
    fresh = FailingServices(machine.hands)
    fresh.look(0.0)
    fresh.look(1.0)
    fresh.look(20.0)
    fresh.look(21.0)
    assert machine.keeper.asked == []


def test_a_wrong_policy_is_refused() -> None:
    """Two words are known."""
    with pytest.raises(RequestRefused, match=r"when_failing of asterisk.service is 'panic', not notify or hand-over"):
        profile_from_toml(PROFILE + 'when_failing = "panic"\n')


def test_what_systemd_says_is_read() -> None:
    """One block a unit; one without a count (no service) is left out."""
    text = "Id=a.service\nActiveState=active\nNRestarts=2\n\nId=b.target\nActiveState=active\n\nId=c.service\nActiveState=failed\nNRestarts=0\n"
    assert standings_from(text) == {"a.service": ("active", 2), "c.service": ("failed", 0)}


# --- the first call ---------------------------------------------------------------------------------------------------


class _List:
    def __init__(self, *events: dict[str, Any]) -> None:
        self.all = list(events)

    def newest(self, limit: int) -> list[dict[str, Any]]:
        return self.all[-limit:]


_NOW = datetime(2026, 1, 1, 3, 0, 30, tzinfo=UTC)


def _move(node: str = "node1", rule: str = "3a", ago_s: float = 8.5) -> dict[str, Any]:
    at = (_NOW - timedelta(seconds=ago_s)).isoformat(timespec="milliseconds")
    return {
        "id": f"{node}-{ago_s}",
        "at": at,
        "node": node,
        "kind": "became-master",
        "rule": rule,
        "why": "w",
        "facts": {},
    }


def test_the_first_answered_call_is_told_once() -> None:
    """With how long after the move; before there is one, nothing."""
    machine = World().machines[0]
    events = _List(_move())
    watch = FirstCall(machine.hands, events, lambda: _NOW)
    move = watch.awaited()
    assert move is not None
    machine.surroundings.up = 0
    machine.services.add("ishmael-keeper.service", enabled=True, active=True)
    assert not watch.ask(move)
    machine.surroundings.up = 1
    assert watch.ask(move)
    facts = {"channel": "PJSIP/101-00000001", "after_ms": 8500, "looked_every_ms": 250}
    assert machine.keeper.told == [("first-call", "The first call after the move was answered.", facts)]
    assert watch.awaited() is None


@pytest.mark.parametrize(
    "move", [_move(node="node2"), _move(rule="form"), _move(ago_s=FOR_S + 1), {**_move(), "at": "yesterday"}]
)
def test_no_call_is_waited_for(move: dict[str, Any]) -> None:
    """Another node's move, the set-up, an old one, one without a time."""
    assert FirstCall(World().machines[0].hands, _List(move), lambda: _NOW).awaited() is None


def test_a_call_that_was_told_is_not_waited_for_again() -> None:
    """A manager that is restarted finds it in the list."""
    told = {**_move(ago_s=2), "kind": "first-call"}
    assert FirstCall(World().machines[0].hands, _List(_move(), told), lambda: _NOW).awaited() is None


def test_the_story_ends_with_the_first_call() -> None:
    """It may come minutes later; a second one is not told."""
    call = {"id": "c", "node": "node1", "kind": "first-call", "rule": "", "why": "w", "facts": {"after_ms": 300000}}
    later = [{**call, "at": (_NOW + timedelta(seconds=s)).isoformat()} for s in (300, 301)]
    [story] = stories([_move(), *later])
    assert [line["text"] for line in story["lines"]][-1] == "The first call since then is answered here."
    assert len(story["lines"]) == 2


def test_an_answered_channel_is_found() -> None:
    """Ringing ones, and Asterisk's own, are none."""
    row = "{}!phones!102!1!{}!Dial!PJSIP/102,20!101!!!3!5!!1732521\n"
    text = row.format("PJSIP/102-00000002", "Ringing") + row.format("Local/5@x-1;2", "Up")
    assert read_answered(text) == ""
    assert read_answered(text + row.format("PJSIP/101-00000001", "Up")) == "PJSIP/101-00000001"
    assert read_answered("No such command\n") == ""
