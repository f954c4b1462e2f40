"""Asks this node's manager over its API, from another process of this node: the door of the other node is one."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any

from ishmael.words.errors import HostFault


def asked(
    path: str, limit_s: float, method: str, url: str, body: str | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """One request; the status of the answer, and the object that it is.

    Args:
        path: of the manager's socket.
        limit_s: for each step, in seconds.
        method, url, body, headers: of HTTP.

    Raises:
        HostFault: the manager does not answer, or not with an object.
    """
    wire = UnixConnection(path, limit_s)
    try:
        wire.request(method, url, body, dict(headers or {}))
        answer = wire.getresponse()
        found = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise silent(str(error)) from error
    finally:
        wire.close()
    if not isinstance(found, dict):
        raise silent(f"HTTP {answer.status}")
    return answer.status, found


def silent(why: str) -> HostFault:
    """The manager does not answer."""
    return HostFault(
        "manager-down", f"The manager of this node does not answer: {why}.", "Start it: systemctl start ishmael-manager"
    )


class UnixConnection(http.client.HTTPConnection):
    """HTTP on a Unix socket.

    Args:
        path: of the socket.
        limit_s: for each step, in seconds.
    """

    def __init__(self, path: str, limit_s: float) -> None:
        super().__init__("ishmael", timeout=limit_s)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
