"""What was changed outside the product is found by name; what jobs change is not."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from ishmael.checks.base import Seen, State
from ishmael.checks.x_knowing import drift as probe
from ishmael.manager.drift import Drift
from ishmael.manager.jobs.journal import Journal
from ishmael.manager.jobs.queue import Queue
from ishmael.manager.jobs.runner import Runner
from ishmael.manager.works.catalogue import catalogue
from ishmael.words import places
from ishmael.words.errors import RequestRefused
from manager.helpers import SET_UP, stage
from manager.world import Machine, World

INTERFACES = "/etc/network/interfaces"


class _Clock:
    """Five seconds go by between two looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 6.0
        return self.now


def _drift(machine: Machine) -> Drift:
    return Drift(machine.hands, nullcontext, _Clock())


def _job(machine: Machine, work: str, arguments: dict[str, str], where: Path) -> Drift:
    drift, works = _drift(machine), catalogue(machine.hands)
    journal = Journal(str(where / f"{work}.sqlite"))
    Queue(journal, works).submit(work, arguments, ())
    assert Runner(journal, works, drift.noting).run_next()
    assert str(journal.jobs(1)[0].state) == "done"
    journal.close()
    return drift


@pytest.fixture
def master(tmp_path: Path) -> tuple[Machine, Drift]:
    machine = World().machines[0]
    machine.files.write(INTERFACES, b"auto phone0\n", 0o644)
    return machine, _job(machine, "setup-master", SET_UP, tmp_path)


def test_what_a_job_writes_is_no_drift(master: tuple[Machine, Drift]) -> None:
    """After a set-up all locked files are as they were left."""
    assert master[1].changes() == []


@pytest.mark.parametrize("path", [places.PROFILE, places.COROSYNC_CONF, places.SYSCTL, places.SETTINGS, INTERFACES])
def test_a_change_by_hand_is_named_and_put_back(master: tuple[Machine, Drift], path: str) -> None:
    """Each locked file is looked at; putting back gives it its content and its permissions again."""
    machine, drift = master
    before, mode = machine.files.read(path), machine.files.mode(path)
    machine.files.write(path, (before or b"") + b"# mine\n", 0o666)
    assert drift.names() == [path]
    assert "+# mine" in drift.difference(path)
    drift.put_back(path)
    assert drift.names() == []
    assert (machine.files.read(path), machine.files.mode(path)) == (before, mode)


def test_what_is_gone_or_new_is_told_as_such(master: tuple[Machine, Drift]) -> None:
    """A file that was removed can be put back; one that appeared can only be taken over."""
    machine, drift = master
    machine.files.remove(INTERFACES)
    machine.files.write("/etc/systemd/network/10-new.network", b"[Match]\n", 0o644)
    assert drift.names() == [f"{INTERFACES} (removed)", "/etc/systemd/network/10-new.network (new)"]
    drift.put_back(INTERFACES)
    with pytest.raises(RequestRefused) as refused:
        drift.put_back("/etc/systemd/network/10-new.network")
    assert refused.value.code == "drift-unknown"
    drift.take_over("/etc/systemd/network/10-new.network")
    assert drift.names() == []


def test_a_profile_is_taken_over_when_it_is_one(master: tuple[Machine, Drift]) -> None:
    """A profile that is none stays a change; a valid one is meant from then on. What follows from the set-up is not."""
    machine, drift = master
    good = machine.files.read(places.PROFILE) or b""
    machine.files.write(places.PROFILE, b"nonsense", 0o644)
    with pytest.raises(RequestRefused):
        drift.take_over(places.PROFILE)
    machine.files.write(places.PROFILE, good + b"# more\n", 0o644)
    drift.take_over(places.PROFILE)
    machine.files.write(places.COROSYNC_CONF, b"totem {}\n", 0o644)
    with pytest.raises(RequestRefused) as refused:
        drift.take_over(places.COROSYNC_CONF)
    assert refused.value.code == "drift-follows"
    assert drift.names() == [places.COROSYNC_CONF]


def test_a_job_that_is_killed_leaves_no_false_alarm_and_hides_nothing(master: tuple[Machine, Drift]) -> None:
    """What the killed one wrote is the product's; what was changed by hand before it stays a change."""
    machine, drift = master
    machine.files.write(INTERFACES, b"mine\n", 0o644)
    killed = drift.noting()
    killed.__enter__()
    machine.files.write(places.PROFILE, b'schema = 1\nname = "asterisk"\n', 0o644)
    again = _drift(machine)
    assert again.names() == [INTERFACES]
    with again.noting():
        pass
    assert again.names() == [INTERFACES]
    again.put_back(INTERFACES)
    assert again.names() == []


def test_outside_a_cluster_nothing_is_locked(master: tuple[Machine, Drift], tmp_path: Path) -> None:
    """After a reset the machine's files are its admin's again."""
    machine, _ = master
    drift = _job(machine, "reset", {}, tmp_path)
    machine.files.write(INTERFACES, b"mine\n", 0o644)
    assert drift.names() == []
    assert machine.files.read(places.LOCKED) is None


def test_a_cluster_from_before_is_noted_as_it_is(tmp_path: Path) -> None:
    """The package came to nodes that were a cluster already: what is there counts as meant, and changes are found from then on."""
    world = World()
    stage(world, "complete", tmp_path)
    machine = world.machines[1]
    drift = _drift(machine)
    machine.files.write("/etc/hostname", b"other\n", 0o644)
    assert drift.names() == []
    drift.begin()
    machine.files.write("/etc/hostname", b"another\n", 0o644)
    assert drift.names() == ["/etc/hostname"]


def test_the_check_names_them() -> None:
    """The check is a warning with the names of all that was changed."""
    assert probe(Seen()).state is State.OK
    found = probe(Seen(drift=("/etc/hostname", f"{INTERFACES} (removed)")))
    assert (found.state, "/etc/hostname, /etc/network/interfaces (removed)" in found.output) == (State.WARNING, True)
