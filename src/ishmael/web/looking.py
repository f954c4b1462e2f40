"""Pages that only show: overview, service status, events, jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, Path, Request
from fastapi.responses import RedirectResponse, Response

from ishmael.web.manager import Problem

if TYPE_CHECKING:
    from ishmael.web.app import Web

_EVENTS = 100
_STORIES = 5
_JOBS = 50
JobId = Annotated[int, Path(ge=1, le=2**53)]


def add_to(app: FastAPI, web: Web) -> None:
    """Add the routes."""

    @app.get("/")
    async def overview(request: Request) -> Response:
        who = web.who(request)
        told = await web.manager.get(who, "/stories", limit=1)
        return await web.page(request, "overview.html", stories=told["stories"])

    @app.get("/status")
    async def service_status(request: Request) -> Response:
        who = web.who(request)
        try:
            checks = (await web.manager.get(who, "/checks"))["checks"]
        except Problem as problem:
            if problem.status != 404:
                raise
            checks = None
        return await web.page(request, "status.html", checks=checks)

    @app.get("/events")
    async def events(request: Request) -> Response:
        who = web.who(request)
        found = (await web.manager.get(who, "/events", limit=_EVENTS))["events"]
        told = (await web.manager.get(who, "/stories", limit=_STORIES))["stories"]
        return await web.page(request, "events.html", events=found[::-1], stories=told[::-1])

    @app.get("/jobs")
    async def jobs(request: Request) -> Response:
        who = web.who(request)
        found = (await web.manager.get(who, "/jobs", limit=_JOBS))["jobs"]
        return await web.page(request, "jobs.html", jobs=found)

    @app.get("/jobs/{job_id}")
    async def job(request: Request, job_id: JobId) -> Response:
        who = web.who(request)
        found = await web.manager.get(who, f"/jobs/{job_id}")
        told = (await web.manager.get(who, f"/jobs/{job_id}/events"))["events"]
        return await web.page(request, "job.html", job=found, told=told)

    @app.get("/favicon.ico")
    async def icon() -> Response:
        return RedirectResponse("/static/icon.svg", 301)
