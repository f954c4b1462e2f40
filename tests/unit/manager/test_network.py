"""Network interfaces and host name: refused with all findings, confirmed in time, else taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ishmael.manager.appliance import network
from ishmael.manager.jobs.journal import Journal
from ishmael.manager.jobs.model import JobState
from ishmael.manager.jobs.queue import Queue
from ishmael.manager.jobs.runner import Runner
from ishmael.manager.ports.network import Nic
from ishmael.manager.works.apply_network import KEPT
from ishmael.manager.works.catalogue import catalogue
from ishmael.words import places
from manager.helpers import Cut, findings, hurt_factory, run, stage
from manager.world import Machine, World

GOOD: dict[str, Any] = {
    "phone_nic": "phone0", "phone_address": "192.168.5.11/24", "internal_nic": "cable0",
    "internal_address": "10.255.0.1/30", "gateway": "192.168.5.1", "dns": ["192.168.5.1"], "host_name": "pbx1",
}  # fmt: skip
PHONE = "/etc/systemd/network/05-ishmael-phone0.network"


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        ({"phone_nic": "eth9", "internal_nic": "eth9"}, ["nic-missing", "nic-missing"]),
        ({"internal_nic": "phone0"}, ["same-nic-twice"]),
        ({"phone_address": "192.168.5.11"}, ["bad-address"]),
        ({"phone_address": "192.168.5.0/24", "internal_address": "10.255.0.3/30"}, ["bad-address", "bad-address"]),
        ({"phone_address": "127.0.0.2/8"}, ["bad-address"]),
        ({"internal_address": "10.255.0.1/31"}, ["bad-address"]),
        ({"internal_address": "192.168.5.200/28"}, ["networks-overlap"]),
        ({"internal_address": "8.8.8.9/30"}, ["internal-network-public"]),
        ({"internal_address": "100.64.0.1/30"}, []),
        ({"gateway": "10.0.0.1"}, ["outside-network"]),
        ({"gateway": "192.168.5.11"}, ["outside-network"]),
        ({"gateway": "x", "dns": ["y", "z"], "host_name": "-a-"}, ["bad-address"] * 3 + ["bad-host-name"]),
        ({"host_name": "ü"}, ["bad-host-name"]),
    ],
)
def test_all_that_is_wrong_is_told(change: dict[str, Any], codes: list[str], tmp_path: Path) -> None:
    """Everything at once, and nothing is written."""
    machine = World().machines[0]
    before = machine.image()
    assert findings(machine, "apply-network", {**GOOD, **change}, tmp_path) == codes
    assert machine.image() == before


def test_a_cable_network_of_two_is_allowed(tmp_path: Path) -> None:
    """/30 has two hosts: one for each node."""
    assert findings(World().machines[0], "apply-network", GOOD, tmp_path) == []


def test_without_link_one_may_go_on(tmp_path: Path) -> None:
    """The cable may come later."""
    machine = World().machines[0]
    machine.network.found[1] = Nic("cable0", "02:00:00:00:01:02", True, False, ())
    assert findings(machine, "apply-network", GOOD, tmp_path) == ["nic-no-link"]


@pytest.mark.parametrize("keeper", ["ifupdown", "NetworkManager", "nobody"])
def test_others_are_not_fought(keeper: str, tmp_path: Path) -> None:
    """Who else manages the interface is named, with the way out."""
    machine = World().machines[0]
    machine.network.managed_by = keeper
    assert findings(machine, "apply-network", GOOD, tmp_path) == ["network-managed-elsewhere"] * 2


def test_an_address_that_somebody_has_is_refused(tmp_path: Path) -> None:
    """Asked by ARP before anything is set."""
    machine = World().machines[0]
    machine.network.answering["192.168.5.11"] = "02:bb:00:00:00:01"
    assert findings(machine, "apply-network", GOOD, tmp_path) == ["address-taken"]


def test_locked_in_a_cluster(tmp_path: Path) -> None:
    """With the way out, and nothing else is said."""
    world = World()
    stage(world, "complete", tmp_path)
    for machine in world.machines:
        assert findings(machine, "apply-network", GOOD, tmp_path) == ["locked-by-cluster"]


def test_not_confirmed_is_taken_back(tmp_path: Path) -> None:
    """Nobody locks himself out: after the time everything is as before, the host name too."""
    machine = World().machines[0]
    machine.files.write(places.HOSTS, b"127.0.0.1\tlocalhost\n127.0.1.1\tnode1\n", 0o644)
    before = machine.image()
    job = run(machine, "apply-network", GOOD, tmp_path)
    assert (job.state, (job.error or {})["code"]) == (JobState.FAILED, "not-confirmed-in-time")
    assert machine.image() == before
    assert machine.host.host_name == "node1"
    assert machine.network.reconfigured == 2


class _Running:
    """A job up to the point at which it waits, then told something."""

    def __init__(self, machine: Machine, where: Path) -> None:
        self.machine, self.journal = machine, Journal(str(where / "jobs.sqlite"))
        self.works = catalogue(machine.hands)
        self.job = Queue(self.journal, self.works).submit("apply-network", GOOD, ())

    def go(self) -> JobState:
        from contextlib import nullcontext

        Runner(self.journal, self.works, nullcontext).run_next()
        return self.journal.job(self.job.id).state


def _takes(machine: Machine) -> None:
    """The kernel does as networkd is told."""
    raw = machine.files.read(PHONE)
    addresses = ("192.168.5.11/24", "10.255.0.1/30") if raw else ("10.77.0.11/24", "10.78.0.1/30")
    machine.network.found = [
        Nic(nic.name, nic.mac, True, True, (address,))
        for nic, address in zip(machine.network.found, addresses, strict=True)
    ]


def test_confirmed_stays(tmp_path: Path) -> None:
    """Files, host name and the line in /etc/hosts; nothing is left to undo."""
    machine = World().machines[0]
    running = _Running(machine, tmp_path)

    def taken() -> None:
        _takes(machine)
        running.journal.put_note(running.job.id, KEPT, True)

    machine.network.on_reconfigure = taken
    assert running.go() == JobState.DONE
    text = (machine.files.read(PHONE) or b"").decode()
    assert "Address=192.168.5.11/24\nGateway=192.168.5.1\nDNS=192.168.5.1\n" in text
    assert machine.host.host_name == "pbx1"
    assert b"127.0.1.1\tpbx1" in (machine.files.read(places.HOSTS) or b"")
    assert machine.files.read(places.NETWORK_UNDO) is None


def _told_anyhow(where: Path, *, kept: bool, at: int = 0, late: bool = False) -> tuple[JobState, Any]:
    """Run it on a fresh machine whose admin says whether to keep it, cut at a step when one is named; how all ends."""
    machine = World().machines[0]
    machine.files.write(places.HOSTS, b"127.0.0.1\tlocalhost\n127.0.1.1\tnode1\n", 0o644)
    machine.files.write(places.BOOT_ID, b"first\n", 0o444)
    machine.network.on_reconfigure = lambda: _takes(machine)
    running = _Running(machine, where)
    running.journal.put_note(running.job.id, KEPT, kept)
    if at:
        whole = running.works
        running.works = {**whole, "apply-network": hurt_factory(whole["apply-network"], at, late, Cut())}
        with pytest.raises(Cut):
            running.go()
        running.works = whole
    state = running.go()
    running.journal.close()
    return state, (machine.image(), machine.network.nics(), machine.host.host_name)


@pytest.mark.parametrize(
    ("at", "late", "kept"),
    [(at, late, kept) for at in (1, 2, 3) for late in (False, True) for kept in (False, True)
     if kept or (at, late) != (3, True)],
)  # fmt: skip
def test_cut_anywhere_and_resumed_ends_the_same(
    at: int, late: bool, kept: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A manager killed before or after any step, and started again in time, ends as the one that was not killed."""
    straight = _told_anyhow(tmp_path_factory.mktemp("straight"), kept=kept)
    assert straight[0] == (JobState.DONE if kept else JobState.FAILED)
    assert _told_anyhow(tmp_path_factory.mktemp("cut"), kept=kept, at=at, late=late) == straight


