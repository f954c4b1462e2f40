"""Asks this node's manager about its checks."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ishmael.manager.drivers.own_api import asked
from ishmael.words import errors, places
from ishmael.words.errors import HostFault, IshmaelError

_LIMIT_S, _RUN_LIMIT_S = 5.0, 35.0
_CLASSES: dict[str, type[IshmaelError]] = {
    "request": errors.RequestRefused,
    "peer": errors.PeerFault,
    "host": HostFault,
}


class ManagersChecks:
    """The real one.

    Args:
        path: the manager's socket.
    """

    def __init__(self, path: str = places.API_SOCKET) -> None:
        self._path = path

    def run(self, check: str) -> Mapping[str, Any]:
        """Look now."""
        return self._ask("POST", f"{check}/run", _RUN_LIMIT_S)

    def acknowledge(self, check: str, user: str, why: str) -> Mapping[str, Any]:
        """The admin knows."""
        return self._ask("POST", f"{check}/acknowledge", _LIMIT_S, user, {"why": why})

    def history(self, check: str) -> Sequence[Mapping[str, Any]]:
        """Its last changes."""
        return list(self._ask("GET", f"{check}/history", _LIMIT_S).get("history") or ())

    def _ask(
        self, method: str, path: str, limit_s: float, user: str = "", body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        # The route reads the header as it came to the master's.
        headers = {"Content-Type": "application/json"} | (
            {"X-Ishmael-User": user.encode("latin-1", "replace").decode("latin-1")} if user else {}
        )
        url, sent = f"/api/v1/checks/{path}", json.dumps(dict(body or {}))
        status, found = asked(self._path, limit_s, method, url, sent, headers)
        if status != http.client.OK:
            kind = _CLASSES.get(str(found.get("whose")), errors.Bug)
            raise kind(str(found.get("code", "bug")), str(found.get("detail", "")), str(found.get("hint", "")))
        return {key: value for key, value in found.items() if key != "schema"}
