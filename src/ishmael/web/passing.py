"""What is passed through: the API for programs, what changes (live), and whether this process is alive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from ishmael.web.manager import Problem, Who
from ishmael.web.sessions import COOKIE

if TYPE_CHECKING:
    from ishmael.web.app import Web

_BEAT_S = 0.5
_AGAIN_S = 1.0
_BEAT = b"event: beat\ndata: 1\n\n"
# What the manager said last may have been cut off.
_LOOK = b"\n\nevent: status\ndata: null\n\n"
_ENDED = b"\n\nevent: ended\ndata: 1\n\n"
_METHODS = ["GET", "POST", "PUT", "DELETE"]
_PASSED = ("content-type", "idempotency-key")


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
            key = f"token-from:{request.client.host if request.client else ''}"
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
        if path in ("sign-ins", "sign-outs") or any(segment in (".", "..") for segment in path.split("/")):
            return _problem(404, "no-such-route", "There is no such route.")
        if path == "events/stream":
            still = partial(_same, web, request, who)
            return StreamingResponse(watched(web.manager.stream(who), still), media_type="text/event-stream")
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

    _add_live(app, web)


def _add_live(app: FastAPI, web: Web) -> None:
    @app.get("/live")
    async def live(request: Request) -> Response:
        """What changes, for open pages; a beat twice a second, so that a page soon sees that nobody serves it."""
        found = web.session(request)
        if found is None:
            return _problem(401, "not-signed-in", "Nobody is signed in.")
        pieces = lasting(lambda: web.manager.stream(found[1]))
        still = partial(_same, web, request, found[1])
        return StreamingResponse(watched(pieces, still, _BEAT, _ENDED), media_type="text/event-stream")

    @app.get("/healthz")
    async def alive() -> JSONResponse:
        """This process answers. Says nothing about the cluster, for nobody is signed in."""
        return JSONResponse({"ok": True})


def _same(web: Web, request: Request, who: Who) -> bool:
    """Who asked is still signed in, or the token is still one, and may still do the same."""
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return web.sign_in.by_token(secret.strip()) == who
    found = web.session(request)
    return found is not None and found[1] == who


async def lasting(begin: Callable[[], AsyncIterator[bytes]]) -> AsyncIterator[bytes]:
    """What the manager tells; when it goes away, was away from the beginning, and when it is back, pages are told to look."""
    away = False
    while True:
        heard = False
        async for piece in begin():
            if away and not heard:
                yield _LOOK
            heard, away = True, False
            yield piece
        if not away:
            yield _LOOK
        away = True
        await asyncio.sleep(_AGAIN_S)


async def watched(
    pieces: AsyncIterator[bytes], still: Callable[[], bool], beat: bytes = b"", last: bytes = b""
) -> AsyncIterator[bytes]:
    """The pieces as they come, and a beat whenever nothing came for a while; ends when they do, or nobody may hear them.

    Args:
        pieces: what comes.
        still: looked at twice a second: the session or the token counts.
        beat: empty for none.
        last: what is said when it does not count any more.
    """
    coming = asyncio.ensure_future(anext(pieces, None))
    seen = 0.0
    try:
        while True:
            done, _ = await asyncio.wait({coming}, timeout=_BEAT_S)
            now = time.monotonic()
            if not done or now - seen >= _BEAT_S:
                seen = now
                if not still():
                    if last:
                        yield last
                    return
            if not done:
                if beat:
                    yield beat
                continue
            piece = coming.result()
            if piece is None:
                return
            yield piece
            coming = asyncio.ensure_future(anext(pieces, None))
    finally:
        coming.cancel()