def test_taken_back_at_once_when_the_admin_says_so(tmp_path: Path) -> None:
    """Without waiting for the end of the time."""
    machine = World().machines[0]
    running = _Running(machine, tmp_path)
    machine.network.on_reconfigure = lambda: running.journal.put_note(running.job.id, KEPT, False)
    assert running.go() == JobState.FAILED
    assert (running.journal.job(running.job.id).error or {})["code"] == "not-kept"
    assert machine.files.read(PHONE) is None


def test_confirmed_but_not_there_is_taken_back(tmp_path: Path) -> None:
    """networkd took the files and set nothing."""
    machine = World().machines[0]
    running = _Running(machine, tmp_path)
    machine.network.on_reconfigure = lambda: running.journal.put_note(running.job.id, KEPT, True)
    assert running.go() == JobState.FAILED
    assert (running.journal.job(running.job.id).error or {})["code"] == "network-not-applied"


def test_a_power_cut_while_it_waits_ends_the_time(tmp_path: Path) -> None:
    """After the boot nobody can have confirmed: the old settings come back at once."""
    machine = World().machines[0]
    machine.files.write(places.BOOT_ID, b"first\n", 0o444)
    running = _Running(machine, tmp_path)

    class _Cut(BaseException):
        pass

    def cut() -> None:
        if machine.network.reconfigured == 1:
            machine.files.write(places.BOOT_ID, b"second\n", 0o444)
            raise _Cut

    machine.network.on_reconfigure = cut
    with pytest.raises(_Cut):
        running.go()
    assert machine.files.read(PHONE) is not None
    running.journal.put_note(running.job.id, "placed", True)
    begun_s = machine.hands.clock.now_s()
    assert running.go() == JobState.FAILED
    assert machine.hands.clock.now_s() - begun_s < 5
    assert machine.files.read(PHONE) is None


def test_hosts_keeps_what_else_is_in_it() -> None:
    """Only Debian's own line changes."""
    text = "127.0.0.1 localhost\n127.0.1.1 old.example old # own\n192.168.1.5 printer\n"
    assert network.hosts_with(text, "pbx1") == "127.0.0.1 localhost\n192.168.1.5 printer\n127.0.1.1\tpbx1\n"
