"""The manager's API, asked on behalf of whoever is signed in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from ishmael.words import places

_LIMIT_S = 30.0
_CHECK_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody who is signed in: the name, and ``admin`` or ``viewer``."""

    name: str
    role: str

    @property
    def is_admin(self) -> bool:
        """May change things."""
        return self.role == "admin"

    def headers(self) -> dict[bytes, bytes]:
        """What the manager is told; names may have any letters."""
        return {b"X-Ishmael-User": self.name.encode(), b"X-Ishmael-Role": self.role.encode()}


@dataclass(eq=False)
class Problem(Exception):
    """An error of the manager (RFC 9457), or that it does not answer."""

    status: int
    code: str
    message: str
    hint: str = ""
    findings: tuple[Mapping[str, Any], ...] = ()


class Manager:
    """A client on the Unix socket.

    Args:
        path: of the socket.
    """

    def __init__(self, path: str = places.API_SOCKET) -> None:
        transport = httpx.AsyncHTTPTransport(uds=path, retries=1)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://ishmael/api/v1", timeout=_LIMIT_S)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def raw(self, who: Who, method: str, path: str, **options: Any) -> httpx.Response:
        """The answer as it is.

        Raises:
            Problem: the manager does not answer.
        """
        more = dict(options.pop("headers", {}))
        headers = {**{name.encode(): value.encode() for name, value in more.items()}, **who.headers()}
        try:
            return await self._client.request(method, path, headers=headers, **options)
        except httpx.TransportError as error:
            raise Problem(
                503, "manager-down", "The manager of this node does not answer.", "It may be restarting; try again."
            ) from error

    async def get(self, who: Who, path: str, **parameters: Any) -> Any:
        """Read one resource.

        Raises:
            Problem: as the manager says.
        """
        return _read(await self.raw(who, "GET", path, params=parameters))

    async def post(self, who: Who, path: str, body: Mapping[str, Any], key: str = "") -> Any:
        """Ask for something to be done.

        Args:
            who: asks.
            path: of the resource.
            body: what is to be done.
            key: one key makes one job, however often it is sent.

        Raises:
            Problem: as the manager says.
        """
        headers = {"idempotency-key": key} if key else {}
        return _read(await self.raw(who, "POST", path, json=body, headers=headers, timeout=_CHECK_LIMIT_S))

    async def put(self, who: Who, path: str, body: Mapping[str, Any]) -> Any:
        """Change something.

        Raises:
            Problem: as the manager says.
        """
        return _read(await self.raw(who, "PUT", path, json=body))

    async def delete(self, who: Who, path: str) -> Any:
        """Take something away.

        Raises:
            Problem: as the manager says.
        """
        return _read(await self.raw(who, "DELETE", path))

    async def stream(self, who: Who) -> AsyncIterator[bytes]:
        """The manager's server-sent events, as they come; ends when the manager does."""
        timeout = httpx.Timeout(_LIMIT_S, read=None)
        try:
            async with self._client.stream("GET", "/events/stream", headers=who.headers(), timeout=timeout) as answer:
                if not answer.is_success:
                    return
                async for piece in answer.aiter_raw():
                    yield piece
        except httpx.TransportError:
            return


def _read(answer: httpx.Response) -> Any:
    try:
        body = answer.json()
    except ValueError:
        body = {}
    if answer.is_success:
        return body
    raise Problem(
        answer.status_code,
        str(body.get("code", "manager-answer")),
        str(body.get("detail", f"The manager answered {answer.status_code}.")),
        str(body.get("hint", "")),
        tuple(body.get("findings") or ()),
    )
