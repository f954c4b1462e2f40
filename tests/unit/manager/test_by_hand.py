"""Changes by hand in services' files: told by name, taken over on both nodes, or put back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ishmael.manager.appliance import by_hand, kept, own
from ishmael.manager.appliance.following import ServicesFollow
from ishmael.manager.drift import Drift
from ishmael.manager.jobs.model import JobState
from ishmael.words.errors import IshmaelError, RequestRefused
from manager.helpers import done, run, stage
from manager.test_services import DHCP, _refused, _world
from manager.world import Machine, World

DNS = "/etc/dnsmasq.d/ishmael.conf"
TAKE_OVER = {"service": "dns", "own_lines": "take-over"}
TEXTS = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=8).map(lambda lines: "\n".join(lines).encode())


@given(TEXTS, TEXTS)
def test_what_was_taken_over_gives_the_file_as_it_was_found(meant: bytes, found: bytes) -> None:
    """Whatever was changed, also among lines that are alike; and through what lies on disk."""
    lines = own.from_json(own.to_json({"x": own.hunks(meant, found)}))
    assert own.applied(meant, lines.get("x", ())) == found


def test_own_lines_survive_other_settings() -> None:
    """A line that was taken out is not missed when it is written no longer; an added one stands at its place, or at the end."""
    lines = own.hunks(b"a\nb\nc\n", b"a\nnew\nc\nlast\n")
    assert own.applied(b"a\nb\nc\n", lines) == b"a\nnew\nc\nlast\n"
    assert own.applied(b"x\na\nc\n", lines) == b"x\na\nnew\nc\nlast\n"
    assert own.applied(b"y\n", lines) == b"y\nnew\nlast\n"


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"files": 7}', b'{"files": {"x": [{}]}}', b'{"files": {"x": ["y"]}}'])
def test_lines_that_cannot_be_read_are_refused_by_name(raw: bytes) -> None:
    """With the file and the way out."""
    machine = _world().machines[0]
    machine.files.write("/etc/ishmael/services/dns.own.json", raw, 0o644)
    with pytest.raises(RequestRefused) as refused:
        kept.own_lines(machine.hands, kept.SERVICES["dns"])
    assert "dns.own.json" in refused.value.message and refused.value.hint


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A complete cluster with DNS, on whose master a line was added by hand."""
    world = _world()
    stage(world, "complete", tmp_path)
    done(world.machines[0], "apply-service", {"service": "dns", "set": DHCP}, tmp_path)
    _edit(world.machines[0])
    return world


def _edit(machine: Machine) -> None:
    data = machine.files.read(DNS) or b""
    machine.files.write(DNS, data.replace(b"bogus-priv\n", b"bogus-priv\nlog-queries\n"), 0o644)


def _bring(world: World) -> None:
    """The slave gets what lies among the shared settings, and follows."""
    master, slave = world.machines
    for path in (kept.settings_path(kept.SERVICES["dns"]), kept.own_path(kept.SERVICES["dns"])):
        data = master.files.read(path)
        if data is None:
            slave.files.remove(path)
        else:
            slave.files.write(path, data, 0o644)
    ServicesFollow(slave.hands, nullcontext).turn()


def test_a_change_is_shown_by_name_with_its_lines(world: World) -> None:
    """In the list of drift too, and in no other way while a job works."""
    machine = world.machines[0]
    (found,) = by_hand.by_hand(machine.hands, kept.SERVICES["dns"])
    assert (found.path, found.against) == (DNS, "")
    assert "+log-queries" in found.difference
    assert Drift(machine.hands, nullcontext).names() == [DNS]
    drift = Drift(machine.hands, nullcontext)
    with drift.noting():
        assert DNS not in drift.names()


def test_taken_over_it_holds_on_both_nodes_and_through_other_settings(world: World, tmp_path: Path) -> None:
    """The lines are checked, reach the slave, and stay when a setting is changed; dropped, they are gone on both."""
    master, slave = world.machines
    job = done(master, "apply-service", TAKE_OVER, tmp_path)
    assert b"log-queries" in (master.files.read(DNS) or b"")
    assert kept.changed_by_hand(master.hands, kept.SERVICES["dns"]) == []
    assert b"log-queries" in master.programs.looked_at[-1][DNS], job
    _bring(world)
    assert slave.files.read(DNS) == master.files.read(DNS)
    done(master, "apply-service", {"service": "dns", "set": ["lease_minutes=60"]}, tmp_path)
    data = master.files.read(DNS) or b""
    assert b"log-queries" in data and b",60m" in data
    (lines,) = by_hand.lines_of_own(master.hands, kept.SERVICES["dns"])
    assert lines["path"] == DNS and "+log-queries" in lines["difference"] and "60m" not in lines["difference"]
    done(master, "apply-service", {"service": "dns", "own_lines": "drop"}, tmp_path)
    _bring(world)
    for machine in world.machines:
        assert b"log-queries" not in (machine.files.read(DNS) or b"")
        assert machine.files.read(kept.own_path(kept.SERVICES["dns"])) is None


