"""Pages that only show: overview and events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

if TYPE_CHECKING:
    from ishmael.web.app import Web

_EVENTS = 100
_STORIES = 5


def add_to(app: FastAPI, web: Web) -> None:
    """Add the routes."""

    @app.get("/")
    async def overview(request: Request) -> Response:
        who = web.who(request)
        told = await web.manager.get(who, "/stories", limit=1)
        return await web.page(request, "overview.html", stories=told["stories"])

    @app.get("/events")
    async def events(request: Request) -> Response:
        who = web.who(request)
        found = (await web.manager.get(who, "/events", limit=_EVENTS))["events"]
        told = (await web.manager.get(who, "/stories", limit=_STORIES))["stories"]
        return await web.page(request, "events.html", events=found[::-1], stories=told[::-1])

    @app.get("/favicon.ico")
    async def icon() -> Response:
        return RedirectResponse("/static/icon.svg", 301)
