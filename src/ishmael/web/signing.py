"""Signing in and out, the first admin, the language."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from ishmael.web import cluster
from ishmael.web.manager import Problem, Who
from ishmael.web.requests import require_own_origin, set_session
from ishmael.web.sessions import COOKIE
from ishmael.web.texts import COOKIE as LANGUAGE_COOKIE
from ishmael.web.texts import LANGUAGES

if TYPE_CHECKING:
    from ishmael.web.app import Web

_telling: set[asyncio.Future[None]] = set()
_KEPT_MAX = 20000
_YEAR_S = 365 * 86400


def _own_path(path: str) -> str:
    """A path of ours to go on to; never another site's."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\", "/login", "/logout", "/first")) else "/"


async def login_page(
    web: Web, request: Request, status: int = 200, *, next_path: str = "/", kept: Mapping[str, str] | None = None,
    name: str = "", expired: bool = False, problem: str = "", wait_s: int = 0,
) -> Response:  # fmt: skip
    """The page to sign in at; what was typed before waits in it."""
    return await web.page(
        request, "login.html", status, next_path=_own_path(next_path), kept=json.dumps(dict(kept or {})) if kept else "",
        name=name, expired=expired, problem=problem, wait_s=wait_s,
    )  # fmt: skip


def add_to(app: FastAPI, web: Web) -> None:
    """Add the routes."""

    @app.get("/login")
    async def login(request: Request, next: str = "/") -> Response:
        if not web.sign_in.has_users():
            return RedirectResponse("/first", 303)
        if web.session(request) is not None:
            return RedirectResponse(_own_path(next), 303)
        return await login_page(web, request, next_path=next)

    @app.post("/login")
    async def sign_in(request: Request) -> Response:
        require_own_origin(request)
        raw = await request.form()
        field = {key: str(value) for key, value in raw.items() if isinstance(value, str)}
        name, next_path = field.get("name", "").strip()[:64], field.get("next", "/")
        kept = _kept(field.get("kept", ""))
        keys = (f"name:{name}", f"from:{request.client.host if request.client else ''}")
        if wait_s := web.limits.wait_s(*keys):
            return await login_page(web, request, 429, next_path=next_path, kept=kept, name=name, wait_s=wait_s)
        session = web.sign_in.by_password(name, field.get("password", "")[:512])
        if session is None:
            web.limits.failed(*keys)
            if web.limits.wait_s(*keys):
                _tell(web, "sign-in-refused", name, request)
            return await login_page(web, request, 401, next_path=next_path, kept=kept, name=name, problem="wrong")
        web.limits.succeeded(*keys)
        _tell(web, "signed-in", name, request)
        cookie = web.sign_in.cookie(session)
        request.cookies[COOKIE] = cookie
        response: Response = RedirectResponse(_own_path(next_path), 303)
        if kept:
            response = await cluster.shown_again(web, request, _own_path(next_path), kept) or response
        set_session(response, cookie)
        return response

    _add_first(app, web)

    @app.post("/logout")
    async def logout(request: Request) -> Response:
        await web.form(request)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
        return response

    @app.post("/language")
    async def language(request: Request) -> Response:
        require_own_origin(request)
        raw = await request.form()
        wish, back = str(raw.get("language", "")), str(raw.get("next", "/"))
        response = RedirectResponse(back if back in ("/login", "/first") else _own_path(back), 303)
        if wish in LANGUAGES:
            response.set_cookie(LANGUAGE_COOKIE, wish, max_age=_YEAR_S, secure=True, httponly=True, samesite="lax")
        return response


def _tell(web: Web, kind: str, name: str, request: Request) -> None:
    """For the audit, in the background: signing in waits for nobody."""

    async def told() -> None:
        shown = name if name and name.isprintable() else "?"
        body = {"kind": kind, "name": shown, "address": request.client.host if request.client else ""}
        with suppress(Problem):
            await web.manager.post(Who(shown, "admin"), "/sign-ins", body)

    task = asyncio.ensure_future(told())
    _telling.add(task)
    task.add_done_callback(_telling.discard)


def _add_first(app: FastAPI, web: Web) -> None:
    """The first admin, made in the browser with the console's code."""

    @app.get("/first")
    async def first(request: Request) -> Response:
        if web.sign_in.has_users():
            return RedirectResponse("/login", 303)
        return await web.page(request, "first.html", values={}, findings={}, problem="")

    @app.post("/first")
    async def make_first(request: Request) -> Response:
        require_own_origin(request)
        raw = await request.form()
        values = {key: str(raw.get(key, ""))[:512] for key in ("code", "name", "password")}
        key = f"from:{request.client.host if request.client else ''}"
        if web.limits.wait_s(key):
            return await web.page(request, "first.html", 429, values=values, findings={}, problem="wait")
        try:
            await web.manager.post(Who("first", "admin"), "/users/first", values)
        except Problem as problem:
            web.limits.failed(key)
            by_field = {str(finding["field"]): finding for finding in problem.findings}
            text = "" if by_field else problem.message
            return await web.page(request, "first.html", 422, values=values, findings=by_field, problem=text)
        session = web.sign_in.by_password(values["name"].strip(), values["password"])
        response = RedirectResponse("/", 303)
        if session is not None:
            set_session(response, web.sign_in.cookie(session))
        return response


def _kept(text: str) -> dict[str, str]:
    try:
        raw = json.loads(text) if 0 < len(text) <= _KEPT_MAX else {}
    except (ValueError, RecursionError):
        return {}
    return {str(key): str(value) for key, value in raw.items()} if isinstance(raw, dict) else {}
