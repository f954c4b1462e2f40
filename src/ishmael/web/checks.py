"""Information > Service status: the lamp, all checks, one check with its history, and the maintenance window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from ishmael.web.manager import Problem
from ishmael.web.people import segment

if TYPE_CHECKING:
    from ishmael.web.app import Web

_MINUTES_MAX = 1440


def add_to(app: FastAPI, web: Web) -> None:
    """Add the routes."""

    async def every(request: Request, status: int = 200, **more: Any) -> Response:
        seen = await web.manager.get(web.who(request), "/checks")
        shown = {"problem": None, "minutes": "60", "why": "", **more}
        return await web.page(
            request, "status.html", status, checks=seen["checks"], unreached=seen["unreached"],
            maintenance=seen["maintenance"], **shown,
        )  # fmt: skip

    async def one(request: Request, node: str, check_id: str, status: int = 200, **more: Any) -> Response:
        who = web.who(request)
        rows = (await web.manager.get(who, "/checks"))["checks"]
        row = next((row for row in rows if row["id"] == check_id and row["node"] == node), None)
        if row is None:
            raise HTTPException(404, "There is no such page.")
        here = (await web.manager.get(who, "/status"))["node"] == node
        told = (await web.manager.get(who, f"/checks/{segment(check_id)}/history"))["history"] if here else []
        shown = {"problem": None, "why": "", **more}
        return await web.page(request, "check.html", status, check=row, here=here, history=told[::-1], **shown)

    @app.get("/status")
    async def service_status(request: Request) -> Response:
        return await every(request)

    @app.post("/status")
    async def maintenance(request: Request) -> Response:
        fields = await web.form(request)
        who, minutes, why = web.who(request), fields.get("minutes", "").strip(), fields.get("why", "").strip()
        try:
            if fields.get("action") == "end":
                await web.manager.delete(who, "/maintenance")
            else:
                await web.manager.post(who, "/maintenance", {"minutes": _minutes(minutes), "why": why})
        except Problem as problem:
            return await every(request, 422, problem=problem, minutes=minutes, why=why)
        return RedirectResponse("/status", 303)

    @app.get("/status/{node}/{check_id}")
    async def shown(request: Request, node: str, check_id: str) -> Response:
        return await one(request, node, check_id)

    @app.post("/status/{node}/{check_id}")
    async def asked(request: Request, node: str, check_id: str) -> Response:
        fields = await web.form(request)
        who, why, path = web.who(request), fields.get("why", "").strip(), f"/checks/{segment(check_id)}"
        try:
            if fields.get("action") == "acknowledge":
                await web.manager.post(who, f"{path}/acknowledge", {"why": why})
            else:
                await web.manager.post(who, f"{path}/run", {})
        except Problem as problem:
            return await one(request, node, check_id, 422, problem=problem, why=why)
        return RedirectResponse(request.url.path, 303)


def _minutes(text: str) -> int:
    """A length of time as it was typed.

    Raises:
        Problem: it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= _MINUTES_MAX):
        raise Problem(422, "bad-minutes", "The length is a number of minutes from 1 to 1440.")
    return int(text)
