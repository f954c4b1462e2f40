"""Services: what stands against settings, and that a change is whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from ishmael.manager.appliance import kept
from ishmael.manager.appliance.following import ServicesFollow
from ishmael.manager.jobs.journal import Journal
from ishmael.manager.jobs.model import JobState
from ishmael.manager.jobs.queue import Queue
from ishmael.manager.jobs.runner import Runner
from ishmael.manager.works.catalogue import catalogue
from ishmael.words import places
from ishmael.words.errors import HostFault, IshmaelError
from ishmael.words.profile import profile_from_toml
from ishmael.words.roles import Role
from manager.helpers import Cut, done, hurt_factory, run, stage
from manager.world import Machine, MemoryServices, World

PROFILE = Path(__file__).parents[3] / "profiles/asterisk.toml"
DHCP = ["enabled=true", "dhcp=true", "range_from=10.77.0.100", "range_to=10.77.0.200"]


def _world() -> World:
    world = World()
    for machine in world.machines:
        for service in kept.SERVICES.values():
            for unit in (*service.about.units, *service.about.enable):
                machine.services.add(unit, enabled=False, active=False)
    return world


def _refused(machine: Machine, service: str, pairs: Sequence[str], where: Path) -> list[tuple[str, str]]:
    before = machine.image()
    with pytest.raises(IshmaelError) as caught:
        run(machine, "apply-service", {"service": service, "set": list(pairs)}, where)
    assert machine.image() == before
    return [(f.field, f.code) for f in caught.value.findings]


@pytest.mark.parametrize(
    ("service", "pairs", "found"),
    [
        ("dns", ["range_from=10.77.0.5"], [("range_from", "range-holds-address")]),
        ("dns", ["range_from=192.0.2.1"], [("range_from", "range-outside")]),
        ("dns", ["range_to=10.77.0.255", "upstream=x"], [("upstream", "setting-invalid"), ("range_to", "range-outside")]),
        ("dns", ["range_to=10.77.0.99"], [("range_to", "range-upside-down")]),
        ("dns", ["lease_minutes=1", "colour=red"], [("lease_minutes", "setting-invalid"), ("colour", "unknown-setting")]),
        ("dns", ["reservations=00:11:22:33:44:55=10.77.0.70,00:11:22:33:44:56=10.77.0.70"], [("reservations", "given-twice")]),
        ("dns", ["domain=a b"], [("domain", "setting-invalid")]),
        ("mail", ["enabled=true"], [("smarthost", "setting-missing")]),
        ("mail", ["enabled=true", "smarthost=a", "user=u", "tls=none"], [("tls", "setting-invalid")]),
        ("fax", ["enabled=true", "number=12", "country_code=49", "area_code=x"],
         [("number", "setting-invalid"), ("area_code", "setting-invalid")]),
        ("ntp", ["enabled=maybe"], [("enabled", "setting-invalid")]),
    ],
)  # fmt: skip
def test_wrong_settings_are_all_named_and_nothing_is_changed(
    service: str, pairs: list[str], found: list[tuple[str, str]], tmp_path: Path
) -> None:
    """Each finding names its field."""
    world = _world()
    stage(world, "complete", tmp_path)
    first = DHCP if service == "dns" else []
    assert _refused(world.machines[0], service, [*first, *pairs], tmp_path) == found


def test_a_change_is_applied_and_runs_with_the_role(tmp_path: Path) -> None:
    """The master runs it at once; its unit is one of the workload's, and the slave follows without running it."""
    world = _world()
    stage(world, "complete", tmp_path)
    master, slave = world.machines
    done(master, "apply-service", {"service": "dns", "set": DHCP}, tmp_path)
    assert master.services.active("dnsmasq.service")
    assert not master.services.enabled("dnsmasq.service")
    profile = master.files.read(places.PROFILE)
    assert profile is not None
    assert [unit.name for unit in profile_from_toml(profile.decode()).units][-1] == "dnsmasq.service"
    path = kept.settings_path(kept.SERVICES["dns"])
    slave.files.write(path, master.files.read(path) or b"", 0o644)
    task = ServicesFollow(slave.hands, nullcontext)
    assert task.lacking()
    task.turn()
    assert not task.lacking()
    assert slave.files.read("/etc/dnsmasq.d/ishmael.conf") == master.files.read("/etc/dnsmasq.d/ishmael.conf")
    assert not slave.services.active("dnsmasq.service")
    assert slave.files.read(places.PROFILE) == profile


