"""Information > Service status: the lamp, all checks, one check with its history, and the maintenance window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from ishmael.web.manager import Problem, Who
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

    async def window_again(request: Request, fields: Mapping[str, str]) -> Response:
        return await every(request, minutes=fields.get("minutes", ""), why=fields.get("why", ""))

    web.forms.add("/status", window_again)

    @app.get("/status")
    async def service_status(request: Request) -> Response:
        return await every(request)

    @app.post("/status")
    async def maintenance(request: Request) -> Response:
        fields = await web.form(request)
        try:
            await set_window(web, web.who(request), fields)
        except Problem as problem:
            return await every(
                request, 422, problem=problem, minutes=fields.get("minutes", ""), why=fields.get("why", "")
            )
        return RedirectResponse("/status", 303)

    _add_one(app, web)


def _add_one(app: FastAPI, web: Web) -> None:
    async def one(request: Request, node: str, check_id: str, status: int = 200, **more: Any) -> Response:
        who = web.who(request)
        rows = (await web.manager.get(who, "/checks"))["checks"]
        row = next((row for row in rows if row["id"] == check_id and row["node"] == node), None)
        if row is None:
            raise HTTPException(404, "There is no such page.")
        told, silent = [], None
        try:
            told = (await web.manager.get(who, f"/checks/{segment(check_id)}/history", node=node))["history"]
        except Problem as problem:
            silent = problem
        shown = {"problem": None, "why": "", **more}
        return await web.page(request, "check.html", status, check=row, silent=silent, history=told[::-1], **shown)

    async def again(request: Request, fields: Mapping[str, str], node: str, check_id: str) -> Response:
        return await one(request, node, check_id, why=fields.get("why", ""))

    web.forms.add("/status/{node}/{check_id}", again)

    @app.get("/status/{node}/{check_id}")
    async def shown(request: Request, node: str, check_id: str) -> Response:
        return await one(request, node, check_id)

    @app.post("/status/{node}/{check_id}")
    async def asked(request: Request, node: str, check_id: str) -> Response:
        fields = await web.form(request)
        who, why, path = web.who(request), fields.get("why", "").strip(), f"/checks/{segment(check_id)}"
        try:
            if fields.get("action") == "acknowledge":
                await web.manager.post(who, f"{path}/acknowledge?node={quote(node)}", {"why": why})
            else:
                await web.manager.post(who, f"{path}/run?node={quote(node)}", {})
        except Problem as problem:
            return await one(request, node, check_id, 422, problem=problem, why=why)
        return RedirectResponse(request.url.path, 303)


async def set_window(web: Web, who: Who, fields: Mapping[str, str]) -> None:
    """Begin the maintenance window of both nodes, or end it.

    Raises:
        Problem: the length is none, or as the manager says.
    """
    if fields.get("action") == "end":
        await web.manager.delete(who, "/maintenance")
        return
    minutes, why = _minutes(fields.get("minutes", "").strip()), fields.get("why", "").strip()
    await web.manager.post(who, "/maintenance", {"minutes": minutes, "why": why})


def _minutes(text: str) -> int:
    """A length of time as it was typed.

    Raises:
        Problem: it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= _MINUTES_MAX):
        raise Problem(422, "bad-minutes", "The length is a number of minutes from 1 to 1440.")
    return int(text)
