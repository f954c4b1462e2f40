"""Signing in and out, the first admin, the language."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from ishmael.web.again import own_path, packed, unpacked
from ishmael.web.manager import Problem, Who
from ishmael.web.requests import require_own_origin, set_session
from ishmael.web.sessions import COOKIE, Session
from ishmael.web.texts import COOKIE as LANGUAGE_COOKIE
from ishmael.web.texts import LANGUAGES

if TYPE_CHECKING:
    from ishmael.web.app import Web

_telling: set[asyncio.Future[None]] = set()
_OPEN = ("/login", "/first")
_AGAIN_S = (1, 2, 4, 8, 15, 30, 60, 120)
_YEAR_S = 365 * 86400


async def login_page(
    web: Web, request: Request, status: int = 200, *, next_path: str = "/", kept: Mapping[str, str] | None = None,
    name: str = "", expired: bool = False, problem: str = "", wait_s: int = 0,
) -> Response:  # fmt: skip
    """The page to sign in at; what was typed before waits in it."""
    return await web.page(
        request, "login.html", status, next_path=own_path(next_path), kept=packed(kept or {}),
        name=name, expired=expired, problem=problem, wait_s=wait_s,
    )  # fmt: skip


def add_to(app: FastAPI, web: Web) -> None:
    """Add the routes."""

    @app.get("/login")
    async def login(request: Request, next: str = "/") -> Response:
        if not web.sign_in.has_users():
            return RedirectResponse("/first", 303)
        if web.session(request) is not None:
            return RedirectResponse(own_path(next), 303)
        return await login_page(web, request, next_path=next)

    async def again(request: Request, fields: Mapping[str, str]) -> Response:
        kept = unpacked(fields.get("kept", ""))
        return await login_page(web, request, next_path=fields.get("next", "/"), kept=kept, name=fields.get("name", ""))

    web.forms.add("/login", again)

    @app.post("/login")
    async def sign_in(request: Request) -> Response:
        require_own_origin(request)
        raw = await request.form()
        field = {key: str(value) for key, value in raw.items() if isinstance(value, str)}
        name, next_path = field.get("name", "").strip()[:64], field.get("next", "/")
        kept = unpacked(field.get("kept", ""))
        keys = (f"name:{name}", f"from:{request.client.host if request.client else ''}")
        if wait_s := web.limits.wait_s(*keys):
            return await login_page(web, request, 429, next_path=next_path, kept=kept, name=name, wait_s=wait_s)
        web.limits.failed(*keys)
        session = await web.sign_in.checked(name, field.get("password", "")[:512])
        if session is None:
            if web.limits.wait_s(*keys):
                _tell(web, "sign-in-refused", name, request)
            return await login_page(web, request, 401, next_path=next_path, kept=kept, name=name, problem="wrong")
        # An account of one's own must not make guessing at others' free.
        web.limits.succeeded(keys[0])
        web.limits.was_none(keys[1])
        _tell(web, "signed-in", name, request)
        cookie = web.sign_in.cookie(session)
        request.cookies[COOKIE] = cookie
        response: Response = RedirectResponse(own_path(next_path), 303)
        if kept:
            response = await _shown(web, request, own_path(next_path), kept) or response
        set_session(response, cookie)
        return response

    _add_first(app, web)
    _add_leaving(app, web)


def _add_leaving(app: FastAPI, web: Web) -> None:
    """Signing out, and the language."""

    @app.post("/logout")
    async def logout(request: Request) -> Response:
        await web.form(request)
        found = web.session(request)
        assert found is not None
        _end(web, found[0])
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
        return response

    @app.post("/language")
    async def language(request: Request) -> Response:
        require_own_origin(request)
        raw = await request.form()
        wish, back = str(raw.get("language", "")), str(raw.get("next", "/"))
        back = back if back in _OPEN else own_path(back)
        kept = unpacked(str(raw.get("kept", "")))
        response: Response = RedirectResponse(back, 303)
        if wish in LANGUAGES:
            request.cookies[LANGUAGE_COOKIE] = wish
            if kept and (back in _OPEN or web.session(request) is not None):
                response = await _shown(web, request, back.partition("?")[0], kept) or response
            response.set_cookie(LANGUAGE_COOKIE, wish, max_age=_YEAR_S, secure=True, httponly=True, samesite="lax")
        return response


def _tell(web: Web, kind: str, name: str, request: Request) -> None:
    """For the audit, in the background: signing in waits for nobody."""

    async def told() -> None:
        shown = name if name and name.isprintable() else "?"
        body = {"kind": kind, "name": shown, "address": request.client.host if request.client else ""}
        with suppress(Problem):
            await web.manager.post(Who(shown, "admin"), "/sign-ins", body)

    _in_background(told())


def _end(web: Web, session: Session) -> None:
    """End a session: here at once, on both nodes as soon as the manager has written it down."""
    body = {"name": session.user, "nonce": session.nonce, "until_s": web.sign_in.end(session)}

    async def told() -> None:
        for pause_s in (*_AGAIN_S, 0):
            try:
                await web.manager.post(Who(session.user, "admin"), "/sign-outs", body)
            except Problem:
                await asyncio.sleep(pause_s)
            else:
                return

    _in_background(told())


def _in_background(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    _telling.add(task)
    task.add_done_callback(_telling.discard)


async def _shown(web: Web, request: Request, path: str, kept: Mapping[str, str]) -> Response | None:
    """The form with what was typed, or the page that says why it cannot be shown."""
    try:
        return await web.forms.shown(request, path, kept)
    except Problem as problem:
        return await web.failed(request, problem)
    except HTTPException:
        return None


def _add_first(app: FastAPI, web: Web) -> None:
    """The first admin, made in the browser with the console's code."""

    @app.get("/first")
    async def first(request: Request) -> Response:
        if web.sign_in.has_users():
            return RedirectResponse("/login", 303)
        return await web.page(request, "first.html", values={}, findings={}, problem="")

    async def again(request: Request, fields: Mapping[str, str]) -> Response:
        return await web.page(request, "first.html", values=fields, findings={}, problem="")

    web.forms.add("/first", again)

    @app.post("/first")
    async def make_first(request: Request) -> Response:
        require_own_origin(request)
        raw = await request.form()
        values = {key: str(raw.get(key, ""))[:512] for key in ("code", "name", "password")}
        key = f"code-from:{request.client.host if request.client else ''}"
        if web.limits.wait_s(key):
            return await web.page(request, "first.html", 429, values=values, findings={}, problem="wait")
        try:
            await web.manager.post(Who("first", "admin"), "/users/first", values)
        except Problem as problem:
            by_field = {str(finding["field"]): finding for finding in problem.findings}
            # A code that was right, with a password that is none, is no try at guessing.
            if "code" in by_field:
                web.limits.failed(key)
            text = "" if by_field else problem.message
            return await web.page(request, "first.html", 422, values=values, findings=by_field, problem=text)
        session = await web.sign_in.checked(values["name"].strip(), values["password"])
        response = RedirectResponse("/", 303)
        if session is not None:
            set_session(response, web.sign_in.cookie(session))
        return response
