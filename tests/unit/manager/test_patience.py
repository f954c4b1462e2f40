"""What passes in a moment is waited for: a busy or restarted keeper, a node that is busy, a copy that another job began."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import pytest

from ishmael.manager.data.situation import Looking
from ishmael.manager.jobs import runner as runner_module
from ishmael.manager.jobs.journal import Journal
from ishmael.manager.jobs.model import JobState
from ishmael.manager.jobs.queue import Queue
from ishmael.manager.jobs.runner import Runner
from ishmael.manager.ports.hands import Hands
from ishmael.manager.works.catalogue import catalogue
from ishmael.manager.works.joining import FIT_LIMIT_MAX_S, FIT_LIMIT_S, Joining
from ishmael.words import places
from ishmael.words.errors import HostFault, PeerFault
from ishmael.words.roles import Role
from ishmael.words.settings import NodeSettings
from manager.helpers import SLAVE, done, stage
from manager.world import PROFILE, MemoryNode, World


def test_a_disk_that_takes_no_note_of_the_lock_does_not_end_the_runner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every later job would stay queued until the manager is restarted."""
    monkeypatch.setattr(runner_module, "_TROUBLE_S", 0.01)
    world = World()
    stage(world, "complete", tmp_path)
    tries: list[int] = []

    @contextmanager
    def lock() -> Iterator[None]:
        tries.append(1)
        if len(tries) < 3:
            raise HostFault("disk-full", "No space left on device.", "")
        yield

    works = catalogue(world.machines[0].hands)
    journal = Journal(str(tmp_path / "jobs.sqlite"))
    job = Queue(journal, works).submit("remove-slave", {}, ())
    runner = Runner(journal, works, lock)
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    for _ in range(500):
        if journal.job(job.id).state == JobState.DONE:
            break
        thread.join(0.02)
    runner.stop()
    thread.join(10)
    assert (journal.job(job.id).state, thread.is_alive()) == (JobState.DONE, False)
    journal.close()


def test_a_copy_that_a_job_before_began_is_watched_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That job had failed by something else; the copy went on, and is neither begun again nor taken for silent."""
    world = World()
    for machine in world.machines:
        machine.files.write(f"{places.SHIPPED_PROFILES}/asterisk.toml", (PROFILE + "\n[database]\n").encode(), 0o644)
        machine.database.version = "15"
    stage(world, "prepared", tmp_path)
    second, begun, looks = world.machines[1].database, list[str](), itertools.count()
    copy = {"key": "of before", "rung": "copy", "bytes_moved": 900, "bytes_total": 1000}
    monkeypatch.setattr(second, "join", begun.append)
    monkeypatch.setattr(second, "joined", lambda: {**copy, "state": "running" if next(looks) < 20 else "done"})
    done(world.machines[0], "add-slave", SLAVE, tmp_path)
    assert begun == []


@pytest.mark.parametrize(("times", "told"), [(5, True), (1000, False)])
def test_a_slave_that_is_busy_is_asked_to_withdraw_for_a_while(
    times: int, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would keep settings, keys and a database that follows nobody; only one that is gone does."""
    world, asked = World(), [0]
    stage(world, "complete", tmp_path)
    ask = MemoryNode.ask

    def busy(self: MemoryNode, peer: Any, op: str, *arguments: Any, **more: Any) -> Mapping[str, Any]:
        if op == "withdraw":
            asked[0] += 1
            if asked[0] <= times:
                raise PeerFault("node-busy", "Another job changes this node right now.", "Wait.")
        return ask(self, peer, op, *arguments, **more)

    monkeypatch.setattr(MemoryNode, "ask", busy)
    assert done(world.machines[0], "remove-slave", {}, tmp_path).result["slave_withdrawn"] is told
    assert asked[0] < 60


def test_a_master_whose_keeper_was_restarted_is_no_slave_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take the call files out of Asterisk's reach, and begin to compare all files anew."""
    world = World()
    stage(world, "complete", tmp_path)
    machine = world.machines[0]
    looking = Looking(machine.hands)
    assert looking.situation().serves
    said = {**machine.keeper.status(), "role": "waiting"}
    monkeypatch.setattr(machine.keeper, "status", lambda _age_s=0.0: said)
    now = looking.situation()
    assert (now.role, now.takes) == (None, False)
    said["holds_cluster_ip"] = False
    assert looking.situation().takes


def test_a_service_is_switched_on_though_the_keeper_is_restarted_just_then(tmp_path: Path) -> None:
    """Whether it runs here is asked until somebody knows."""
    world = World()
    stage(world, "complete", tmp_path)
    master = world.machines[0]
    master.services.add("dnsmasq.service", enabled=False, active=False)
    status, reload_units, silent = master.keeper.status, master.programs.reload_units, [0]

    def restarted(max_age_s: float = 0.0) -> Mapping[str, Any]:
        if silent[0]:
            silent[0] -= 1
            raise HostFault("keeper-down", "The keeper of this node does not answer.", "")
        return status(max_age_s)

    def restart() -> None:
        reload_units()
        master.services.add("dnsmasq.service", enabled=False, active=False)

    master.keeper.status = restarted  # type: ignore[method-assign]
    master.programs.reload_units = restart  # type: ignore[method-assign]
    write = master.files.write

    def written(path: str, data: bytes, mode: int) -> None:
        write(path, data, mode)
        if path.startswith("/etc/dnsmasq.d/"):
            silent[0] = 6

    master.files.write = written  # type: ignore[method-assign]
    done(master, "apply-service", {"service": "dns", "set": ["enabled=true"]}, tmp_path)
    assert master.services.active("dnsmasq.service")


class _Fitness:
    """A keeper whose slave has fewer names to get with every look; ``stuck`` from some moment on."""

    def __init__(self, names: int, stuck: int) -> None:
        self.names, self.stuck = names, stuck

    def status(self, _age_s: float = 0.0) -> Mapping[str, Any]:
        self.names = max(self.stuck, self.names - 1)
        blocked = [f"its files are being brought in step ({self.names} names left)"] if self.names else []
        return {"role": Role.MASTER, "failover_possible": not blocked, "failover_blocked_by": blocked}


class _Joining(Joining):
    """Only waits for fitness."""

    def __init__(self, hands: Hands, slave: NodeSettings) -> None:
        self._hands, self._slave = hands, slave

    @property
    def slave(self) -> NodeSettings:
        return self._slave


@pytest.mark.parametrize(
    ("names", "stuck", "fit", "took_s"),
    [
        (3, 0, True, 1),
        (1000, 0, True, 250),
        (1000, 990, False, FIT_LIMIT_S + 10),
        (9000, 0, False, FIT_LIMIT_MAX_S + 1),
    ],
)
def test_a_slave_that_comes_on_is_waited_for(names: int, stuck: int, fit: bool, took_s: float, tmp_path: Path) -> None:
    """A minute counts from the last change; nobody waits for ever."""
    world = World()
    stage(world, "complete", tmp_path)
    machine = world.machines[0]
    hands = machine.hands
    object.__setattr__(hands, "keeper", _Fitness(names, stuck))
    settings = machine.settings()
    assert settings is not None
    joining = _Joining(hands, settings.nodes[1])
    begun_s = hands.clock.now_s()
    with nullcontext() if fit else pytest.raises(PeerFault) as refused:
        joining.await_fit()
    if not fit:
        assert cast(Any, refused).value.code == "slave-not-fit"
    assert hands.clock.now_s() - begun_s <= took_s