def test_a_slave_puts_its_own_files_back_and_nothing_else(world: World, tmp_path: Path) -> None:
    """Settings are the master's; what was changed by hand on the slave is put back there, and never taken over."""
    master, slave = world.machines
    _bring(world)
    meant = slave.files.read(DNS)
    _edit(slave)
    assert _refused_own(slave, "take-over", tmp_path) == [("", "not-master")]
    assert _refused(slave, "dns", ["dhcp=false"], tmp_path) == [("", "not-master")]
    job = run(slave, "apply-service", {"service": "dns", "set": []}, tmp_path, ("changed-by-hand",))
    assert job.state == JobState.DONE, job.error
    assert slave.files.read(DNS) == meant
    assert not slave.services.active("dnsmasq.service")
    assert b"log-queries" in (master.files.read(DNS) or b"")


def _refused_own(machine: Machine, wish: str, where: Path, service: str = "dns") -> list[tuple[str, str]]:
    before = machine.image()
    with pytest.raises(IshmaelError) as caught:
        run(machine, "apply-service", {"service": service, "own_lines": wish}, where)
    assert machine.image() == before
    return [(finding.field, finding.code) for finding in caught.value.findings]


def test_what_cannot_be_taken_over_is_told_with_the_reason(world: World, tmp_path: Path) -> None:
    """A file that is gone, is no text, is too long, or holds a password; nothing to take over, nothing to drop, no such wish."""
    machine = world.machines[0]
    for data in (b"\xff\xfe", b"x" * (own.LIMIT_BYTES + 1)):
        machine.files.write(DNS, data, 0o644)
        assert _refused_own(machine, "take-over", tmp_path) == [("own_lines", "not-to-be-taken")]
    machine.files.remove(DNS)
    assert _refused_own(machine, "take-over", tmp_path) == [("own_lines", "not-to-be-taken")]
    machine.files.write("/root/secret", b"topsecret\n", 0o600)
    pairs = ["enabled=true", "smarthost=mail.example.org", "user=pbx"]
    done(machine, "apply-service", {"service": "mail", "set": pairs, "password_file": "/root/secret"}, tmp_path)
    assert _refused_own(machine, "take-over", tmp_path, "mail") == [("own_lines", "nothing-by-hand")]
    machine.files.write("/etc/postfix/ishmael_sasl", b"mine\n", 0o600)
    (found,) = by_hand.by_hand(machine.hands, kept.SERVICES["mail"])
    assert "topsecret" not in found.difference and "mine" not in found.difference
    assert _refused_own(machine, "take-over", tmp_path, "mail") == [("own_lines", "not-to-be-taken")]
    assert _refused_own(machine, "drop", tmp_path) == [("own_lines", "no-own-lines")]
    assert _refused_own(machine, "burn", tmp_path) == [("own_lines", "setting-invalid")]


def test_lines_that_the_checker_refuses_are_not_taken_over(world: World, tmp_path: Path) -> None:
    """The service's own program has its say about them, too."""
    machine = world.machines[0]
    machine.programs.says = "bad option at line 9"
    assert _refused_own(machine, "take-over", tmp_path) == [("", "service-refuses")]


def test_taking_over_is_undone_when_the_service_does_not_come_up(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is as the admin left it, and still counts as changed by hand."""
    machine = world.machines[0]
    here = machine.files.read(DNS)
    machine.services.stop("dnsmasq.service")
    monkeypatch.setattr(type(machine.services), "restart", lambda self, unit: None)
    job = run(machine, "apply-service", TAKE_OVER, tmp_path)
    assert (job.state, (job.error or {}).get("code")) == (JobState.FAILED, "service-not-up")
    assert machine.files.read(DNS) == here
    assert machine.files.read(kept.own_path(kept.SERVICES["dns"])) is None
    assert kept.changed_by_hand(machine.hands, kept.SERVICES["dns"]) == [DNS]


def wait_for(holds: Callable[[], bool]) -> bool:
    """Within ten seconds."""
    limit_s = time.monotonic() + 10
    while not holds() and time.monotonic() < limit_s:
        time.sleep(0.02)
    return holds()


def test_services_follow_one_at_a_time(tmp_path: Path) -> None:
    """The lock is let go between two of them: a master that adds this node waits for one restart at most."""
    master, slave = _world().machines
    for name, pairs in (("dns", ["enabled=true"]), ("ntp", ["enabled=true"])):
        done(master, "apply-service", {"service": name, "set": pairs}, tmp_path)
        path = kept.settings_path(kept.SERVICES[name])
        slave.files.write(path, master.files.read(path) or b"", 0o644)
    written: list[int] = []

    @contextmanager
    def lock() -> Iterator[None]:
        before = set(slave.files.content)
        yield
        written.append(
            len([path for path in set(slave.files.content) - before if "dnsmasq" in path or "chrony" in path])
        )

    task, stop = ServicesFollow(slave.hands, lock), threading.Event()
    thread = threading.Thread(target=task.run, args=(stop,))
    thread.start()
    assert wait_for(lambda: not task.lacking())
    stop.set()
    thread.join(10)
    assert max(written) == 1 and sum(written) == 2
