"""The web application: what every page shares; the routes are in their own modules."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ishmael.web import (
    again,
    checks,
    cluster,
    drift,
    jobs,
    kept,
    looking,
    network,
    notifications,
    passing,
    people,
    services,
    signing,
)
from ishmael.web.again import Forms, back_of, packed, path_of
from ishmael.web.assets import Assets
from ishmael.web.manager import Manager, Problem, Who
from ishmael.web.requests import BodyLimit, HeadAsGet, NotSignedIn, require_own_origin, set_session, typed
from ishmael.web.sessions import COOKIE, AccountsFile, Limits, Session, SignIn
from ishmael.web.texts import COOKIE as LANGUAGE_COOKIE
from ishmael.web.texts import LANGUAGES, Texts, chosen

_HERE = Path(__file__).parent
NOBODY = Who("nobody", "viewer")
_JOBS_SHOWN = 5
_NO_PAGE = "There is no such page."
_NO_FORM = "What was sent is no form of ours."
_NO_METHOD = "This page takes nothing of this kind."
BACKGROUND = "x-background"
log = logging.getLogger(__name__)
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class SecurityHeaders:
    """Adds the headers of OWASP ASVS 4.0.3, chapter 14.4, to every answer, and answers when a page has a bug.

    Pages are kept by no cache; what is named with its version is kept for good.

    Args:
        app: what is asked.
        assets: versions of the static files.
        bug: makes the page of a bug.
    """

    def __init__(self, app: ASGIApp, assets: Assets, bug: Callable[[Request], Response]) -> None:
        self._app, self._assets, self._bug = app, assets, bug

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        begun = False

        async def with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                present = {name.lower() for name, _ in message["headers"]}
                more = HEADERS | {
                    "Cache-Control": self._assets.cache(scope["path"], scope["query_string"].decode("latin-1"))
                }
                message["headers"] = [
                    *message["headers"],
                    *((n.lower().encode(), v.encode()) for n, v in more.items() if n.lower().encode() not in present),
                ]
            await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, receive, with_headers)
        except Exception:
            if begun:
                raise
            log.exception("%s %s", scope["method"], scope["path"])
            await self._bug(Request(scope))(scope, receive, with_headers)


@dataclass
class Web:
    """What the routes work with.

    Args:
        manager: the API behind.
        sign_in: checks who asks.
        limits: slows down guessing.
        pages: the templates.
        assets: the static files.
        forms: what can be shown again with what was typed.
    """

    manager: Manager
    sign_in: SignIn
    limits: Limits
    pages: Environment
    assets: Assets
    forms: Forms = field(default_factory=Forms)

    def texts(self, request: Request) -> Texts:
        """The reader's language."""
        cookie = request.cookies.get(LANGUAGE_COOKIE, "")
        return Texts(chosen(cookie, request.headers.get("accept-language", "")))

    def session(self, request: Request) -> tuple[Session, Who] | None:
        """Who is signed in."""
        return self.sign_in.by_cookie(request.cookies.get(COOKIE, ""))

    def who(self, request: Request) -> Who:
        """Who is signed in.

        Raises:
            NotSignedIn: nobody.
        """
        found = self.session(request)
        if found is None:
            raise NotSignedIn
        return found[1]

    async def form(self, request: Request) -> dict[str, str]:
        """The fields of a form that a signed-in user sent from one of our pages.

        Raises:
            NotSignedIn: nobody is signed in; what was typed is kept for after.
            HTTPException: it comes from elsewhere.
        """
        raw = await request.form()
        fields = {name: value for name, value in raw.items() if isinstance(value, str)}
        require_own_origin(request)
        request.state.fields = typed(fields)
        found = self.session(request)
        if found is None:
            raise NotSignedIn(fields)
        if fields.pop("csrf", "") != self.sign_in.csrf(found[0]):
            raise HTTPException(403, "This form has expired; open the page again.")
        return fields

    async def page(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page with all that every page shows: lamp, jobs, who is signed in."""
        found = self.session(request)
        who = found[1] if found else NOBODY
        texts = self.texts(request)
        state, lamp, box_jobs = await self._around(who) if found else ({}, None, [])
        html = self.pages.get_template(template).render(
            {
                "_": texts.translate, "texts": texts, "languages": LANGUAGES, "path": path_of(request), "back": back_of(request),
                "asset": self.assets.url, "answers_form": request.method == "POST",
                "who": who if found else None, "csrf": self.sign_in.csrf(found[0]) if found else "",
                "status": state, "lamp": lamp, "box_jobs": box_jobs, **values,
            }
        )  # fmt: skip
        response = HTMLResponse(html, status)
        # A page that renews itself keeps nobody signed in.
        by_hand = BACKGROUND not in request.headers
        if found and by_hand and (renewed := self.sign_in.renewed(found[0])):
            set_session(response, self.sign_in.cookie(renewed))
        return response

    async def failed(self, request: Request, problem: Problem) -> HTMLResponse:
        """The page of a problem; what was typed waits in it until the form can be shown."""
        path, fields = path_of(request), getattr(request.state, "fields", {})
        kept = packed(fields) if self.session(request) and self.forms.known(path) else ""
        return await self.page(request, "error.html", max(problem.status, 400), error=problem, kept=kept)

    def bug(self, request: Request) -> HTMLResponse:
        """A plain page that needs nothing else to work."""
        texts = self.texts(request)
        return HTMLResponse(
            self.pages.get_template("bug.html").render(_=texts.translate, texts=texts, asset=self.assets.url), 500
        )

    async def _around(self, who: Who) -> tuple[Mapping[str, Any], Mapping[str, Any], list[Mapping[str, Any]]]:
        try:
            status, lamp, listed = await asyncio.gather(
                self.manager.get(who, "/status"),
                self.manager.get(who, "/lamp"),
                self.manager.get(who, "/jobs", limit=_JOBS_SHOWN),
            )
        except Problem as problem:
            reason = {"id": problem.code, "title": problem.message, "hint": problem.hint, "state": "critical"}
            return {}, {"colour": "red", "reasons": [reason]}, []
        return status, lamp, listed["jobs"]


def make_app(manager: Manager, accounts: AccountsFile) -> FastAPI:
    """The application.

    Args:
        manager: the API behind.
        accounts: who may sign in.
    """
    app = FastAPI(title="Ishmael", openapi_url=None, docs_url=None, redoc_url=None)
    pages = Environment(
        loader=FileSystemLoader(_HERE / "templates"), autoescape=select_autoescape(),
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    assets = Assets(_HERE / "static")
    web = Web(manager, SignIn(accounts), Limits(), pages, assets)
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    for room in (
        signing,
        looking,
        checks,
        cluster,
        drift,
        jobs,
        kept,
        network,
        notifications,
        services,
        people,
        passing,
        again,
    ):
        room.add_to(app, web)
    _add_errors(app, web)
    app.add_middleware(BodyLimit)
    app.add_middleware(HeadAsGet)
    app.add_middleware(SecurityHeaders, assets=assets, bug=web.bug)
    return app


def _add_errors(app: FastAPI, web: Web) -> None:
    @app.exception_handler(NotSignedIn)
    async def not_signed_in(request: Request, error: NotSignedIn) -> Response:
        if request.method == "GET":
            wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?next={quote(wanted)}", 303)
        return await signing.login_page(web, request, 401, next_path=path_of(request), kept=error.kept, expired=True)

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        return await web.failed(request, error)

    @app.exception_handler(RequestValidationError)
    async def nothing_there(request: Request, _error: RequestValidationError) -> Response:
        return await web.failed(request, Problem(404, "page", _NO_PAGE))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        # Without words of our own it is the framework that refuses.
        phrase = error.detail == HTTPStatus(error.status_code).phrase
        said = {400: _NO_FORM} | ({404: _NO_PAGE, 405: _NO_METHOD} if phrase else {})
        answer = await web.failed(
            request, Problem(error.status_code, "page", said.get(error.status_code, str(error.detail)))
        )
        answer.headers.update(error.headers or {})
        return answer