@pytest.mark.parametrize(
    ("name", "pairs"),
    [
        ("dns", DHCP),
        ("ntp", []),
        ("mail", ["smarthost=192.0.2.1"]),
        ("fax", ["number=+49 30 1234567", "country_code=49", "area_code=30"]),
    ],
)
def test_no_file_that_follows_lies_where_the_slave_has_a_copy(name: str, pairs: list[str], tmp_path: Path) -> None:
    """Gone with the master's before the slave's settings say so, it would be named as changed by hand, for ever."""
    world = _world()
    stage(world, "complete", tmp_path)
    master = world.machines[0]
    done(master, "apply-service", {"service": name, "set": ["enabled=true", *pairs]}, tmp_path)
    written = kept.notes(master.hands)[name]["files"]
    copied = [area.path for area in profile_from_toml(PROFILE.read_text()).files]
    assert written
    assert [path for path in written if path.startswith(tuple(f"{area}/" for area in copied))] == []


def test_a_slave_whose_checker_refuses_keeps_its_files_and_says_so(tmp_path: Path) -> None:
    """Settings that the slave's own programs refuse change nothing there."""
    world = _world()
    stage(world, "complete", tmp_path)
    master, slave = world.machines
    done(master, "apply-service", {"service": "ntp", "set": ["enabled=true"]}, tmp_path)
    path = kept.settings_path(kept.SERVICES["ntp"])
    slave.files.write(path, master.files.read(path) or b"", 0o644)
    slave.programs.says = "bad line 3"
    ServicesFollow(slave.hands, nullcontext).turn()
    assert slave.files.read("/etc/chrony/conf.d/ishmael.conf") is None
    assert "bad line 3" in kept.notes(slave.hands)["ntp"]["trouble"]


def _slave_to_follow(name: str, tmp_path: Path) -> tuple[Machine, ServicesFollow]:
    """A slave that has just got the settings of a service that was switched on."""
    world = _world()
    stage(world, "complete", tmp_path)
    master, slave = world.machines
    done(master, "apply-service", {"service": name, "set": ["enabled=true"]}, tmp_path)
    path = kept.settings_path(kept.SERVICES[name])
    slave.files.write(path, master.files.read(path) or b"", 0o644)
    return slave, ServicesFollow(slave.hands, nullcontext)


def _let_time_pass(machine: Machine, task: ServicesFollow) -> None:
    assert not task.lacking(), "a failure is not repeated at once"
    machine.hands.clock.sleep(11)
    assert task.lacking()
    task.turn()
    assert not task.lacking()


def test_a_slave_follows_once_the_package_is_installed(tmp_path: Path) -> None:
    """As the message says: install it, and nothing else is to be done."""
    slave, task = _slave_to_follow("ntp", tmp_path)
    slave.programs.missing = {kept.SERVICES["ntp"].about.program}
    task.turn()
    assert "is not installed" in kept.notes(slave.hands)["ntp"]["trouble"]
    slave.programs.missing = set()
    _let_time_pass(slave, task)
    assert slave.files.read("/etc/chrony/conf.d/ishmael.conf") is not None
    assert slave.services.active("chrony.service")
    assert kept.notes(slave.hands)["ntp"]["trouble"] == ""


