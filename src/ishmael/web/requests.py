"""What is asked of every request that changes something, and how a session gets into an answer."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from ishmael.web.sessions import COOKIE


class NotSignedIn(Exception):
    """Nobody is signed in.

    Args:
        kept: what was typed, to be offered again after signing in.
    """

    def __init__(self, kept: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.kept = {name: value for name, value in (kept or {}).items() if name not in ("csrf", "password")}


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
