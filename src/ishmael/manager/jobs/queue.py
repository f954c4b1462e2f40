"""The queue's front door: plan a job, or check and queue it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ishmael.manager.jobs.journal import Journal
from ishmael.manager.jobs.model import JOB_SCHEMA, Job, standing
from ishmael.manager.works.base import Work, WorkFactory
from ishmael.words.errors import RequestRefused, refusal


class _LooseNotes:
    """Notes of a job that is only planned: forgotten with it."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self._values.get(key)

    def put(self, key: str, value: Any) -> None:
        self._values[key] = value

    def count(self, done: int, total: int, unit: str = "bytes") -> None:
        """Nothing is done, so nothing is counted."""


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
        return self._works[name](arguments, _LooseNotes())

    def plan(self, name: str, arguments: Mapping[str, Any], override: tuple[str, ...]) -> dict[str, Any]:
        """What a job would do and what stands against it; nothing is touched (a dry run).

        Raises:
            RequestRefused: the arguments are none of this work.
        """
        work = self._work(name, arguments)
        findings = work.check()
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

    def submit(self, name: str, arguments: Mapping[str, Any], override: tuple[str, ...]) -> Job:
        """Check a job and queue it.

        Raises:
            IshmaelError: something stands against it; all findings are told and nothing was touched.
        """
        left = standing(self._work(name, arguments).check(), override)
        if left:
            raise refusal(left)
        return self._journal.add(name, dict(arguments), override)
