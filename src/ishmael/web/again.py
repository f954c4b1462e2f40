"""What was typed is shown again: after signing in anew, when the manager did not answer, in another language."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from ishmael.web.requests import NotSignedIn, require_own_origin, typed

if TYPE_CHECKING:
    from ishmael.web.app import Web

Show = Callable[..., Awaitable[Response]]
# As much as any form may carry.
_KEPT_MAX = 300_000


class Forms:
    """Which paths are forms, and how each is shown with what was typed."""

    def __init__(self) -> None:
        self._shows: list[tuple[re.Pattern[str], Show]] = []

    def add(self, path: str, show: Show) -> None:
        """A form.

        Args:
            path: as of a route, ``/services/{name}``.
            show: called with the request, the fields, and what stands for the names in the path.
        """
        self._shows.append((re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)), show))

    def known(self, path: str) -> bool:
        """There is a form at this path."""
        return any(pattern.fullmatch(path) for pattern, _ in self._shows)

    async def shown(self, request: Request, path: str, fields: Mapping[str, str]) -> Response | None:
        """The form at a path with what was typed; None when there is none."""
        for pattern, show in self._shows:
            if match := pattern.fullmatch(path):
                request.state.path, request.state.fields = path, typed(fields)
                return await show(request, typed(fields), **match.groupdict())
        return None


def own_path(path: str) -> str:
    """A path of ours to go on to; never another site's."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\", "/login", "/logout", "/first")) else "/"


def path_of(request: Request) -> str:
    """Of the page that is shown, which need not be where the form was sent."""
    return str(getattr(request.state, "path", request.url.path))


def back_of(request: Request) -> str:
    """Where to come back to the page that is shown: with its query, unless a form was sent."""
    query = request.url.query if request.method == "GET" else ""
    return path_of(request) + (f"?{query}" if query else "")


def packed(fields: Mapping[str, str]) -> str:
    """Fields as one text, to wait in a page; empty when there is none."""
    return json.dumps(typed(fields), ensure_ascii=False) if fields else ""


def unpacked(text: str) -> dict[str, str]:
    """The fields; none when the text is something else. What is no character is shown as such."""
    try:
        raw = json.loads(text) if 0 < len(text) <= _KEPT_MAX else {}
    except (ValueError, RecursionError):
        return {}
    return typed({_shown(key): _shown(value) for key, value in raw.items()}) if isinstance(raw, dict) else {}


def _shown(value: object) -> str:
    return str(value).encode(errors="replace").decode()


def add_to(app: FastAPI, web: Web) -> None:
    """Add the route."""

    @app.post("/again")
    async def again(request: Request) -> Response:
        """The form that could not be shown when it was sent."""
        require_own_origin(request)
        raw = await request.form()
        path, kept = own_path(str(raw.get("next", "/"))), unpacked(str(raw.get("kept", "")))
        request.state.path = path
        if web.session(request) is None:
            raise NotSignedIn(kept)
        await web.form(request)
        return await web.forms.shown(request, path, kept) or RedirectResponse(path, 303)
