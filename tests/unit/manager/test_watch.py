"""Checks: results become hard states, stuck probes are given up, mails tell each event once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ishmael.checks.base import BOTH, MASTER, Check, Result, Seen, State, critical, ok, plugin, program
from ishmael.checks.catalogue import CHECKS
from ishmael.cli.app import app
from ishmael.cli.client import Api
from ishmael.manager.appliance import kept
from ishmael.manager.look import Look
from ishmael.manager.watch import mail as mail_module
from ishmael.manager.watch.cluster import ClusterChecks, Known
from ishmael.manager.watch.mail import Mailer
from ishmael.manager.watch.scheduler import Scheduler
from ishmael.manager.watch.standing import Standing
from ishmael.manager.watch.texts import KINDS, mail_text
from ishmael.words import places
from ishmael.words.errors import HostFault, RequestRefused
from ishmael.words.monitoring import Mail, Monitoring, monitoring_from_mapping, monitoring_from_toml
from manager.helpers import stage
from manager.world import World


def _check(probe: Callable[[Seen], Result], **more: Any) -> Check:
    return Check("T1", "test", ("Test", "Probe"), BOTH, probe, ("Do it.", "Tu es."), **more)


def _feed(standing: Standing, *states: State) -> list[list[str]]:
    return [standing.take(Result(state, state.name), f"2026-01-01T00:00:{n:02}") for n, state in enumerate(states)]


def test_a_change_is_told_once_when_it_is_hard() -> None:
    """Three equal results make it hard; the recovery is told too; a single slip is not."""
    standing = Standing(_check(lambda _: ok("")))
    bad = State.CRITICAL
    assert _feed(standing, State.OK, bad, State.OK, bad, bad, bad, bad) == [[], [], [], [], [], ["check-changed"], []]
    assert standing.hard is bad and standing.row("node1")["hard"]
    assert _feed(standing, State.OK, State.OK, State.OK)[-1] == ["check-changed"]


def test_flapping_is_told_once() -> None:
    """A check that changes all the time is told of once, not each time."""
    standing = Standing(_check(lambda _: ok(""), attempts=1))
    told = [kind for kinds in _feed(standing, *[State.OK, State.CRITICAL] * 12) for kind in kinds]
    assert told.count("check-flapping") == 1
    assert told.count("check-changed") < 7
    assert _feed(standing, *[State.CRITICAL] * 21)[-1:] and not standing.flapping


@pytest.mark.parametrize(
    ("words", "state", "part"),
    [
        (["sh", "-c", "echo 'DISK OK | /=5MB'"], State.OK, "DISK OK"),
        (["sh", "-c", "echo garbage; exit 77"], State.UNKNOWN, "garbage"),
        (["sh", "-c", "exit 2"], State.UNKNOWN, "ended with 2"),
        (["/no/such/plugin"], State.UNKNOWN, "cannot be run"),
        (["sh", "-c", "sleep 60 & wait"], State.UNKNOWN, "killed"),
    ],
)
def test_plugins_that_misbehave_are_unknown(words: list[str], state: State, part: str) -> None:
    """Garbage, silence, hanging with a child, or missing: never OK, and never for long."""
    begun = time.monotonic()
    found = plugin(words, 0.5)
    assert (found.state, part in found.output) == (state, True)
    assert time.monotonic() - begun < 3


def test_a_killed_program_says_so() -> None:
    """The limit is in the answer."""
    assert program(["sleep", "60"], 0.1)[0] == -1


def _scheduler(world: World, *checks: Check) -> Scheduler:
    machine = world.machines[0]
    seen = Seen(keeper={"role": "master"})
    return Scheduler(lambda: seen, machine.keeper, machine.hands.files, checks)


def test_a_stuck_probe_delays_nobody() -> None:
    """Another check is looked at while one hangs, and the one that hangs is UNKNOWN."""
    world, release, stop = World(), threading.Event(), threading.Event()

    def hang(_: Seen) -> Result:
        release.wait(20)
        return ok("too late")

    scheduler = _scheduler(
        world,
        _check(hang, limit_s=0.5, attempts=1),
        Check("T2", "other", ("Other", "Andere"), BOTH, lambda _: critical("broken"), ("x", "y"), attempts=1),
    )
    thread = threading.Thread(target=scheduler.run, args=(stop,), daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while [row["now"] for row in scheduler.rows("node1") if row["looked"]] != ["unknown", "critical"]:
            assert time.monotonic() < deadline, scheduler.rows("node1")
            stop.wait(0.05)
        assert scheduler.run_now("other", "node1")["now"] == "critical"
        assert scheduler.acknowledge("T2", "anna", "on it", "node1")["acknowledged"] == "anna: on it"
        with pytest.raises(RequestRefused):
            scheduler.run_now("nonsense", "node1")
    finally:
        release.set()
        stop.set()
        thread.join(5)
    assert ("check-changed", "T2") in [(kind, facts["check"]) for kind, _, facts in world.machines[0].keeper.told]


def test_a_keeper_that_does_not_answer_makes_nobody_forget() -> None:
    """It is restarted: the acknowledgement stays, nothing is told twice, and the recovery is told."""
    keeper = World().machines[0].keeper
    said = ("slave", None, "waiting", "slave", "standby", None)
    looks = [Seen(keeper={"role": role} if role else {}) for role in said]
    check = _check(lambda _: critical("broken"), attempts=1)
    scheduler = Scheduler(lambda: looks.pop(0), keeper, World().machines[0].hands.files, (check,))

    def rows() -> list[str]:
        scheduler._see()
        return [row["acknowledged"] for row in scheduler.rows("node1")]

    assert rows() == [""]
    scheduler._take(check, critical("broken"))
    scheduler.acknowledge("T1", "anna", "on it", "node1")
    assert rows() == rows() == rows() == ["anna: on it"]
    scheduler._take(check, ok("mended"))
    scheduler._tell()
    assert [facts["state"] for _, _, facts in keeper.told if "state" in facts] == ["critical", "ok"]
    assert rows() == rows() == []


@pytest.mark.parametrize(
    ("role", "code"), [("slave", "check-not-here"), ("standby", "no-checks-here"), ("", "no-checks-here")]
)
def test_who_asks_for_a_check_that_does_not_run_learns_why(role: str, code: str) -> None:
    """The other node's role looks at it, or nobody looks at anything here: a plugin is well with the former alone."""
    machine = World().machines[0]
    here = Check("T1", "test", ("Test", "Probe"), MASTER, lambda _: ok(""), ("x", "y"))
    scheduler = Scheduler(Seen, machine.keeper, machine.hands.files, (here,))
    scheduler._seen = Seen(keeper={"role": role})
    with pytest.raises(RequestRefused) as caught:
        scheduler.run_now("test", "node1")
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("code", "words", "ends"),
    [
        ("check-not-here", ["--elsewhere-is-ok"], (0, "AMI OK - why")),
        ("check-not-here", [], (3, "AMI UNKNOWN - why")),
        ("no-checks-here", ["--elsewhere-is-ok"], (3, "AMI UNKNOWN - why")),
    ],
)
def test_a_plugin_is_well_where_the_other_role_looks(
    monkeypatch: pytest.MonkeyPatch, code: str, words: list[str], ends: tuple[int, str]
) -> None:
    """No alarm for ever on a slave; a person who types it is told that nothing was looked at."""

    def refuse(*_: Any, **__: Any) -> None:
        raise RequestRefused(code, "why", "")

    monkeypatch.setattr(Api, "post", refuse)
    done = CliRunner().invoke(app, ["check", "ami", *words])
    assert (done.exit_code, done.stdout.strip()) == ends


