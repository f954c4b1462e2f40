"""Asks this node's manager about the files that follow, over its API: the door of the other node is a process of its own."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any

from ishmael.words import places
from ishmael.words.errors import HostFault

_ANSWER_S = 3.0


class ManagersFiles:
    """The real one.

    Args:
        path: the manager's socket.
    """

    def __init__(self, path: str = places.API_SOCKET) -> None:
        self._path = path

    def settle(self, limit_ms: int) -> Mapping[str, Any]:
        """Wait until the slave has every file."""
        wire = UnixConnection(self._path, limit_ms / 1000 + _ANSWER_S)
        try:
            wire.request("GET", f"/api/v1/files?wait_ms={limit_ms}")
            answer = wire.getresponse()
            found = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise silent(str(error)) from error
        finally:
            wire.close()
        if answer.status != http.client.OK or not isinstance(found, dict):
            raise silent(f"HTTP {answer.status}")
        return found


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
