"""Running works on the machines in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from ishmael.manager.jobs.journal import Journal
from ishmael.manager.jobs.model import Job, JobState
from ishmael.manager.jobs.queue import Queue
from ishmael.manager.jobs.runner import Runner
from ishmael.manager.works.base import Notes, Step, Work, WorkFactory
from ishmael.manager.works.catalogue import catalogue
from ishmael.words.errors import Finding
from manager.world import CLUSTER_KEY, Machine, World

SET_UP = {"cluster_ip": "10.77.0.10", "phone_nic": "phone0", "internal_nic": "cable0"}
SLAVE = {"name": "node2", "phone_ip": "10.77.0.12", "internal_ip": "10.78.0.2"}


def run(machine: Machine, work: str, arguments: Mapping[str, Any], where: Path, override: tuple[str, ...] = ()) -> Job:
    """Queue a job on a machine and bring it to its end."""
    journal = Journal(str(where / f"{machine.name}.sqlite"))
    works = catalogue(machine.hands)
    try:
        job = Queue(journal, works).submit(work, arguments, override)
        assert Runner(journal, works, nullcontext).run_next()
        return journal.job(job.id)
    finally:
        journal.close()


def done(machine: Machine, work: str, arguments: Mapping[str, Any], where: Path) -> Job:
    """Run a job that must succeed."""
    job = run(machine, work, arguments, where)
    assert job.state == JobState.DONE, job.error
    return job


def findings(machine: Machine, work: str, arguments: Mapping[str, Any], where: Path) -> list[str]:
    """The codes of all findings of a dry run."""
    journal = Journal(str(where / "plan.sqlite"))
    try:
        plan = Queue(journal, catalogue(machine.hands)).plan(work, arguments, ())
        return [finding["code"] for finding in plan["findings"]]
    finally:
        journal.close()


def stage(world: World, name: str, where: Path) -> None:
    """Bring both machines to a stage of a cluster's life: fresh, master, prepared, complete, standby."""
    first, second = world.machines
    if name == "fresh":
        return
    done(first, "setup-master", SET_UP, where)
    if name == "master":
        return
    done(second, "prepare-slave", {"key": f"{CLUSTER_KEY} x"}, where)
    if name == "prepared":
        return
    done(first, "add-slave", SLAVE, where)
    if name == "complete":
        return
    assert name == "standby"
    done(first, "failover", {}, where)


class Cut(BaseException):
    """The manager is killed here."""


class Hurt:
    """A work whose steps are cut or fail at one place.

    Args:
        work: the real one.
        at: number of the step, from 1.
        late: after the step has acted, instead of before.
        error: what happens there.
    """

    def __init__(self, work: Work, at: int, late: bool, error: BaseException) -> None:
        self.work, self.name, self.at, self.late, self.error = work, work.name, at, late, error

    def check(self) -> list[Finding]:
        return self.work.check()

    def facts(self) -> Mapping[str, Any]:
        return self.work.facts()

    def result(self) -> Mapping[str, Any]:
        return self.work.result()

    def steps(self) -> Sequence[Step]:
        steps = list(self.work.steps())
        step = steps[self.at - 1]

        def act() -> None:
            if self.late:
                step.act()
            raise self.error

        # A step that finds itself done is not acted on, so this one has to look undone to be hurt.
        steps[self.at - 1] = replace(step, act=act, is_done=lambda: False)
        return steps


def hurt_factory(factory: WorkFactory, at: int, late: bool, error: BaseException) -> WorkFactory:
    def make(arguments: Mapping[str, Any], notes: Notes) -> Work:
        return Hurt(factory(arguments, notes), at, late, error)

    return make