class _List:
    """An event list that can be filled."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def newest(self, limit: int) -> list[dict[str, Any]]:
        return self.events[-limit:]

    def add(self, kind: str, age_s: float = 10.0, **facts: Any) -> None:
        at = (datetime.now(UTC) - timedelta(seconds=age_s)).isoformat(timespec="milliseconds")
        self.events.append(
            {"id": f"1-{len(self.events)}", "at": at, "epoch": "1.1", "node": "node1", "kind": kind, "rule": "3a",
             "why": "The master is silent.", "facts": facts}
        )  # fmt: skip


def _mailer(events: _List) -> tuple[Mailer, World]:
    world = World()
    hands = world.machines[0].hands
    mailer = Mailer(hands, Known(hands, events, Look(hands, events)), events)
    mailer._since = "2020-01-01"
    return mailer, world


def test_what_the_other_node_has_told_is_not_told_again() -> None:
    """After a failover the new master mails only what the old one had not."""
    events = _List()
    mailer, _ = _mailer(events)
    events.add("became-master")
    events.add("check-changed", check="N1", state="critical", output="no answer")
    events.add("check-changed", check="N2", state="critical", output="x", maintenance=True)
    events.add("view-changed")
    assert [event["id"] for event in mailer.waiting()] == ["1-0", "1-1"]
    events.add("mail-sent", events=["1-0"])
    assert [event["id"] for event in mailer.waiting()] == ["1-1"]


def test_what_was_told_by_a_clock_that_was_ahead_does_not_wait_for_it() -> None:
    """The clock was put right since."""
    events = _List()
    mailer, _ = _mailer(events)
    events.add("became-master", age_s=-3600)
    assert mailer._is_time(mailer.waiting())


def test_a_mail_that_fails_is_still_to_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is marked as told before the smarthost took it, and what was told survives a restart."""
    events, sent = _List(), list[str]()
    mailer, world = _mailer(events)
    events.add("check-changed", check="N1", state="critical", output="no answer")

    def refuse(*_: Any) -> None:
        raise HostFault("mail-unreachable", "no", "")

    monkeypatch.setattr(mail_module, "send", refuse)
    with pytest.raises(HostFault):
        mailer._send_all(Mail(host="h", to="a@b"), mailer.waiting())
    assert len(mailer.waiting()) == 1
    monkeypatch.setattr(mail_module, "send", lambda *words: sent.append(words[2]))
    mailer._send_all(Mail(host="h", to="a@b"), mailer.waiting())
    assert mailer.waiting() == [] and "Asterisk AMI on node1: CRITICAL" in sent[0]
    again = Mailer(
        world.machines[0].hands, Known(world.machines[0].hands, events, Look(world.machines[0].hands, events)), events
    )
    again._recall()
    assert again.waiting() == []


