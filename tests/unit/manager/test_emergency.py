"""The emergency reset: without the manager, and without a keeper that answers."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ishmael.manager.emergency import MANAGER_UNIT, Emergency
from ishmael.manager.jobs.journal import Journal
from ishmael.manager.jobs.model import JobState
from ishmael.words import places
from ishmael.words.errors import HostFault, IshmaelError
from manager.helpers import run, stage
from manager.world import Machine, World

KEEPER = "ishmael-keeper.service"


def _world(name: str, where: Path) -> World:
    world = World()
    for machine in world.machines:
        machine.services.add(MANAGER_UNIT, enabled=True, active=True)
    stage(world, name, where)
    return world


def _emergency(machine: Machine, **more: Any) -> Emergency:
    return Emergency(machine.hands, nullcontext, **more)


def _silence(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keeper answers nothing any more, and left the cluster IP and the record behind."""

    def silent(*_: Any) -> Any:
        raise HostFault("keeper-down", "The keeper of this node does not answer.", "Start it.")

    for ask in ("status", "forget", "reload"):
        monkeypatch.setattr(machine.keeper, ask, silent)
    phone = machine.network.found[0]
    machine.network.found[0] = replace(phone, addresses=(*phone.addresses, "10.77.0.10/32"))
    machine.files.write(places.RECORD, b"what it held", 0o600)


def _left(machine: Machine) -> dict[str, Any]:
    image = machine.image()
    return {"files": image["files"], "units": image["units"]}


def test_it_leaves_what_a_reset_leaves(tmp_path: Path) -> None:
    """The master and its slave are the machines they were before the set-up; both programs run again."""
    world = _world("fresh", tmp_path)
    before = world.image()
    stage(world, "complete", tmp_path)
    for machine in world.machines:
        emergency = _emergency(machine)
        emergency.check()
        outcome = emergency.run(str(tmp_path / "jobs.sqlite"))
        assert outcome.failed == []
        assert outcome.result == {"state": "alone", "host_name": machine.name}
    assert world.image() == before


def test_it_does_without_a_keeper_that_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keeper is ended; the cluster IP and the record go without it, and all else as ever."""
    world = _world("fresh", tmp_path)
    first = world.machines[0]
    before, address = _left(first), first.network.nics()[0].addresses
    stage(world, "master", tmp_path)
    _silence(first, monkeypatch)
    stopped: list[str] = []
    stop = first.services.stop

    def noted(unit: str) -> None:
        stopped.append(unit)
        stop(unit)

    monkeypatch.setattr(first.services, "stop", noted)
    outcome = _emergency(first).run(str(tmp_path / "jobs.sqlite"))
    assert outcome.failed == []
    assert {MANAGER_UNIT, KEEPER} <= set(stopped)
    assert _left(first) == before
    assert first.network.nics()[0].addresses == address


def test_a_step_that_fails_keeps_no_other_from_being_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The telephones come before a tidy end: the workload runs, and what is needed to try again is kept."""
    world = _world("fresh", tmp_path)
    first = world.machines[0]
    before = _left(first)
    stage(world, "master", tmp_path)
    real = first.files.remove

    def remove(path: str) -> None:
        if path == places.SYSCTL:
            raise HostFault("disk-full", "The disk is full.", "Make room.")
        real(path)

    monkeypatch.setattr(first.files, "remove", remove)
    outcome = _emergency(first).run(str(tmp_path / "jobs.sqlite"))
    assert [(name, error.code) for name, error in outcome.failed] == [
        ("forget the kernel's network switches", "disk-full")
    ]
    assert first.services.active("asterisk.service")
    assert first.files.read(places.BEFORE) is not None
    monkeypatch.setattr(first.files, "remove", real)
    assert _emergency(first).leave().failed == []
    assert _left(first) == before


def test_jobs_that_had_begun_do_not_go_on(tmp_path: Path) -> None:
    """The manager would take them up at its next start, on a machine that is no node any more."""
    world = _world("master", tmp_path)
    path = str(tmp_path / "jobs.sqlite")
    journal = Journal(path)
    begun, queued = journal.add("add-slave", {}, ()), journal.add("failover", {}, ())
    journal.change(begun.id, "started", state=JobState.RUNNING)
    journal.close()
    _emergency(world.machines[0]).run(path)
    journal = Journal(path)
    ended = [journal.job(job.id) for job in (begun, queued)]
    journal.close()
    assert [(str(job.state), (job.error or {})["code"]) for job in ended] == [("failed", "reset-meanwhile")] * 2


def test_a_journal_that_is_broken_does_not_matter(tmp_path: Path) -> None:
    """It may be why nothing else worked."""
    world = _world("master", tmp_path)
    path = tmp_path / "broken.sqlite"
    path.write_bytes(b"not a database, and long enough to be looked at" * 100)
    assert _emergency(world.machines[0]).run(str(path)).failed == []
    assert world.machines[0].files.read(places.SETTINGS) is None


def test_what_no_emergency_overrides(tmp_path: Path) -> None:
    """Outside a cluster, or while somebody serves at the cluster IP: refused, and nothing is touched."""
    world = _world("fresh", tmp_path)
    fresh, first = World().machines[0], world.machines[0]
    with pytest.raises(IshmaelError, match="not part of a cluster"):
        _emergency(fresh).check()
    stage(world, "complete", tmp_path)
    _emergency(first).check()
    first.network.answering["10.77.0.10"] = "02:bb:00:00:00:01"
    before = world.image()
    with pytest.raises(IshmaelError) as caught:
        _emergency(first, take_cluster_ip=True).check()
    assert (caught.value.code, world.image()) == ("cluster-ip-taken", before)


@pytest.mark.parametrize("emergency", [True, False])
def test_an_address_that_is_taken_at_the_end_is_no_refusal(
    emergency: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody took it while the node was reset: the node is reset, and the error does not say that nothing was changed."""
    world = _world("master", tmp_path)
    first = world.machines[0]
    first.services.add("ishmael-address.service", enabled=False, active=False)
    forget = first.keeper.forget

    def taken() -> None:
        forget()
        first.network.answering["10.77.0.10"] = "02:bb:00:00:00:01"

    monkeypatch.setattr(first.keeper, "forget", taken)
    if emergency:
        made = _emergency(first, take_cluster_ip=True)
        made.check()
        ((_, error),) = made.run(str(tmp_path / "jobs.sqlite")).failed
        assert (error.code, error.exit_code) == ("cluster-ip-taken", 5)
    else:
        job = run(first, "reset", {"take_cluster_ip": True}, tmp_path)
        assert job.error is not None
        assert (job.error["code"], job.error["whose"]) == ("cluster-ip-taken", "host")
    assert first.files.read(places.SETTINGS) is None


def test_a_keeper_that_answers_is_not_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lets go in its own order."""
    world = _world("master", tmp_path)
    first = world.machines[0]
    stopped: list[str] = []
    monkeypatch.setattr(first.services, "stop", stopped.append)
    _emergency(first).leave()
    assert KEEPER not in stopped and first.keeper.status()["role"] == "out"
