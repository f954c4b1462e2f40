"""The two doors the command line knocks at: the manager's API and, when that is down, the keeper's control socket."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ishmael.words import errors, places
from ishmael.words.errors import Finding, HostFault, IshmaelError, RequestRefused

if TYPE_CHECKING:
    import httpx

READ_LIMIT_S = 30.0
CHECK_LIMIT_S = 120.0
_CLASSES: dict[str, type[IshmaelError]] = {
    "request": errors.RequestRefused,
    "peer": errors.PeerFault,
    "host": errors.HostFault,
    "ishmael": errors.Bug,
}


class ManagerDown(HostFault):
    """The manager's socket does not answer."""


def error_from(raw: Mapping[str, Any]) -> IshmaelError:
    """The error behind a problem document of the API (RFC 9457) or an ``error`` of the control socket."""
    findings = tuple(
        Finding(
            str(f.get("field", "")),
            str(f.get("code", "")),
            str(f.get("message", "")),
            str(f.get("hint", "")),
            bool(f.get("overridable")),
            str(f.get("whose", "request")),
        )
        for f in raw.get("findings") or ()
    )
    message = str(raw.get("message") or raw.get("detail") or "Something went wrong.")
    kind = _CLASSES.get(str(raw.get("whose")), errors.Bug)
    return kind(str(raw.get("code", "unknown")), message, str(raw.get("hint") or ""), findings)


class Api:
    """The manager's REST API on its Unix socket."""

    def __init__(self, path: str = places.API_SOCKET) -> None:
        self.path = path

    def _client(self, limit_s: float) -> httpx.Client:
        import httpx  # noqa: PLC0415 - 0.1 s that `ishmael --help` need not pay

        transport = httpx.HTTPTransport(uds=self.path)
        return httpx.Client(transport=transport, base_url="http://ishmael/api/v1", timeout=limit_s)

    def _ask(self, method: str, path: str, limit_s: float, **options: Any) -> Any:
        import httpx  # noqa: PLC0415

        try:
            with self._client(limit_s) as client:
                answer = client.request(method, path, **options)
        except httpx.TimeoutException as error:
            raise HostFault(
                "manager-slow",
                f"The manager did not answer within {limit_s:.0f} s.",
                "See: journalctl -u ishmael-manager",
            ) from error
        except httpx.TransportError as error:
            if os.geteuid() != 0:
                raise RequestRefused(
                    "not-root", "Only root may talk to the manager.", "Try again with sudo."
                ) from error
            raise ManagerDown(
                "manager-down", "The manager of this node does not answer.", "Start it: systemctl start ishmael-manager"
            ) from error
        if answer.is_success:
            return answer.text if answer.headers.get("content-type", "").startswith("text/plain") else answer.json()
        try:
            problem = answer.json()
        except ValueError:
            problem = {"message": f"The manager answered {answer.status_code}.", "code": "manager-answer"}
        raise error_from(problem)

    def get(self, path: str, **parameters: Any) -> Any:
        """Read one resource; parameters that are None are left out."""
        chosen = {key: value for key, value in parameters.items() if value is not None}
        return self._ask("GET", path, READ_LIMIT_S, params=chosen)

    def text(self, path: str, **parameters: Any) -> str:
        """Read one resource that is plain text."""
        return str(self._ask("GET", path, READ_LIMIT_S, params=parameters))

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Change a resource."""
        return self._ask("PUT", path, READ_LIMIT_S, json=body)

    def delete(self, path: str) -> Any:
        """End something."""
        return self._ask("DELETE", path, READ_LIMIT_S)

    def post(self, path: str, body: Mapping[str, Any], **parameters: Any) -> Any:
        """Ask for something to be done; parameters that are None are left out."""
        chosen = {key: value for key, value in parameters.items() if value is not None}
        return self._ask("POST", path, CHECK_LIMIT_S, json=body, params=chosen)


def ask_keeper(ask: str, path: str = places.KEEPER_SOCKET, limit_s: float = 3.0) -> dict[str, Any]:
    """Ask the keeper's control socket one thing (one JSON object a line).

    Args:
        ask: name of the request.
        path: the socket.
        limit_s: how long to wait, in seconds.

    Raises:
        HostFault: the keeper does not answer.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
            door.settimeout(limit_s)
            door.connect(path)
            door.sendall(json.dumps({"ask": ask}).encode() + b"\n")
            with door.makefile("rb") as lines:
                answer = json.loads(lines.readline())
    except (OSError, ValueError) as error:
        raise HostFault(
            "keeper-down", "The keeper of this node does not answer.", "Start it: systemctl start ishmael-keeper"
        ) from error
    if not answer.get("ok"):
        raise error_from(answer.get("error") or {})
    return dict(answer)
