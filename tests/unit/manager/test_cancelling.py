"""A job that is cancelled while it copies, and one that cannot be read when it is resumed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from ishmael.manager.drivers.half_copy import COPIED, give_up_copy, new_of, old_of
from ishmael.manager.jobs import runner as runner_module
from ishmael.manager.jobs.journal import Journal
from ishmael.manager.jobs.model import Job, JobState
from ishmael.manager.jobs.queue import Queue
from ishmael.manager.jobs.runner import Runner
from ishmael.manager.ports.copies import Copied
from ishmael.manager.works.base import Notes, Step, Work
from ishmael.manager.works.catalogue import catalogue
from ishmael.words import places
from ishmael.words.errors import HostFault
from manager.helpers import SET_UP, SLAVE, Cut, hurt_factory, stage
from manager.memory import MemoryCopies
from manager.world import PROFILE, World

LOOKS_MAX = 1000
DATABASE, FILES = "\n[database]\n", '\n[[files]]\npath = "/srv/recordings"\n'


def _prepared(profile: str, where: Path) -> World:
    world = World()
    for machine in world.machines:
        machine.files.write(f"{places.SHIPPED_PROFILES}/asterisk.toml", (PROFILE + profile).encode(), 0o644)
        machine.database.version = "15"
    stage(world, "prepared", where)
    return world


def _add(world: World, where: Path, when: Callable[[Callable[[], None]], None]) -> Job:
    """Add the slave; ``when`` is given what cancels the job."""
    first = world.machines[0]
    journal, works = Journal(str(where / "cancel.sqlite")), catalogue(first.hands)
    queue = Queue(journal, works)
    job = queue.submit("add-slave", SLAVE, ())

    def cancel() -> None:
        queue.remove(job.id)

    when(cancel)
    Runner(journal, works, nullcontext).run_next()
    ended = journal.job(job.id)
    journal.close()
    return ended


@pytest.mark.parametrize("profile", [FILES, DATABASE + FILES], ids=["files", "both"])
def test_cancelled_while_files_are_copied(profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy ends at once, not after hours, and all is taken back."""
    world = _prepared(profile, tmp_path)
    before = world.image()

    def patch(cancel: Callable[[], None]) -> None:
        def copied(_copies: Any, _target: Any, _files: Any, stopped: Callable[[], bool], _watch: Any = None) -> Copied:
            cancel()
            assert any(stopped() for _ in range(LOOKS_MAX)), "nobody is told to stop"
            return Copied(20, "stopped")

        monkeypatch.setattr(MemoryCopies, "all", copied)

    job = _add(world, tmp_path, patch)
    assert (job.state, (job.error or {})["code"]) == (JobState.FAILED, "cancelled")
    assert world.image() == before


@pytest.mark.parametrize("profile", [DATABASE, DATABASE + FILES], ids=["database", "both"])
def test_cancelled_while_the_database_is_copied(profile: str, tmp_path: Path) -> None:
    """The same; the node gives the half copy up when it withdraws."""
    world = _prepared(profile, tmp_path)
    before, second = world.image(), world.machines[1]
    looks = itertools.count()

    def patch(cancel: Callable[[], None]) -> None:
        def joined() -> Mapping[str, Any]:
            number = next(looks)
            assert number < LOOKS_MAX, "nobody stops looking"
            if number == 3:
                cancel()
            if second.database.join_state["state"] == "running":
                second.database.join_state = {**second.database.join_state, "bytes_moved": number}
            return second.database.join_state

        second.database.joined = joined  # type: ignore[method-assign]

    job = _add(world, tmp_path, patch)
    assert (job.state, (job.error or {})["code"]) == (JobState.FAILED, "cancelled")
    assert second.database.paired is None
    assert world.image() == before


def _directories(data: Path, *, copied: bool, moved: bool) -> None:
    data.mkdir()
    (data / "own").touch()
    new_of(data).mkdir()
    if copied:
        (new_of(data) / COPIED).touch()
    if moved:
        data.rename(old_of(data))


