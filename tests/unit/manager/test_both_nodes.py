"""Checks and the maintenance window of the other node, asked from the master through its door."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer
from typing import Any

import pytest

from ishmael.checks.base import BOTH, Check, critical
from ishmael.manager.door.answers import Door
from ishmael.manager.drivers.own_checks import ManagersChecks
from ishmael.manager.look import Look
from ishmael.manager.watch.cluster import ClusterChecks, Known
from ishmael.manager.watch.scheduler import Scheduler
from ishmael.manager.watch.window import Window, WindowBook, window_from_json
from ishmael.words import places
from ishmael.words.errors import HostFault, PeerFault, RequestRefused
from manager.helpers import stage
from manager.world import Machine, World

PROBED = Check("T1", "test", ("Test", "Probe"), BOTH, lambda _: critical("broken"), ("x", "y"), attempts=1)


class _Events:
    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def newest(self, limit: int) -> list[dict[str, Any]]:
        return self.events[-limit:]


def _manager(machine: Machine) -> ClusterChecks:
    """The part of a node's manager that knows checks; its one check is critical."""
    hands, events = machine.hands, _Events()
    known = Known(hands, events, Look(hands, events))
    scheduler = Scheduler(known.seen, hands.keeper, hands.files, [PROBED])
    scheduler._seen = known.seen()
    scheduler._choose()
    scheduler._take(PROBED, critical("broken"))
    scheduler._save()
    machine.own_checks.scheduler, machine.own_checks.node = scheduler, machine.name
    return ClusterChecks(hands, scheduler, known, events)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World()
    stage(made, "complete", tmp_path)
    return made


def test_a_problem_of_the_slave_is_acknowledged_on_the_master(world: World) -> None:
    """It takes effect there, and the master's list shows it at once; its history is told, too."""
    master, slave = map(_manager, world.machines)
    asked: list[str] = []
    slave.scheduler.run_now = lambda word, node: asked.append(word) or slave.scheduler.rows(node)[0]  # type: ignore[method-assign,func-returns-value]
    row = master.acknowledge("test", "anna", "fans", "node2")
    assert (row["node"], row["acknowledged"]) == ("node2", "anna: fans")
    assert slave.scheduler.rows("node2")[0]["acknowledged"] == "anna: fans"
    assert master.scheduler.rows("node1")[0]["acknowledged"] == ""
    assert master.run_now("T1", "node2")["node"] == "node2" and asked == ["T1"]
    assert master.history("T1", "node2")[0]["state"] == "critical" == master.history("T1")[0]["state"]


def test_the_masters_list_has_the_answer_at_once(world: World) -> None:
    """Not only when the other node is asked for everything again."""
    master, _ = map(_manager, world.machines)
    master.bring()
    assert [row["node"] for row in master.all()["checks"]] == ["node1", "node2"]
    master.acknowledge("T1", "anna", "", "node2")
    assert [row["acknowledged"] for row in master.all()["checks"]] == ["", "anna"]


def test_what_was_told_before_it_looked_counts_no_more(world: World) -> None:
    """An event from before the last look does not stand over what was seen by then."""
    master, _ = map(_manager, world.machines)
    master.bring()
    looked = datetime.now(UTC) + timedelta(seconds=9)
    event = {"id": "2-1", "kind": "check-changed", "node": "node2", "facts": {"check": "T1", "state": "ok"}}
    at = (looked - timedelta(seconds=5)).isoformat(timespec="milliseconds")
    master._events.events.append({**event, "at": at})  # type: ignore[attr-defined]
    assert master.all()["checks"][1]["state"] == "ok"
    master._peer[0]["looked"] = looked.isoformat(timespec="milliseconds")
    assert master.all()["checks"][1]["state"] == "critical"


def test_what_was_told_by_a_clock_that_was_ahead_does_not_stand_over_what_is_seen_now(world: World) -> None:
    """The slave had booted an hour ahead; its clock is right now, and what it tells from now on counts."""
    master, _ = map(_manager, world.machines)
    events = master._events.events  # type: ignore[attr-defined]
    event = {"kind": "check-changed", "node": "node2", "facts": {"check": "T1", "state": "warning"}}
    events.append(
        {**event, "id": "2-1", "at": (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="milliseconds")}
    )
    master.bring()
    assert master.all()["checks"][1]["state"] == "critical"
    later = {**event, "id": "2-2", "at": (datetime.now(UTC) + timedelta(seconds=1)).isoformat(timespec="milliseconds")}
    events.append({**later, "facts": {"check": "T1", "state": "ok"}})
    assert master.all()["checks"][1]["state"] == "ok"


