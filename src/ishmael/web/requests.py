"""What is asked of every request that changes something, and how a session gets into an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ishmael.web.sessions import COOKIE

_BODY_MAX = 140_000
# What was typed before comes along with signing in; programs may say more than forms.
_LONGER = {"/login": 320_000, "/again": 320_000, "/language": 320_000}
_API_MAX = 300_000
_DRAINED_MAX = 8_000_000
_BODY_S = 30.0


class BodyLimit:
    """Refuses what is longer than any form of ours; a few megabytes are read off, so that the answer is seen.

    What does not come in half a minute is not waited for: who sends nothing takes nobody's place.

    Args:
        app: what is asked.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        path = scope.get("path", "")
        most, seen = _API_MAX if path.startswith("/api/") else _LONGER.get(path, _BODY_MAX), 0
        latest, whole = asyncio.get_running_loop().time() + _BODY_S, False

        async def in_time() -> Message:
            nonlocal whole
            try:
                async with asyncio.timeout_at(None if whole else latest):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(408, "The form did not arrive.", {"Connection": "close"}) from error
            whole = not message.get("more_body")
            return message

        async def counted() -> Message:
            nonlocal seen
            message = await in_time()
            seen += len(message.get("body", b""))
            if seen > most:
                while message.get("more_body") and seen <= _DRAINED_MAX:
                    message = await in_time()
                    seen += len(message.get("body", b""))
                raise HTTPException(413, "What was sent is too long for any form.")
            return message

        await self._app(scope, counted if scope["type"] == "http" else receive, send)


class NotSignedIn(Exception):
    """Nobody is signed in.

    Args:
        kept: what was typed, to be offered again after signing in.
    """

    def __init__(self, kept: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.kept = typed(kept or {})


def typed(fields: Mapping[str, str]) -> dict[str, str]:
    """What may be shown again: never a password."""
    return {name: value for name, value in fields.items() if name not in ("csrf", "password")}


def set_session(response: Response, cookie: str) -> None:
    """Put the session into the answer."""
    response.set_cookie(COOKIE, cookie, path="/", secure=True, httponly=True, samesite="lax")


def require_own_origin(request: Request) -> None:
    """A form comes from one of our own pages (Fetch Metadata; RFC 6454).

    Raises:
        HTTPException: it does not.
    """
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin", "")
    same = not origin or urlsplit(origin).netloc == request.headers.get("host", "")
    if site not in ("same-origin", "none") or not same:
        raise HTTPException(403, "This form was sent from another site.")


class HeadAsGet:
    """Answers HEAD as GET without its content (RFC 9110, section 9.3.2); not for what streams or is the API's.

    Args:
        app: what is asked.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if (
            scope["type"] != "http"
            or scope["method"] != "HEAD"
            or scope["path"].startswith(("/live", "/api", "/metrics"))
        ):
            await self._app(scope, receive, send)
            return

        async def bare(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET"}, receive, bare)
