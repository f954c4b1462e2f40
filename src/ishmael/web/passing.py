"""What is passed through: the API for programs, what changes (live), and whether this process is alive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from ishmael.web.manager import Problem, Who
from ishmael.web.sessions import COOKIE

if TYPE_CHECKING:
    from ishmael.web.app import Web

_BEAT_S = 0.5
_METHODS = ["GET", "POST", "PUT", "DELETE"]
_PASSED = ("content-type",)


def _problem(status: int, code: str, detail: str, hint: str = "") -> JSONResponse:
    body = {
        "type": f"urn:ishmael:problem:{code}", "title": "Not allowed", "status": status, "detail": detail,
        "whose": "request", "code": code, "hint": hint, "findings": [],
    }  # fmt: skip
    return JSONResponse(body, status, media_type="application/problem+json")


def add_to(app: FastAPI, web: Web) -> None:
    """Add the routes."""

    def caller(request: Request) -> Who | Response:
        """By token; or by session, and then changes need the CSRF token, too."""
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            key = f"from:{request.client.host if request.client else ''}"
            if web.limits.wait_s(key):
                return _problem(429, "too-many-tries", "Too many wrong tokens came from here.", "Wait a while.")
            who = web.sign_in.by_token(secret.strip())
            if who is None:
                web.limits.failed(key)
                return _problem(401, "not-signed-in", "The token is none.", "Make one: ishmael user add-token NAME")
            return who
        found = web.sign_in.by_cookie(request.cookies.get(COOKIE, ""))
        if found is None:
            return _problem(401, "not-signed-in", "Nobody is signed in.", "Send: Authorization: Bearer TOKEN")
        safe = request.method == "GET"
        if not safe and request.headers.get("x-csrf-token", "") != web.sign_in.csrf(found[0]):
            return _problem(403, "no-csrf-token", "The request does not carry the session's X-CSRF-Token.")
        return found[1]

    @app.api_route("/api/v1/{path:path}", methods=_METHODS)
    async def passed(request: Request, path: str) -> Response:
        who = caller(request)
        if isinstance(who, Response):
            return who
        if path == "sign-ins" or any(segment in (".", "..") for segment in path.split("/")):
            return _problem(404, "no-such-route", "There is no such route.")
        if path == "events/stream":
            return StreamingResponse(web.manager.stream(who), media_type="text/event-stream")
        body = await request.body()
        headers = {name: request.headers[name] for name in _PASSED if name in request.headers}
        try:
            answer = await web.manager.raw(
                who,
                request.method,
                f"/{path}",
                params=request.query_params.multi_items(),
                content=body,
                headers=headers,
            )
        except Problem as problem:
            return _problem(503, problem.code, problem.message, problem.hint)
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))

    @app.get("/live")
    async def live(request: Request) -> Response:
        """What changes, for open pages; a beat twice a second, so that a page soon sees that nobody serves it."""
        found = web.session(request)
        if found is None:
            return _problem(401, "not-signed-in", "Nobody is signed in.")
        return StreamingResponse(_beating(web.manager.stream(found[1])), media_type="text/event-stream")

    @app.get("/healthz")
    async def alive() -> JSONResponse:
        """This process answers. Says nothing about the cluster, for nobody is signed in."""
        return JSONResponse({"ok": True})


async def _beating(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces as they come, and a beat whenever nothing came for a while; ends when they do."""
    coming = asyncio.ensure_future(anext(pieces, None))
    try:
        while True:
            done, _ = await asyncio.wait({coming}, timeout=_BEAT_S)
            if not done:
                yield b"event: beat\ndata: 1\n\n"
                continue
            piece = coming.result()
            if piece is None:
                return
            yield piece
            coming = asyncio.ensure_future(anext(pieces, None))
    finally:
        coming.cancel()
