"""The queue's front door: plan a job; check and queue it; collect changes, apply or drop them; cancel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ishmael.manager.jobs.journal import Journal
from ishmael.manager.jobs.model import CANCEL, JOB_SCHEMA, Job, JobState, standing
from ishmael.manager.works.base import LooseNotes, Work, WorkFactory, undoes, wants_settled
from ishmael.words.errors import Finding, RequestRefused, refusal


class Queue:
    """Takes wishes in.

    Args:
        journal: where jobs go.
        works: what makes a work, by its name.
    """

    def __init__(self, journal: Journal, works: Mapping[str, WorkFactory]) -> None:
        self._journal, self._works = journal, works

    def _work(self, name: str, arguments: Mapping[str, Any]) -> Work:
        if name not in self._works:
            raise RequestRefused(
                "no-such-work", f"There is no work {name[:64]!r}.", f"One of: {', '.join(sorted(self._works))}."
            )
        return self._works[name](arguments, LooseNotes())

    def _check(self, work: Work) -> list[Finding]:
        findings = work.check()
        waiting = self._journal.pending() if wants_settled(work) else []
        if waiting:
            names = ", ".join(f"{job.id} ({job.work})" for job in waiting)
            hint = "Apply them (`ishmael jobs apply`) or drop them (`ishmael jobs drop`) first."
            findings.append(
                Finding("", "jobs-pending", f"Changes wait to be applied: {names}.", hint, overridable=True)
            )
        return findings

    def plan(self, name: str, arguments: Mapping[str, Any], override: tuple[str, ...]) -> dict[str, Any]:
        """What a job would do and what stands against it; nothing is touched (a dry run).

        Raises:
            RequestRefused: the arguments are none of this work.
        """
        work = self._work(name, arguments)
        findings = self._check(work)
        steps = [step.name for step in work.steps()]
        return {
            "schema": JOB_SCHEMA,
            "id": None,
            "work": name,
            "state": "planned",
            "step": None,
            "steps": len(steps),
            "progress": "",
            "findings": [asdict(finding) for finding in findings],
            "refused": bool(standing(findings, override)),
            "plan": steps,
            "facts": dict(work.facts()),
        }

    def submit(
        self,
        name: str,
        arguments: Mapping[str, Any],
        override: tuple[str, ...],
        *,
        pending: bool = False,
        key: str = "",
    ) -> Job:
        """Check a job and queue it.

        Args:
            name: of the work.
            arguments: its inputs.
            override: codes of findings to go on in spite of.
            pending: collect it, to be applied later.
            key: the sender's own mark; a wish that is sent twice under one key makes one job.

        Raises:
            IshmaelError: something stands against it; all findings are told and nothing was touched.
        """
        made = self._journal.made_by(key, name, dict(arguments), override, pending)
        if made is not None:
            return made
        left = standing(self._check(self._work(name, arguments)), override)
        if left:
            # What stands against it may be the very job that this key made while we were looking.
            made = self._journal.made_by(key, name, dict(arguments), override, pending)
            if made is not None:
                return made
            raise refusal(left)
        return self._journal.add(name, dict(arguments), override, pending=pending, key=key)

    def apply(self, numbers: Sequence[int] | None) -> list[Job]:
        """Queue pending jobs: these, or (None) all of them; in the order in which they were made.

        Raises:
            RequestRefused: one of them is not pending; then none was queued.
        """
        chosen = [job.id for job in self._journal.pending()] if numbers is None else sorted(set(numbers))
        wrong = self._journal.move(chosen, (JobState.PENDING,), JobState.QUEUED, "queued")
        if wrong:
            raise RequestRefused(
                "not-pending",
                f"No pending job: {', '.join(map(str, wrong))}.",
                "See: ishmael jobs. Nothing was applied.",
            )
        return [self._journal.job(number) for number in chosen]

    def remove(self, number: int) -> Job:
        """Drop a job that has not begun, or cancel one that can be taken back whole.

        Raises:
            KeyError: there is no such job.
            RequestRefused: it is at its end, or too far to be taken back.
        """
        job = self._journal.job(number)
        waiting = (JobState.PENDING, JobState.QUEUED)
        if job.state in waiting and not self._journal.move([number], waiting, JobState.DROPPED, "dropped"):
            return self._journal.job(number)
        job = self._journal.job(number)
        if job.state not in (JobState.RUNNING, JobState.UNDOING):
            raise RequestRefused("job-ended", f"Job {number} is {job.state} already.", "There is nothing to drop.")
        if not undoes(self._work(job.work, job.arguments)):
            hint = "It goes on to its end; that is the shorter way to a cluster in order."
            raise RequestRefused("cancel-unsafe", f"A begun {job.work} cannot be taken back half-way.", hint)
        self._journal.put_note(number, CANCEL, True)
        return self._journal.job(number)