def test_a_service_that_did_not_come_up_on_the_slave_is_told_and_tried_again(tmp_path: Path) -> None:
    """Its files are in place already; that alone is not the end of it."""
    slave, task = _slave_to_follow("ntp", tmp_path)
    restart = slave.services.restart

    def busy(unit: str) -> None:
        raise HostFault("service-failed", f"{unit}: port in use", "")

    slave.services.restart = busy  # type: ignore[method-assign]
    task.turn()
    assert slave.files.read("/etc/chrony/conf.d/ishmael.conf") is not None
    assert "port in use" in kept.notes(slave.hands)["ntp"]["trouble"]
    slave.services.restart = restart  # type: ignore[method-assign]
    _let_time_pass(slave, task)
    assert slave.services.active("chrony.service")
    assert kept.notes(slave.hands)["ntp"]["trouble"] == ""


def test_what_fails_again_and_again_is_tried_less_and_less_and_leaves_the_rest_alone(tmp_path: Path) -> None:
    """A unit that hangs at its start would hold the cluster lock most of the time; the one that runs is not restarted with it."""
    slave, task = _slave_to_follow("ntp", tmp_path)
    tries: list[str] = []

    def busy(unit: str) -> None:
        tries.append(unit)
        raise HostFault("service-failed", f"{unit}: port in use", "")

    slave.services.restart = busy  # type: ignore[method-assign]
    for _ in range(3600):
        if task.lacking():
            task.turn()
        slave.hands.clock.sleep(1)
    assert 12 < len(tries) < 20
    slave.services.start("chrony.service")
    slave.hands.clock.sleep(300)
    task.turn()
    assert len(tries) < 20
    assert kept.notes(slave.hands)["ntp"]["trouble"] == ""


def test_a_trouble_that_went_away_is_told_no_longer(tmp_path: Path) -> None:
    """Settings could not be read for a moment; the files had been in place all the time."""
    slave, task = _slave_to_follow("ntp", tmp_path)
    task.turn()
    path = kept.settings_path(kept.SERVICES["ntp"])
    whole = slave.files.read(path) or b""
    slave.files.write(path, b"=", 0o644)
    task.turn()
    assert "is not TOML" in kept.notes(slave.hands)["ntp"]["trouble"]
    assert not task.lacking()
    slave.files.write(path, whole, 0o644)
    assert task.lacking()
    task.turn()
    assert kept.notes(slave.hands)["ntp"]["trouble"] == ""


@pytest.mark.parametrize("at", range(1, 6))
def test_a_slave_cut_at_any_write_goes_on_where_it_was(at: int, tmp_path: Path) -> None:
    """Killed between the note and the file, it does not take the old file for one that somebody changed."""
    slave, task = _slave_to_follow("ntp", tmp_path)
    write, count = slave.files.write, 0

    def cut(path: str, data: bytes, mode: int) -> None:
        nonlocal count
        count += 1
        if count == at:
            raise Cut
        write(path, data, mode)

    slave.files.write = cut  # type: ignore[method-assign]
    with pytest.raises(Cut):
        task.turn()
    slave.files.write = write  # type: ignore[method-assign]
    assert kept.all_changed_by_hand(slave.hands) == {}
    again = ServicesFollow(slave.hands, nullcontext)
    again.turn()
    assert not again.lacking()
    assert slave.files.read("/etc/chrony/conf.d/ishmael.conf") is not None
    assert slave.services.active("chrony.service")


def test_a_service_of_a_node_that_became_master_meanwhile_is_not_stopped(tmp_path: Path) -> None:
    """The keeper has started it while the slave still followed."""
    slave, task = _slave_to_follow("dns", tmp_path)
    reload = slave.programs.reload_units

    def takes_over() -> None:
        reload()
        slave.other.on, slave.keeper.role = False, Role.MASTER
        slave.services.start("dnsmasq.service")

    slave.programs.reload_units = takes_over  # type: ignore[method-assign]
    task.turn()
    assert slave.services.active("dnsmasq.service")


def test_services_are_not_changed_on_a_slave(tmp_path: Path) -> None:
    """The way out is named."""
    world = _world()
    stage(world, "complete", tmp_path)
    assert _refused(world.machines[1], "ntp", ["enabled=true"], tmp_path) == [("", "not-master")]


