"""The web application: what every page shares; the routes are in their own modules."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ishmael.web import checks, cluster, jobs, kept, looking, network, notifications, passing, people, services, signing
from ishmael.web.manager import Manager, Problem, Who
from ishmael.web.requests import BodyLimit, NotSignedIn, require_own_origin, set_session
from ishmael.web.sessions import COOKIE, AccountsFile, Limits, Session, SignIn
from ishmael.web.texts import COOKIE as LANGUAGE_COOKIE
from ishmael.web.texts import LANGUAGES, Texts, chosen

_HERE = Path(__file__).parent
NOBODY = Who("nobody", "viewer")
_JOBS_SHOWN = 5
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
    """Adds the headers of OWASP ASVS 4.0.3, chapter 14.4, to every answer; pages are kept by no cache."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                more = dict(HEADERS)
                if not scope["path"].startswith("/static/"):
                    more["Cache-Control"] = "no-store"
                message["headers"] = [
                    *message["headers"],
                    *((n.lower().encode(), v.encode()) for n, v in more.items() if n.lower().encode() not in present),
                ]
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


@dataclass
class Web:
    """What the routes work with.

    Args:
        manager: the API behind.
        sign_in: checks who asks.
        limits: slows down guessing.
        pages: the templates.
    """

    manager: Manager
    sign_in: SignIn
    limits: Limits
    pages: Environment

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
                "_": texts.translate, "texts": texts, "languages": LANGUAGES, "path": request.url.path, "answers_form": request.method == "POST",
                "who": who if found else None, "csrf": self.sign_in.csrf(found[0]) if found else "",
                "status": state, "lamp": lamp, "box_jobs": box_jobs, **values,
            }
        )  # fmt: skip
        response = HTMLResponse(html, status)
        if found and (renewed := self.sign_in.renewed(found[0])):
            set_session(response, self.sign_in.cookie(renewed))
        return response

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
    web = Web(manager, SignIn(accounts), Limits(), pages)
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    for room in (signing, looking, checks, cluster, jobs, kept, network, notifications, services, people, passing):
        room.add_to(app, web)
    _add_errors(app, web)
    app.add_middleware(BodyLimit)
    app.add_middleware(SecurityHeaders)
    return app


def _add_errors(app: FastAPI, web: Web) -> None:
    @app.exception_handler(NotSignedIn)
    async def not_signed_in(request: Request, error: NotSignedIn) -> Response:
        if request.method == "GET":
            return RedirectResponse(f"/login?next={request.url.path}", 303)
        return await signing.login_page(web, request, 401, next_path=request.url.path, kept=error.kept, expired=True)

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        return await web.page(request, "error.html", max(error.status, 400), error=error)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        known = Problem(error.status_code, "page", str(error.detail))
        return await web.page(request, "error.html", error.status_code, error=known)
