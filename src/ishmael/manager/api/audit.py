"""Who changed what, told to the event list of both nodes: every request that changed something, and every sign-in."""

from __future__ import annotations

import logging
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ishmael.manager.ports.keeper import Keeper
from ishmael.words.errors import IshmaelError

log = logging.getLogger(__name__)
PREFIX = "/api/v1"
_READING = ("GET", "HEAD", "OPTIONS")
_NAMELESS = "root"
# What a change is called; routes that are not here tell of themselves (check, maintenance) or change nothing.
_CALLED = {
    ("POST", "/jobs/apply"): "applied pending jobs",
    ("DELETE", "/jobs/{job_id}"): "dropped or cancelled job {job_id}",
    ("POST", "/join-code"): "had the join code shown",
    ("POST", "/users"): "added a user",
    ("POST", "/users/first"): "became the first admin",
    ("POST", "/users/{name}/password"): "gave {name} another password",
    ("POST", "/users/{name}/role"): "gave {name} another role",
    ("POST", "/users/{name}/sign-out"): "signed {name} out everywhere",
    ("DELETE", "/users/{name}"): "removed the user {name}",
    ("POST", "/tokens"): "made a token",
    ("DELETE", "/tokens/{number}"): "removed the token {number}",
    ("PUT", "/monitoring"): "changed how the admin is told",
    ("POST", "/salvage/{find_id}/export"): "copied out data kept aside",
}


class SignIn(BaseModel):
    """Somebody signed in, or tried too often."""

    model_config = ConfigDict(extra="forbid", strict=True)
    kind: Literal["signed-in", "sign-in-refused"]
    name: Annotated[str, Field(max_length=64)]
    address: Annotated[str, Field(max_length=64)] = ""


def add_to(app: FastAPI, keeper: Keeper) -> None:
    """Add the route of sign-ins, and the ears for changes.

    Args:
        app: to add to.
        keeper: takes events.
    """

    @app.post(f"{PREFIX}/sign-ins", tags=["users"], status_code=202)
    def sign_in(wish: SignIn) -> dict[str, Any]:
        """The web process tells who signed in, and from where."""
        name = _plain(wish.name)
        said = f"{name} signed in" if wish.kind == "signed-in" else f"Too many wrong passwords for {name}"
        _tell(keeper, wish.kind, f"{said} from {_plain(wish.address)}.", {"user": name, "from": _plain(wish.address)})
        return {"schema": 1}

    app.add_middleware(Audited, keeper=keeper)


class Audited:
    """Tells of every change that was accepted.

    Args:
        app: what is asked.
        keeper: takes events.
    """

    def __init__(self, app: ASGIApp, keeper: Keeper) -> None:
        self._app, self._keeper = app, keeper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await self._app(scope, receive, noting)
        if scope["type"] == "http" and scope["method"] not in _READING and 200 <= status < 300:
            what = _what(scope)
            if what:
                caller = (scope.get("state") or {}).get("caller")
                name = _plain(caller.name) if caller is not None else _NAMELESS
                await run_in_threadpool(_tell, self._keeper, "did", f"{name} {what}.", {"user": name})


def did(request: Request, what: str) -> None:
    """A route says itself what it did, for the audit.

    Args:
        request: being answered.
        what: the sentence without its subject and full stop.
    """
    request.state.did = what


def _what(scope: Scope) -> str:
    said = (scope.get("state") or {}).get("did")
    if said:
        return str(said)
    path = str(getattr(scope.get("route"), "path", "")).removeprefix(PREFIX)
    values = {key: _plain(str(value)) for key, value in scope.get("path_params", {}).items()}
    return _CALLED.get((scope["method"], path), "").format_map(values)


def _plain(text: str) -> str:
    """What strangers typed, fit for one line."""
    return "".join(char if char.isprintable() else "?" for char in text)[:64] or "?"


def _tell(keeper: Keeper, kind: str, why: str, facts: dict[str, Any]) -> None:
    try:
        keeper.tell(kind, why, facts)
    except IshmaelError as error:
        log.warning("%s (the event list could not be told: %s)", why, error)