def test_a_half_copy_is_given_up(tmp_path: Path) -> None:
    """Its program is stopped and what it had is removed; the node's own data is where it was."""
    data, stopped = tmp_path / "main", list[int]()
    _directories(data, copied=False, moved=False)
    give_up_copy(data, lambda: stopped.append(1))
    assert stopped == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["main"]
    assert (data / "own").exists()


def test_a_copy_that_gets_on_while_it_is_stopped_loses_nothing(tmp_path: Path) -> None:
    """The own data had been moved out of the way, and the copy was not in its place yet."""
    data = tmp_path / "main"
    _directories(data, copied=False, moved=False)
    give_up_copy(data, lambda: (data.rename(old_of(data)), None)[1])
    assert [path.name for path in tmp_path.iterdir()] == ["main"]
    assert (data / "own").exists()


@pytest.mark.parametrize("there", [True, False])
def test_what_is_no_half_copy_is_not_stopped(there: bool, tmp_path: Path) -> None:
    """A complete copy is about to be put in place; without one, a rewind may be at work on the data itself."""
    data, stopped = tmp_path / "main", list[int]()
    _directories(data, copied=True, moved=False)
    if not there:
        (new_of(data) / COPIED).unlink()
        new_of(data).rmdir()
    give_up_copy(data, lambda: stopped.append(1))
    assert stopped == []
    assert new_of(data).exists() == there


class _Unreadable:
    """A work whose steps cannot be told for a while, as with a profile that is being mended.

    Args:
        work: the real one.
        times: how often it fails.
    """

    def __init__(self, work: Work, times: list[int]) -> None:
        self.work, self.name, self._times = work, work.name, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self.work, name)

    def steps(self) -> Sequence[Step]:
        self._times[0] -= 1
        if self._times[0] >= 0:
            raise HostFault("profile-missing", "The profile is missing.", "Mend it.")
        return self.work.steps()


def _cut_set_up(where: Path, times: int, monkeypatch: pytest.MonkeyPatch) -> tuple[World, Journal, Runner, int]:
    """A set-up that was cut in its middle; how often it cannot be read when it is resumed."""
    monkeypatch.setattr(runner_module, "_TROUBLE_S", 0.0)
    world = World()
    works = catalogue(world.machines[0].hands)
    journal, name = Journal(str(where / "jobs.sqlite")), "setup-master"
    job = Queue(journal, works).submit(name, SET_UP, ())
    with pytest.raises(Cut):
        Runner(journal, {**works, name: hurt_factory(works[name], 5, True, Cut())}, nullcontext).run_next()
    left = [times]

    def make(arguments: Mapping[str, Any], notes: Notes) -> Any:
        return _Unreadable(works[name](arguments, notes), left)

    return world, journal, Runner(journal, {**works, name: make}, nullcontext), job.id


def test_a_begun_job_that_cannot_be_read_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps its state, and goes on as soon as it can: ended here, nothing would take back what it had done."""
    world, journal, runner, number = _cut_set_up(tmp_path, 3, monkeypatch)
    for _ in range(3):
        assert runner.run_next()
        assert journal.job(number).state == JobState.RUNNING
    assert runner.run_next()
    assert journal.job(number).state == JobState.DONE
    assert world.machines[0].keeper.role == "master"
    journal.close()


def test_a_begun_job_that_can_never_be_read_does_not_block_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next jobs have their turn; it is said that nothing was taken back."""
    _, journal, runner, number = _cut_set_up(tmp_path, 10**6, monkeypatch)
    for _ in range(60):
        runner.run_next()
    ended = journal.job(number)
    journal.close()
    assert (ended.state, (ended.error or {})["code"]) == (JobState.FAILED, "profile-missing")
    assert "not taken back" in (ended.error or {})["hint"]