def test_a_slave_that_has_only_begun_to_look_is_asked_again_soon(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not after a minute only; one that has told is."""
    master, slave = map(_manager, world.machines)
    assert slave is not None
    monkeypatch.setattr("ishmael.manager.watch.cluster._ASK_AT_ONCE_S", 0.0)
    asked: list[int] = []
    bring = master.bring

    def counted() -> None:
        asked.append(1)
        if len(asked) > 2:
            bring()

    monkeypatch.setattr(master, "bring", counted)

    class _Looks(threading.Event):
        left = 6

        def wait(self, timeout: float | None = None) -> bool:
            del timeout
            self.left -= 1
            return self.left < 0

    master.run(_Looks())
    assert len(asked) == 3


def test_what_cannot_be_asked_is_refused_in_words(world: World) -> None:
    """No such node or check, a manager that is down there, a node that is off."""
    master, _ = map(_manager, world.machines)
    for word, node, code in (("T1", "node3", "no-such-node"), ("T9", "node2", "no-such-check")):
        with pytest.raises(RequestRefused) as refused:
            master.run_now(word, node)
        assert refused.value.code == code
    world.machines[1].own_checks.scheduler = None
    with pytest.raises(PeerFault) as silent:
        master.history("T1", "node2")
    assert silent.value.code == "manager-down"
    world.machines[1].on = False
    with pytest.raises(PeerFault) as off:
        master.acknowledge("T1", "anna", "", "node2")
    assert off.value.code == "peer-unreachable"


@pytest.mark.parametrize(
    "arguments",
    [
        {}, {"check": "T1"}, {"check": "T1", "what": "forget"}, {"check": "T1", "what": "run", "user": "anna"},
        {"check": "../users", "what": "run"}, {"check": 7, "what": "run"}, {"check": "T1", "what": ["run"]},
        {"check": "T1", "what": "acknowledge", "user": "a\r\nX-Evil: 1", "why": ""},
        {"check": "T1", "what": "acknowledge", "user": "", "why": ""},
        {"check": "T1", "what": "acknowledge", "user": "anna", "why": "x" * 201},
    ],
)  # fmt: skip
def test_the_door_judges_what_it_is_asked(world: World, arguments: dict[str, Any]) -> None:
    """Nothing of it reaches the manager."""
    _manager(world.machines[1])
    answer = Door(world.machines[1].hands, lambda: None).answer({"op": "check", "arguments": arguments})  # type: ignore[arg-type,return-value]
    assert answer["error"]["code"] == "bad-arguments"


def test_a_window_of_the_master_holds_on_both_and_survives(world: World) -> None:
    """It is on the disk of both: the slave that takes over keeps it, and so does a restarted manager."""
    master, slave = map(_manager, world.machines)
    master.scheduler.begin_maintenance(60, "fans")
    assert not slave.scheduler.in_maintenance()
    master.bring()
    assert (
        slave.scheduler.maintenance()
        == master.scheduler.maintenance()
        == {**slave.scheduler.maintenance(), "active": True}
    )
    assert _manager(world.machines[1]).scheduler.maintenance()["why"] == "fans"
    master.scheduler.end_maintenance()
    master.bring()
    assert not slave.scheduler.in_maintenance()


def test_a_window_waits_for_a_slave_that_is_off(world: World) -> None:
    """It holds on the master, it is said that the other was not reached, and it is brought when it is back."""
    master, slave = map(_manager, world.machines)
    world.machines[1].on = False
    master.scheduler.begin_maintenance(60, "")
    master.bring()
    assert master.all()["unreached"] and master._sent != master._brought()
    world.machines[1].on = True
    master.bring()
    assert slave.scheduler.in_maintenance() and master._sent == master._brought()


def test_a_window_of_the_slave_comes_to_the_master(world: World) -> None:
    """What was said last counts, wherever; also when the clock there is ahead."""
    master, slave = map(_manager, world.machines)
    master.scheduler.begin_maintenance(60, "old")
    master.bring()
    slave.scheduler.begin_maintenance(30, "new")
    master.bring()
    assert master.scheduler.maintenance()["why"] == "new"
    ahead = Window("2099-01-01T00:00:00.000+00:00", "2099-01-01T01:00:00.000+00:00", "ahead")
    WindowBook(world.machines[1].hands.files)._write(ahead)
    master.bring()
    master.scheduler.end_maintenance()
    master.bring()
    assert not slave.scheduler.in_maintenance()


@pytest.mark.parametrize(
    "text",
    ["x", "[]", "{}", '{"at": 1, "until": "", "why": ""}', '{"at": "2026", "until": "", "why": ""}', "[" * 5000,
     '{"at": "2026-01-01T00:00:00.000+00:00", "until": "for ever", "why": ""}'],
)  # fmt: skip
def test_what_is_no_window_is_refused(text: str, world: World) -> None:
    """By the door; and a damaged file is no window."""
    with pytest.raises(RequestRefused):
        window_from_json(text)
    files = world.machines[1].hands.files
    files.write(places.MAINTENANCE, text.encode(), 0o600)
    assert not WindowBook(files).now().is_open()


class _Answers(BaseHTTPRequestHandler):
    """A manager of canned answers on a Unix socket."""

    def _say(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        self.server.heard = (self.path, self.headers.get("X-Ishmael-User"), self.rfile.read(size))  # type: ignore[attr-defined]
        body = json.dumps(self.server.told[1]).encode()  # type: ignore[attr-defined]
        self.send_response(self.server.told[0])  # type: ignore[attr-defined]
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _say  # noqa: N815 - as http.server wants them called

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def test_the_manager_is_asked_over_its_socket(tmp_path: Path) -> None:
    """What it refuses with is raised again; one that is silent is told as such."""
    path = str(tmp_path / "api.sock")
    checks = ManagersChecks(path)
    with pytest.raises(HostFault) as silent:
        checks.run("N1")
    assert silent.value.code == "manager-down"
    with UnixStreamServer(path, _Answers) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        server.told = (200, {"schema": 1, "id": "N1"})  # type: ignore[attr-defined]
        assert checks.acknowledge("N1", "anna", "fans") == {"id": "N1"}
        assert server.heard == ("/api/v1/checks/N1/acknowledge", "anna", b'{"why": "fans"}')  # type: ignore[attr-defined]
        server.told = (200, {"schema": 1, "history": [{"at": ""}]})  # type: ignore[attr-defined]
        assert checks.history("N1") == [{"at": ""}]
        server.told = (422, {"whose": "request", "code": "check-is-well", "detail": "It is well."})  # type: ignore[attr-defined]
        with pytest.raises(RequestRefused) as refused:
            checks.acknowledge("N1", "anna", "")
        assert refused.value.code == "check-is-well"
        server.shutdown()
