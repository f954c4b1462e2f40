"""Asks this node's manager about the files that follow."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from typing import Any

from ishmael.manager.drivers.own_api import asked, silent
from ishmael.words import places

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
        status, found = asked(self._path, limit_ms / 1000 + _ANSWER_S, "GET", f"/api/v1/files?wait_ms={limit_ms}")
        if status != http.client.OK:
            raise silent(f"HTTP {status}")
        return found
