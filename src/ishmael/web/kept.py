"""What was kept aside of a former master: the list, what is in one of them, and copying it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from ishmael.web.manager import Problem
from ishmael.web.people import segment

if TYPE_CHECKING:
    from ishmael.web.app import Web


def add_to(app: FastAPI, web: Web) -> None:
    """Add the routes."""

    async def page(request: Request, find_id: str, status: int = 200, **more: Any) -> Response:
        found = await web.manager.get(web.who(request), f"/salvage/{segment(find_id)}")
        shown = {"problem": None, "directory": "", "done": "", **more}
        return await web.page(request, "find.html", status, find=found, **shown)

    async def again(request: Request, fields: Mapping[str, str], find_id: str) -> Response:
        return await page(request, find_id, directory=fields.get("directory", ""))

    web.forms.add("/salvage/{find_id}", again)

    @app.get("/salvage")
    async def listed(request: Request) -> Response:
        found = await web.manager.get(web.who(request), "/salvage")
        return await web.page(request, "salvage.html", finds=found["finds"], unreached=found["unreached"])

    @app.get("/salvage/{find_id}")
    async def one(request: Request, find_id: str) -> Response:
        return await page(request, find_id)

    @app.post("/salvage/{find_id}")
    async def exported(request: Request, find_id: str) -> Response:
        fields = await web.form(request)
        directory = fields.get("directory", "").strip()
        path = f"/salvage/{segment(find_id)}/export"
        try:
            await web.manager.post(web.who(request), path, {"directory": directory})
        except Problem as problem:
            return await page(request, find_id, 422, problem=problem, directory=directory)
        return await page(request, find_id, done=directory)
