"""A job as the journal keeps it and the API shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from ishmael.words import places
from ishmael.words.errors import Finding, IshmaelError

JOB_SCHEMA = 1
CANCEL = "cancel"
"""Name of the note by which a running job learns that it shall take itself back."""


class JobState(StrEnum):
    """Where a job is in its life."""

    PENDING = "pending"
    """Collected; waits until the admin applies or drops it."""
    QUEUED = "queued"
    RUNNING = "running"
    UNDOING = "undoing"
    """A step failed; the steps before it are being taken back."""
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    """The check right before the first step found something; nothing was touched."""
    DROPPED = "dropped"
    """Taken out before it began; nothing was touched."""


UNFINISHED = (JobState.QUEUED, JobState.RUNNING, JobState.UNDOING)


class StepState(StrEnum):
    """What became of one step."""

    STARTED = "started"
    DONE = "done"
    SKIPPED = "skipped"
    """It was done before the job came; never undone."""
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Amount:
    """How far the current step is, where that can be counted.

    Args:
        done, total: in ``unit``; ``total`` 0 while unknown.
        unit: ``bytes`` or another plural.
        rate: per second, over the step so far.
        remaining_s: estimate of the time left, in seconds; None while unknown.
    """

    done: int
    total: int
    unit: str = "bytes"
    rate: float = 0.0
    remaining_s: float | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One job.

    Args:
        id: number, rising.
        work: name of its kind.
        arguments: inputs, JSON values.
        override: codes of findings the admin goes on in spite of.
        state: where it is.
        step: number of the current step, from 1; 0 before the first.
        step_name: its name.
        steps: how many there are; 0 while unknown.
        findings: of the check right before the first step.
        error: whose, code, message, hint, findings of what ended it, or None.
        result: what the finished job hands out.
        undone: names of the steps that were taken back.
        revision: raised by every change, to wait for the next.
        amount: how far the current step is; not kept across a restart.
        created_at, ended_at: wall time, ISO 8601, UTC; for showing only.
    """

    id: int
    work: str
    arguments: Mapping[str, Any]
    override: tuple[str, ...] = ()
    state: JobState = JobState.QUEUED
    step: int = 0
    step_name: str = ""
    steps: int = 0
    findings: tuple[Finding, ...] = ()
    error: Mapping[str, Any] | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    undone: tuple[str, ...] = ()
    revision: int = 1
    created_at: str = ""
    ended_at: str = ""
    amount: Amount | None = None

    @property
    def progress(self) -> str:
        """``3/9 name``, or empty before the first step."""
        return f"{self.step}/{self.steps} {self.step_name}" if self.step else ""

    def to_mapping(self) -> dict[str, Any]:
        """The job as the API shows it."""
        return {
            "schema": JOB_SCHEMA,
            "id": self.id,
            "work": self.work,
            "state": str(self.state),
            "step": self.step_name or None,
            "step_number": self.step,
            "steps": self.steps,
            "progress": self.progress,
            "arguments": {name: _shown(value) for name, value in self.arguments.items()},
            "override": list(self.override),
            "findings": [asdict(finding) for finding in self.findings],
            "error": dict(self.error) if self.error else None,
            "result": dict(self.result),
            "undone": list(self.undone),
            "amount": asdict(self.amount) if self.amount else None,
            "revision": self.revision,
            "created_at": self.created_at,
            "ended_at": self.ended_at or None,
        }


def _shown(value: Any) -> Any:
    """An argument as everybody may see it."""
    secret = isinstance(value, str) and value.strip().startswith(places.JOIN_MARK)
    return f"{places.JOIN_MARK}..." if secret else value


def error_mapping(error: BaseException) -> dict[str, Any]:
    """What the journal keeps of an error; anything that is not ours is a bug and says so."""
    if isinstance(error, IshmaelError):
        return {
            "whose": error.whose,
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
            "findings": [asdict(finding) for finding in error.findings],
        }
    return {
        "whose": "ishmael",
        "code": "bug",
        "message": f"This is a bug in Ishmael: {type(error).__name__}: {error}",
        "hint": "Please report it with: journalctl -u ishmael-manager",
        "findings": [],
    }


def standing(findings: list[Finding], override: tuple[str, ...]) -> list[Finding]:
    """The findings that still stand when the admin goes on in spite of some."""
    return [finding for finding in findings if not (finding.overridable and finding.code in override)]