def test_without_a_smarthost_of_their_own_mails_go_by_the_mail_service() -> None:
    """The appliance's, where it is on: nobody need type one smarthost twice."""
    mailer, world = _mailer(_List())
    files = world.machines[0].files
    assert mailer._mail().host == ""
    path = kept.settings_path(kept.SERVICES["mail"])
    files.write(path, b'enabled = true\nsmarthost = "mail.example.org"\n', 0o644)
    mail = mailer._mail()
    assert (mail.host, mail.port, mail.security, mail.user) == ("127.0.0.1", 25, "none", "")
    files.write(places.MONITORING, b'schema = 1\n[mail]\nhost = "own.example.org"\n', 0o600)
    assert mailer._known.monitoring().mail.host == mailer._mail().host == "own.example.org"
    files.write(path, b"no toml", 0o644)
    files.write(places.MONITORING, b"schema = 1\n", 0o600)
    assert mailer._mail().host == ""


class _StopAfter(threading.Event):
    """Set after so many waits, without waiting.

    Args:
        waits: that are let through.
    """

    def __init__(self, waits: int) -> None:
        super().__init__()
        self._left = waits

    def wait(self, timeout: float | None = None) -> bool:
        self._left -= 1
        return self._left < 0


def test_a_mail_that_cannot_be_written_does_not_end_the_mailer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings from before addresses were checked may hold one with a line break; the report says what is wrong."""
    events = _List()
    mailer, world = _mailer(events)
    stage(world, "master", tmp_path)
    hands = world.machines[0].hands
    hands.files.write(
        places.MONITORING, Monitoring(mail=Mail(host="127.0.0.1", port=1, to="a@b")).to_toml().encode(), 0o600
    )
    events.add("check-changed", check="N1", state="critical", output="no answer")
    monkeypatch.setattr(mailer, "_to", lambda _: "a@b\nBcc: x@y")
    mailer.run(_StopAfter(2))
    assert "The mail cannot be written" in mailer.report()["error"]
    assert mailer.report()["waiting"] == 1


def test_mails_speak_both_languages() -> None:
    """What, when, and what to do, with the story of a move."""
    events = _List()
    events.add("taking")
    events.add("became-master", unheard_ms=340)
    events.add("check-changed", check="N5", state="warning", output="8 % free")
    wanted = [event for event in events.events if event["kind"] in KINDS]
    subject, body = mail_text(wanted, events.events, "pbx", "de")
    assert subject == "[pbx] node1 ist jetzt Master (und 1 weitere)"
    assert "Plattenplatz auf node1: WARNUNG" in body and "Zu tun: Löschen" in body and "Lücke: 340 ms" in body
    subject, body = mail_text(wanted, events.events, "pbx", "en")
    assert "node1 is master now" in subject and "What to do: Delete" in body and "Gap: 340 ms" in body


def test_a_mail_says_what_else_is_open() -> None:
    """Nobody has to conclude it from an OK that never came; what the mail itself tells is not said twice."""
    events = _List()
    events.add("check-changed", check="N5", state="critical", output="1 % free")
    events.add("check-changed", check="X1", state="critical", output="no carrier")
    events.add("check-changed", check="X1", state="ok", output="both links work")
    row = {"node": "node1", "state": "warning", "hint": "Do it.", "hint_de": "Tu es.", "acknowledged": False}
    standby = row | {
        "id": "X7",
        "title": "Failover possible",
        "title_de": "Failover möglich",
        "output": "node2 is on standby",
    }
    disk = row | {"id": "N5", "title": "Disk", "title_de": "Platte", "output": "1 % free"}
    subject, body = mail_text(events.events, events.events, "pbx", "en", [standby, disk])
    assert subject == "[pbx] Disk usage on node1: CRITICAL (and 2 more)"
    assert (
        "Open beside that:\n\nFailover possible on node1: WARNING: node2 is on standby\n    What to do: Do it." in body
    )
    assert body.count("1 % free") == 1
    assert "Außerdem offen:" in mail_text(events.events, events.events, "pbx", "de", [standby])[1]
    assert "Nothing is open" in mail_text(events.events, events.events, "pbx", "en", [])[1]
    # What has ended well meanwhile gives no mail its subject.
    assert (
        mail_text(events.events[1:], events.events, "pbx", "en", [])[0]
        == "[pbx] Links between the nodes on node1: OK (and 1 more)"
    )


@pytest.mark.parametrize(
    "raw",
    [
        {"mail": {"security": "magic"}}, {"mail": {"port": 0}}, {"mail": {"port": "25"}}, {"mail": {"to": "nobody"}},
        {"mail": {"user": "a", "security": "none"}}, {"icinga": {"url": "http://x"}}, {"nonsense": 1},
        {"notify_only": ["F5"]}, {"raid": "yes"}, {"mail": {"host": "a\nb"}}, {"schema": 9},
        {"mail": {"to": "a@"}}, {"mail": {"sender": "a@b\x7f"}},
    ],
)  # fmt: skip
def test_a_wrong_monitoring_file_is_refused_by_name(raw: dict[str, Any]) -> None:
    """The field is named."""
    with pytest.raises(RequestRefused) as caught:
        monitoring_from_mapping(raw)
    assert next(iter(raw)) in caught.value.message


def test_the_monitoring_file_survives_writing() -> None:
    """What was written is read again, quotes included; passwords are never shown."""
    made = Monitoring(mail=Mail(host="m", password='a"b\\c', user="u"), notify_only=("F3",))
    assert monitoring_from_toml(made.to_toml()) == made
    assert made.shown()["mail"]["password"] == "set"


def test_ids_and_names_are_unique() -> None:
    """Each can be asked for by either."""
    words = [word for check in CHECKS for word in (check.id.lower(), check.name)]
    assert len(words) == len(set(words)) == 2 * len(CHECKS)


def test_the_lamp_shows_the_worst_that_nobody_acknowledged() -> None:
    """Red for a critical one; an acknowledged one counts no more but stays listed."""
    world, events = World(), _List()
    hands = world.machines[0].hands
    scheduler = _scheduler(world, _check(lambda _: critical("broken"), attempts=1))
    scheduler._seen = Seen(keeper={"role": "master"})
    scheduler._choose()
    scheduler._take(scheduler._all["T1"], critical("broken"))
    cluster = ClusterChecks(hands, scheduler, Known(hands, events, Look(hands, events)), events)
    assert (cluster.lamp()["state"], cluster.lamp()["colour"]) == ("critical", "red")
    assert cluster.lamp()["reasons"][0]["hint"] == "Do it."
    assert 'ishmael_check_state{id="T1"' in cluster.metrics()
    scheduler.acknowledge("T1", "anna", "", "node1")
    assert cluster.lamp()["state"] == "ok" and len(cluster.lamp()["reasons"]) == 1


def test_a_monitoring_file_that_is_not_valid_is_told() -> None:
    """Who edits it by hand learns that nobody is mailed, and why; mended, the complaint is gone."""
    world, events = World(), _List()
    hands = world.machines[0].hands
    mailer = Mailer(hands, Known(hands, events, Look(hands, events)), events)
    hands.files.write(places.MONITORING, b"schema = 1\nraid = true\nraid = true\n", 0o600)
    assert "not valid" in mailer.report()["error"] and "nobody is told" in mailer.report()["error"]
    hands.files.write(places.MONITORING, Monitoring().to_toml().encode(), 0o600)
    assert mailer.report()["error"] == ""
