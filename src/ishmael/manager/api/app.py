"""The REST API: `/api/v1` on the manager's Unix socket. See docs/reference/api.md."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Header, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ishmael.manager.accounts import AccountsBook
from ishmael.manager.api import problems, stream, users
from ishmael.manager.api.audit import did
from ishmael.manager.jobs.journal import Journal
from ishmael.manager.jobs.queue import Queue
from ishmael.manager.look import Look
from ishmael.manager.works.catalogue import NAMES
from ishmael.words.errors import RequestRefused

PREFIX = "/api/v1"
WAIT_S_MAX = 20.0
_ID_MAX = 2**53
JobId = Annotated[int, Path(ge=1, le=_ID_MAX)]
Key = Annotated[str, Header(max_length=128, description="One key makes one job, however often it is sent.")]


class JobWish(BaseModel):
    """A job to be done."""

    model_config = ConfigDict(extra="forbid", strict=True)

    # Named in the document only: another name is refused by the queue, in words that list those there are.
    work: str = Field(
        max_length=64, description="Kind of job, such as `add-slave`.", json_schema_extra={"enum": list(NAMES)}
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="Its inputs, by name.")
    dry_run: bool = Field(default=False, description="Only plan: nothing is touched, nothing is queued.")
    override: list[Annotated[str, Field(max_length=64)]] = Field(
        default_factory=list, max_length=32, description="Codes of overridable findings to go on in spite of."
    )
    pending: bool = Field(default=False, description="Only collect it: it waits until it is applied or dropped.")


class ApplyWish(BaseModel):
    """Which pending jobs to apply."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ids: list[Annotated[int, Field(ge=1, le=_ID_MAX)]] | None = Field(
        default=None, max_length=1000, description="Numbers of pending jobs; all when left out."
    )


class FindingOut(BaseModel):
    """One thing that stands against a request."""

    field: str
    code: str
    message: str
    hint: str
    overridable: bool
    whose: str


class JobOut(BaseModel):
    """A job, or (id null, state `planned`) the plan of one."""

    model_config = ConfigDict(extra="allow")

    id: int | None
    work: str
    state: str
    step: str | None
    steps: int
    progress: str
    findings: list[FindingOut]


def make_app(queue: Queue, journal: Journal, look: Look, version: str, book: AccountsBook) -> FastAPI:
    """The application.

    Args:
        queue: takes jobs in.
        journal: knows all jobs.
        look: what can be seen without a job.
        version: of Ishmael, for the OpenAPI document.
        book: users and tokens.
    """
    app = FastAPI(
        title="Ishmael",
        version=version,
        summary="A two-node failover cluster for Asterisk phone systems",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses=problems.DOCUMENTED,
    )
    problems.add_to(app)
    _add_looking(app, look)
    stream.add_to(app, PREFIX, journal, look)
    users.add_to(app, PREFIX, book)
    _add_jobs(app, queue, journal)
    return app


def _add_looking(app: FastAPI, look: Look) -> None:
    @app.get(f"{PREFIX}/status", tags=["look"])
    def status() -> dict[str, Any]:
        """The whole cluster as this node sees it."""
        return look.status()

    @app.get(f"{PREFIX}/nics", tags=["look"])
    def nics() -> dict[str, Any]:
        """The network interfaces of this node."""
        return look.nics()

    @app.get(f"{PREFIX}/cluster-key", tags=["look"])
    def cluster_key() -> dict[str, Any]:
        """The cluster's SSH public key, to be pasted on the node that shall become slave."""
        return look.cluster_key()

    @app.post(f"{PREFIX}/join-code", tags=["look"])
    def join_code() -> dict[str, Any]:
        """All a slave needs, in one paste. It carries a secret, so it is only for those who may change something."""
        return look.join_code()

    @app.get(f"{PREFIX}/events", tags=["look"])
    def events(limit: Annotated[int, Query(ge=1, le=10000)] = 100) -> dict[str, Any]:
        """What happened on both nodes, each with its why; oldest first."""
        return look.events(limit)

    @app.get(f"{PREFIX}/stories", tags=["look"])
    def stories(limit: Annotated[int, Query(ge=1, le=1000)] = 1) -> dict[str, Any]:
        """The newest moves of the master's role, each with what led to it and what followed; oldest first."""
        return look.stories(limit)


def _add_jobs(app: FastAPI, queue: Queue, journal: Journal) -> None:
    @app.post(
        f"{PREFIX}/jobs", tags=["jobs"], status_code=202, responses={200: {"model": JobOut}, 202: {"model": JobOut}}
    )
    def submit(wish: JobWish, request: Request, response: Response, idempotency_key: Key = "") -> dict[str, Any]:
        """Check a job and queue it (202), or only plan it (200)."""
        if wish.dry_run:
            response.status_code = 200
            return queue.plan(wish.work, wish.arguments, tuple(wish.override))
        job = queue.submit(wish.work, wish.arguments, tuple(wish.override), pending=wish.pending, key=idempotency_key)
        did(request, f"asked for {job.work} (job {job.id})")
        return job.to_mapping()

    @app.post(f"{PREFIX}/jobs/apply", tags=["jobs"])
    def apply(wish: ApplyWish) -> dict[str, Any]:
        """Queue pending jobs, in the order in which they were made; all of those named, or none."""
        return {"schema": 1, "jobs": [job.to_mapping() for job in queue.apply(wish.ids)]}

    @app.delete(f"{PREFIX}/jobs/{{job_id}}", tags=["jobs"], responses={200: {"model": JobOut}})
    def remove(job_id: JobId) -> dict[str, Any]:
        """Drop a job that has not begun; cancel one that can be taken back."""
        try:
            return queue.remove(job_id).to_mapping()
        except KeyError as error:
            raise _no_such_job(job_id) from error

    @app.get(f"{PREFIX}/jobs", tags=["jobs"])
    def jobs(limit: Annotated[int, Query(ge=1, le=1000)] = 50) -> dict[str, Any]:
        """The newest jobs, newest first."""
        return {"schema": 1, "jobs": [job.to_mapping() for job in journal.jobs(limit)]}

    @app.get(f"{PREFIX}/jobs/{{job_id}}", tags=["jobs"], responses={200: {"model": JobOut}})
    def job(
        job_id: JobId,
        after: Annotated[int | None, Query(ge=0, le=_ID_MAX, description="Wait for a revision above this one.")] = None,
        wait_s: Annotated[float, Query(ge=0, le=WAIT_S_MAX, description="How long at most, in seconds.")] = 0.0,
    ) -> dict[str, Any]:
        """One job; with `after`, as soon as it has changed."""
        try:
            found = journal.job(job_id) if after is None else journal.wait_for_change(job_id, after, wait_s)
        except KeyError as error:
            raise _no_such_job(job_id) from error
        return found.to_mapping()

    @app.get(f"{PREFIX}/jobs/{{job_id}}/events", tags=["jobs"])
    def job_events(
        job_id: JobId,
        after: Annotated[int, Query(ge=0, le=_ID_MAX, description="Only events with a number above this.")] = 0,
    ) -> dict[str, Any]:
        """What a job told, oldest first."""
        try:
            journal.job(job_id)
        except KeyError as error:
            raise _no_such_job(job_id) from error
        return {"schema": 1, "events": journal.events(job_id, after)}


def _no_such_job(number: int) -> RequestRefused:
    return RequestRefused("no-such-job", f"There is no job {number}.", "See: ishmael jobs")
