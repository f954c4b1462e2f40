"""What was changed outside the product of this node's locked files: shown, and taken over or put back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from ishmael.web import agreed
from ishmael.web.manager import Problem, Who

if TYPE_CHECKING:
    from ishmael.web.app import Web

_ACTIONS = ("take-over", "put-back")


def add_to(app: FastAPI, web: Web) -> None:
    """Add the routes."""

    async def page(request: Request, status: int = 200, problem: Problem | None = None) -> Response:
        who = web.who(request)
        found = await web.manager.get(who, "/drift")
        changes = [await _shown(web, who, each) for each in found["changes"]]
        return await web.page(
            request, "drift.html", status, changes=changes, services=found["services"], problem=problem
        )

    @app.get("/drift")
    async def listed(request: Request) -> Response:
        return await page(request)

    @app.post("/drift")
    async def settled(request: Request) -> Response:
        fields = await web.form(request)
        who, path, action = web.who(request), fields.get("path", ""), fields.get("action", "")
        if action not in _ACTIONS:
            nothing = Problem(
                422, "nothing-chosen", "Nothing was done: no button of this page was pressed.", "Press one."
            )
            return await page(request, 422, nothing)
        objection = agreed.objection(fields, (await _shown(web, who, {"path": path}))["mark"], *_ACTIONS)
        if objection is not None:
            return await page(request, 409, objection)
        try:
            await web.manager.post(who, f"/drift/{action}", {"path": path})
        except Problem as problem:
            return await page(request, 422, problem)
        return RedirectResponse("/drift", 303)


async def _shown(web: Web, who: Who, change: Mapping[str, Any]) -> dict[str, Any]:
    """A change with its difference, and the mark of both: what is agreed to is this one."""
    try:
        difference, unknown = (await web.manager.get(who, "/drift/difference", file=change["path"]))["difference"], ""
    except Problem as problem:
        difference, unknown = "", problem.message
    mark = await agreed.mark(web, who, {"work": "drift", "arguments": [change["path"], difference]})
    return {**change, "difference": difference, "unknown": unknown, "mark": mark}
