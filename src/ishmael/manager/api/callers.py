"""Who asks: the kernel says which user is at the other end of the socket (SO_PEERCRED, unix(7)).

Root may everything. The web process, a user of its own, may ask on behalf of somebody it has let in, and says on whose
in two headers; they count from it alone.
"""

from __future__ import annotations

import pwd
import socket
import struct
from asyncio import Transport
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from ishmael.manager.api.problems import problem
from ishmael.words import places
from ishmael.words.errors import RequestRefused

USER_HEADER = b"x-ishmael-user"
ROLE_HEADER = b"x-ishmael-role"
_NAME_MAX = 64
_READING = ("GET", "HEAD", "OPTIONS")
# What the web process may ask before anybody has signed in; the first needs the console's one-time code.
_BEFORE_SIGN_IN = {("POST", "/api/v1/users/first"), ("GET", "/api/v1/status")}
_UCRED = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Args:
        name: of the user, for the audit.
        may_change: false for those who may only look.
    """

    name: str
    may_change: bool


class PeerCredentialProtocol(H11Protocol):
    """HTTP on a Unix socket, with the peer's user id where the address of a network peer would stand."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Ask the kernel once for each connection."""
        super().connection_made(transport)
        wire = transport.get_extra_info("socket")
        raw = wire.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        pid, uid, _gid = _UCRED.unpack(raw)
        self.client = (f"uid {uid}", pid)


def web_uid() -> int | None:
    """The user id of the web process, or None when it is not installed."""
    try:
        return pwd.getpwnam(places.WEB_USER).pw_uid
    except KeyError:
        return None


class OnlyKnownCallers:
    """Refuses whom the kernel does not name as root or the web process.

    Args:
        app: what is asked.
        find_web_uid: gives the user id of the web process.
    """

    def __init__(self, app: ASGIApp, find_web_uid: Callable[[], int | None] = web_uid) -> None:
        self._app, self._find_web_uid = app, find_web_uid

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            scope.setdefault("state", {})["caller"] = self._caller(scope)
        except RequestRefused as error:
            await problem(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _caller(self, scope: Scope) -> Caller:
        name = str((scope.get("client") or ("nobody", 0))[0])
        if name == "uid 0":
            return Caller("root", may_change=True)
        uid = self._find_web_uid()
        if uid is None or name != f"uid {uid}":
            raise RequestRefused("not-root", "Only root may talk to the manager.", "Try again with sudo.")
        if (scope["method"], scope["path"]) in _BEFORE_SIGN_IN:
            return Caller("nobody yet", may_change=True)
        caller = _named_by_web(dict(scope["headers"]))
        if not caller.may_change and scope["method"] not in _READING:
            raise RequestRefused(
                "only-looking", f"{caller.name} may look and not change anything.", "Sign in as an admin."
            )
        return caller


def _named_by_web(headers: dict[bytes, Any]) -> Caller:
    user = headers.get(USER_HEADER, b"").decode("utf-8", "replace")
    role = headers.get(ROLE_HEADER, b"").decode("ascii", "replace")
    if not user or len(user) > _NAME_MAX or not user.isprintable() or role not in ("admin", "viewer"):
        raise RequestRefused("no-user-named", "The web process did not say on whose behalf it asks.", "Sign in again.")
    return Caller(user, may_change=role == "admin")
