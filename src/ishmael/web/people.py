"""Users, passwords and tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from ishmael.web.manager import Problem

if TYPE_CHECKING:
    from ishmael.web.app import Web


def add_to(app: FastAPI, web: Web) -> None:
    """Add the routes."""

    async def page(request: Request, status: int = 200, **more: Any) -> Response:
        listed = await web.manager.get(web.who(request), "/users")
        shown = {"problem": None, "findings": {}, "values": {}, "made": None, "said": "", **more}
        return await web.page(request, "users.html", status, listed=listed, **shown)

    async def again(request: Request, fields: Mapping[str, str]) -> Response:
        return await page(request, values=fields)

    web.forms.add("/users", again)

    @app.get("/users")
    async def users(request: Request) -> Response:
        return await page(request)

    @app.post("/users")
    async def changed(request: Request) -> Response:
        fields = await web.form(request)
        who = web.who(request)
        try:
            return await _act(fields, who)
        except _Made as made:
            return await page(request, made=made.token)
        except Problem as problem:
            by_field = {str(finding["field"]): finding for finding in problem.findings}
            values = {key: value for key, value in fields.items() if key != "password"}
            return await page(request, 422, problem=problem, findings=by_field, values=values)

    async def _act(fields: dict[str, str], who: Any) -> Response:
        name, role = fields.get("name", "").strip(), fields.get("role", "viewer")
        match fields.get("action"):
            case "add":
                await web.manager.post(
                    who, "/users", {"name": name, "role": role, "password": fields.get("password", "")}
                )
            case "password":
                body = {"password": fields.get("password", "")}
                await web.manager.post(who, f"/users/{segment(name)}/password", body)
            case "sign-out":
                await web.manager.post(who, f"/users/{segment(name)}/sign-out", {})
            case "role-admin" | "role-viewer" as wish:
                await web.manager.post(who, f"/users/{segment(name)}/role", {"role": wish.removeprefix("role-")})
            case "remove":
                await web.manager.delete(who, f"/users/{segment(name)}")
            case "add-token":
                raise _Made(await web.manager.post(who, "/tokens", {"name": name, "role": role}))
            case "remove-token":
                await web.manager.delete(who, f"/tokens/{segment(name)}")
            case _:
                raise Problem(422, "unknown-action", "There is no such action.")
        return RedirectResponse("/users", 303)


class _Made(Exception):
    """A token was made; its secret is shown once."""

    def __init__(self, token: dict[str, Any]) -> None:
        super().__init__()
        self.token = token


def segment(text: str) -> str:
    """A name as one segment of a path; what is none is asked for as a user that cannot be."""
    return text if text.isascii() and text.replace(".", "").replace("-", "").replace("_", "").isalnum() else "_"
