"""Jobs: what waits to be applied, what runs and ran; one job step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Path, Request
from fastapi.responses import RedirectResponse, Response

from ishmael.web import agreed
from ishmael.web.manager import Problem, Who

if TYPE_CHECKING:
    from ishmael.web.app import Web

_JOBS = 50
_NAME_MAX = 20
JobId = Annotated[int, Path(ge=1, le=2**53)]


def add_to(app: FastAPI, web: Web) -> None:
    """Add the routes."""

    async def every(request: Request, status: int = 200, problem: Problem | None = None) -> Response:
        found = (await web.manager.get(web.who(request), "/jobs", limit=_JOBS))["jobs"]
        pending = [job for job in found if job["state"] == "pending"][::-1]
        rest = [job for job in found if job["state"] != "pending"]
        return await web.page(request, "jobs.html", status, pending=pending, jobs=rest, problem=problem)

    async def one(request: Request, number: int, status: int = 200, problem: Problem | None = None) -> Response:
        who = web.who(request)
        found = await web.manager.get(who, f"/jobs/{number}")
        told = (await web.manager.get(who, f"/jobs/{number}/events"))["events"]
        return await web.page(
            request, "job.html", status, job=found, told=told, problem=problem, plan=await _plan(web, who, found)
        )

    @app.get("/jobs")
    async def jobs(request: Request) -> Response:
        return await every(request)

    @app.post("/jobs")
    async def settled(request: Request) -> Response:
        fields = await web.form(request)
        who = web.who(request)
        chosen = _chosen(fields)
        if not chosen:
            missing = Problem(422, "nothing-chosen", "No job is chosen.", "Tick the jobs that are meant.")
            return await every(request, 422, missing)
        try:
            await agreed.require_here(web, who, fields.get("node", ""))
            if fields.get("action") == "drop":
                for number in chosen:
                    await web.manager.delete(who, f"/jobs/{number}")
                return RedirectResponse("/jobs", 303)
            applied = await web.manager.post(who, "/jobs/apply", {"ids": chosen})
        except Problem as problem:
            return await every(request, 422, problem)
        return RedirectResponse(f"/jobs/{applied['jobs'][0]['id']}", 303)

    @app.get("/jobs/{job_id}")
    async def job(request: Request, job_id: JobId) -> Response:
        return await one(request, job_id)

    @app.post("/jobs/{job_id}")
    async def changed(request: Request, job_id: JobId) -> Response:
        fields = await web.form(request)
        who = web.who(request)
        try:
            await agreed.require_here(web, who, fields.get("node", ""))
            if fields.get("action") == "apply":
                await web.manager.post(who, "/jobs/apply", {"ids": [job_id]})
            else:
                await web.manager.delete(who, f"/jobs/{job_id}")
        except Problem as problem:
            return await one(request, job_id, 422, problem)
        return RedirectResponse(f"/jobs/{job_id}", 303)


def _chosen(fields: Mapping[str, str]) -> list[int]:
    """Numbers of the jobs that were ticked."""
    names = (name for name in fields if name.startswith("job-") and len(name) < _NAME_MAX)
    return sorted(int(name[4:]) for name in names if name[4:].isdecimal())


async def _plan(web: Web, who: Who, job: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What a job that waits would change as things are now; None when that cannot be said."""
    if job["state"] != "pending":
        return None
    wish = {"work": job["work"], "arguments": job["arguments"], "override": job["override"], "dry_run": True}
    try:
        return dict(await web.manager.post(who, "/jobs", wish))
    except Problem:
        return None