def test_a_checker_that_refuses_and_a_package_that_is_missing(tmp_path: Path) -> None:
    """Both are told before anything is touched."""
    world = _world()
    machine = world.machines[0]
    machine.programs.says = "bad option"
    assert _refused(machine, "dns", ["enabled=true"], tmp_path) == [("", "service-refuses")]
    machine.programs.says, machine.programs.missing = "", {"/usr/sbin/dnsmasq"}
    assert _refused(machine, "dns", ["enabled=true"], tmp_path) == [("enabled", "service-package-missing")]


def test_a_service_that_does_not_come_up_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are those of before, also the one of Debian that was replaced."""
    machine = _world().machines[0]
    machine.files.write("/etc/postfix/main.cf", b"# Debian's own\n", 0o644)
    before = dict(machine.files.content)
    services = type(machine.services)
    monkeypatch.setattr(services, "restart", lambda self, unit: None)
    job = run(
        machine, "apply-service", {"service": "mail", "set": ["enabled=true", "smarthost=mail.example.org"]}, tmp_path
    )
    assert job.state == JobState.FAILED
    assert job.error is not None
    assert job.error["code"] == "service-not-up"
    assert machine.files.content == before


def test_what_was_there_comes_back_when_a_service_is_switched_off(tmp_path: Path) -> None:
    """Debian's own main.cf is kept and put back; the password is for root alone and never shown."""
    machine = _world().machines[0]
    machine.files.write("/etc/postfix/main.cf", b"# Debian's own\n", 0o644)
    machine.files.write("/root/secret", b"topsecret\n", 0o600)
    pairs = ["enabled=true", "smarthost=mail.example.org", "user=pbx"]
    job = done(machine, "apply-service", {"service": "mail", "set": pairs, "password_file": "/root/secret"}, tmp_path)
    assert machine.files.read("/etc/postfix/ishmael_sasl") == b"[mail.example.org]:587 pbx:topsecret\n"
    assert machine.files.mode("/etc/postfix/ishmael_sasl") == 0o600
    assert machine.files.mode("/etc/ishmael/services/mail.password") == 0o600
    assert "topsecret" not in str(job.to_mapping())
    done(machine, "apply-service", {"service": "mail", "set": ["enabled=false"]}, tmp_path)
    assert machine.files.read("/etc/postfix/main.cf") == b"# Debian's own\n"
    assert machine.files.read("/etc/postfix/ishmael_sasl") is None
    assert not machine.services.active("postfix@-.service")


def test_a_change_by_hand_is_found_and_put_back(tmp_path: Path) -> None:
    """It is told by name, never overwritten unasked, and put back on request."""
    machine = _world().machines[0]
    done(machine, "apply-service", {"service": "ntp", "set": ["enabled=true"]}, tmp_path)
    path = "/etc/chrony/conf.d/ishmael.conf"
    ours = machine.files.read(path)
    machine.files.write(path, b"by hand\n", 0o644)
    assert kept.changed_by_hand(machine.hands, kept.SERVICES["ntp"]) == [path]
    assert not ServicesFollow(machine.hands, nullcontext).lacking()
    assert _refused(machine, "ntp", ["stratum=9"], tmp_path) == [("", "changed-by-hand")]
    job = run(machine, "apply-service", {"service": "ntp", "set": []}, tmp_path, ("changed-by-hand",))
    assert job.state == JobState.DONE, job.error
    assert machine.files.read(path) == ours


@pytest.mark.parametrize(("trouble", "field"), [("unknown", "smarthost"), ("login", "user"), ("tls", "tls")])
def test_a_smarthost_that_fails_is_told_at_its_field(trouble: str, field: str, tmp_path: Path) -> None:
    """Unknown, or a wrong password."""
    machine = _world().machines[0]
    machine.programs.trouble = (trouble, "535 no")
    pairs = ["enabled=true", "smarthost=mail.example.org"]
    assert _refused(machine, "mail", pairs, tmp_path) == [(field, "smarthost-fails")]


