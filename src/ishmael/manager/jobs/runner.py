"""The runner: one job at a time, under one cluster lock; resumes or undoes what a crash cut."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ishmael.manager.jobs.journal import Journal, wall_time
from ishmael.manager.jobs.model import CANCEL, Job, JobState, StepState, error_mapping, standing
from ishmael.manager.works.base import Step, Work, WorkFactory, undoes
from ishmael.words.errors import IshmaelError, RequestRefused, refusal

log = logging.getLogger(__name__)
_IDLE_S = 60.0
_LOCKED_S = 1.0
_TROUBLE_S = 5.0
_RESUME_TRIES = 60
"""How often a begun job is tried that cannot be read: five minutes, for a disk or a file that an admin is mending."""

Lock = Callable[[], AbstractContextManager[None]]
"""Takes the cluster lock; raises ClusterLocked when it is not to be had in time."""


class ClusterLocked(RequestRefused):
    """Something else changes this node right now."""


class Runner:
    """Takes jobs from the journal, oldest first, and brings each to its end.

    Args:
        journal: where the jobs are.
        works: what makes a work, by its name.
        lock: the cluster lock, held while a job runs.
    """

    def __init__(self, journal: Journal, works: Mapping[str, WorkFactory], lock: Lock) -> None:
        self._journal, self._works, self._lock = journal, works, lock
        self._stopping = threading.Event()
        self._tries: Counter[int] = Counter()

    def start(self) -> None:
        """Run in a thread of its own; a job in the middle of its steps when the process ends is resumed at the next start."""
        threading.Thread(target=self.run, name="runner", daemon=True).start()

    def stop(self) -> None:
        """Take no further job."""
        self._stopping.set()
        self._journal.wake()

    def run(self) -> None:
        """Run jobs until stopped."""
        while not self._stopping.is_set():
            try:
                idle = not self.run_next()
            except (sqlite3.Error, OSError, IshmaelError):
                # A full disk must not end the runner unseen: the job keeps its place and is tried again.
                log.exception("the job journal or the cluster lock cannot be used; trying again in %.0f s", _TROUBLE_S)
                self._stopping.wait(_TROUBLE_S)
                continue
            if idle:
                self._journal.wait_for_any(_IDLE_S)

    def run_next(self) -> bool:
        """Bring one job to its end; False when there is none."""
        waiting = self._journal.unfinished()
        if not waiting:
            return False
        job = waiting[0]
        try:
            with self._lock():
                self._run(job)
        except ClusterLocked as busy:
            # Somebody else works on this node right now; the job keeps its place.
            log.info("job %d (%s) waits: %s", job.id, job.work, busy.message)
            self._journal.wait_for_any(_LOCKED_S)
        return True

    def _run(self, job: Job) -> None:
        try:
            work = self._works[job.work](job.arguments, self._journal.notes(job.id))
            if job.state == JobState.QUEUED:
                findings = work.check()
                left = standing(findings, job.override)
                if left:
                    self._end(job, JobState.REFUSED, error=error_mapping(refusal(left)), findings=tuple(findings))
                    return
                self._journal.change(job.id, "checked", findings=tuple(findings))
            steps = work.steps()
        except Exception as error:
            self._not_read(job, error)
            return
        if job.state == JobState.UNDOING:
            self._undo(job, steps, job.error)
            return
        self._journal.change(job.id, "started", state=JobState.RUNNING, steps=len(steps))
        self._go(job, work, steps)

    def _not_read(self, job: Job, error: Exception) -> None:
        """A job whose steps cannot be told. A begun one has something to go on with, or to take back: it keeps its place."""
        _log(job, error)
        if job.state == JobState.QUEUED:
            state = JobState.REFUSED if isinstance(error, IshmaelError) else JobState.FAILED
            self._end(job, state, error=error_mapping(error))
            return
        self._tries[job.id] += 1
        if self._tries[job.id] < _RESUME_TRIES:
            self._stopping.wait(_TROUBLE_S)
            return
        ended = error_mapping(error)
        ended["hint"] = f"{ended['hint']} What the job had done was not taken back.".strip()
        self._end(job, JobState.FAILED, error=ended)

    def _go(self, job: Job, work: Work, steps: Sequence[Step]) -> None:
        marks = self._journal.marks(job.id)
        try:
            for number, step in enumerate(steps, 1):
                self._heed_cancel(job, work)
                self._journal.change(job.id, "step", step=number, step_name=step.name, steps=len(steps))
                self._take(job.id, number, step, marks.get(number))
            result = dict(work.result())
        except Exception as error:
            _log(job, error)
            self._journal.change(job.id, "undoing", state=JobState.UNDOING, error=error_mapping(error))
            self._undo(job, steps, error_mapping(error))
            return
        self._end(job, JobState.DONE, result=result)

    def _heed_cancel(self, job: Job, work: Work) -> None:
        if undoes(work) and self._journal.note(job.id, CANCEL):
            raise RequestRefused("cancelled", f"Job {job.id} was cancelled.", "What it had done was taken back.")

    def _take(self, job: int, number: int, step: Step, mark: StepState | None) -> None:
        if step.is_done():
            # Begun by this job before it was cut, so it is ours to undo; else it was there before us.
            ours = mark in (StepState.STARTED, StepState.DONE)
            self._journal.mark(job, number, StepState.DONE if ours else StepState.SKIPPED)
            return
        self._journal.mark(job, number, StepState.STARTED)
        step.act()
        self._journal.mark(job, number, StepState.DONE)

    def _undo(self, job: Job, steps: Sequence[Step], error: Mapping[str, Any] | None) -> None:
        marks = self._journal.marks(job.id)
        problems: list[str] = []
        undone = list(self._journal.job(job.id).undone)
        for number in sorted(marks, reverse=True):
            if marks[number] not in (StepState.STARTED, StepState.DONE) or number > len(steps):
                continue
            step = steps[number - 1]
            if step.undo is None:
                continue
            try:
                step.undo()
            except Exception as problem:
                # The other steps are still to be taken back, so a failing one is told and not raised.
                _log(job, problem)
                problems.append(f"{step.name}: {problem}")
                continue
            self._journal.mark(job.id, number, StepState.UNDONE)
            undone.append(step.name)
            self._journal.change(job.id, "undone", undone=tuple(undone))
        ended = dict(error or {})
        if problems:
            ended["hint"] = f"{ended.get('hint', '')} Not undone: {'; '.join(problems)}.".strip()
        self._end(job, JobState.FAILED, error=ended)

    def _end(self, job: Job, state: JobState, **changes: Any) -> None:
        self._journal.change(job.id, str(state), state=state, ended_at=wall_time(), **changes)


def _log(job: Job, error: BaseException) -> None:
    if isinstance(error, IshmaelError):
        log.warning("job %d (%s): %s [%s]", job.id, job.work, error.message, error.code)
    else:
        log.error("job %d (%s): a bug", job.id, job.work, exc_info=error)