def test_files_of_a_service_have_different_names() -> None:
    """They are laid aside by name for the checker, where one would hide the other."""
    machine = _world().machines[0]
    machine.files.write("/proc/1/status", b"CapBnd:\t00000000fcecffff\n", 0o444)
    given = {"smarthost": "a", "user": "u", "dhcp": True, "modem": "ttyS0"}
    for service in kept.SERVICES.values():
        values = {**kept.settings(machine.hands, service), **given}
        names = [Path(path).name for path in service.files(values, kept.place(machine.hands), "s")]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_what_fails_at_any_step_leaves_all_as_before(at: int, late: bool, tmp_path: Path) -> None:
    """Files, units, notes and the profile; so it may be cancelled, too."""
    world = _world()
    stage(world, "complete", tmp_path)
    machine = world.machines[0]
    done(machine, "apply-service", {"service": "ntp", "set": ["enabled=true"]}, tmp_path)
    before = world.image()
    journal, works = Journal(str(tmp_path / "job.sqlite")), catalogue(machine.hands)
    job = Queue(journal, works).submit("apply-service", {"service": "dns", "set": DHCP}, ())
    failing = {**works, "apply-service": hurt_factory(works["apply-service"], at, late, HostFault("x", "No.", ""))}
    Runner(journal, failing, nullcontext).run_next()
    assert journal.job(job.id).state == JobState.FAILED
    journal.close()
    assert world.image() == before


def test_a_change_may_be_cancelled_before_its_last_step(tmp_path: Path) -> None:
    """As the button on its page offers."""
    machine = _world().machines[0]
    before = machine.image()
    journal, works = Journal(str(tmp_path / "job.sqlite")), catalogue(machine.hands)
    queue = Queue(journal, works)
    job = queue.submit("apply-service", {"service": "dns", "set": DHCP}, ())
    restart = type(machine.services).restart
    cancelled: list[str] = []

    def meanwhile(services: MemoryServices, unit: str) -> None:
        if not cancelled:
            cancelled.append(str(queue.remove(job.id).state))
        restart(services, unit)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryServices, "restart", meanwhile)
        Runner(journal, works, nullcontext).run_next()
    ended = journal.job(job.id)
    journal.close()
    assert (cancelled, ended.state, (ended.error or {})["code"]) == (["running"], JobState.FAILED, "cancelled")
    assert machine.image() == before


@pytest.mark.parametrize("late", [False, True])
def test_cut_anywhere_and_resumed_ends_the_same(late: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    """As every other work: killed before or after any step, and resumed by a new manager."""
    wish = {"service": "dns", "set": DHCP}
    straight = _world()
    stage(straight, "master", where := tmp_path_factory.mktemp("straight"))
    done(straight.machines[0], "apply-service", wish, where)
    at, steps = 1, 1
    while at <= steps:
        world = _world()
        stage(world, "master", where := tmp_path_factory.mktemp("cut"))
        machine, journal = world.machines[0], Journal(str(where / "job.sqlite"))
        works = catalogue(machine.hands)
        steps = int(Queue(journal, works).plan("apply-service", wish, ())["steps"])
        job = Queue(journal, works).submit("apply-service", wish, ())
        with pytest.raises(Cut):
            cut = {**works, "apply-service": hurt_factory(works["apply-service"], at, late, Cut())}
            Runner(journal, cut, nullcontext).run_next()
        Runner(journal, catalogue(machine.hands), nullcontext).run_next()
        assert journal.job(job.id).state == JobState.DONE, (at, journal.job(job.id).error)
        journal.close()
        assert world.image() == straight.image(), at
        at += 1
    assert steps > 1


def test_telephones_know_the_cluster_ip_alone(tmp_path: Path) -> None:
    """dnsmasq calls itself by the address that it listens at: leases are renewed there, whichever node gave them."""
    world = _world()
    stage(world, "complete", tmp_path)
    machine = world.machines[0]
    done(machine, "apply-service", {"service": "dns", "set": DHCP}, tmp_path)
    lines = (machine.files.read("/etc/dnsmasq.d/ishmael.conf") or b"").decode().splitlines()
    assert "listen-address=10.77.0.10" in lines
    assert [line for line in lines if line.startswith("interface=") or "10.77.0.11" in line] == []
