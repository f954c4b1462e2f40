"""How far the joining of the database is: a small file, for it goes on beside everything and outlives its asker."""

from __future__ import annotations

import json
from typing import Any

from ishmael.manager.drivers.files import DiskFiles
from ishmael.words import places


class JoinState:
    """Reads and writes it.

    Args:
        path: the file.
    """

    def __init__(self, path: str = places.DATABASE_JOIN) -> None:
        self._path = path
        self._files = DiskFiles()

    def read(self) -> dict[str, Any]:
        """What was written last; state ``none`` when nothing was."""
        try:
            found = json.loads(self._files.read(self._path) or b"{}")
        except ValueError:
            found = {}
        return {"state": "none", **found} if isinstance(found, dict) else {"state": "none"}

    def begin(self, key: str) -> None:
        """A new one."""
        self._put({
            "state": "running", "key": key, "rung": "", "tried": [], "bytes_moved": 0, "bytes_kept": 0,
            "bytes_total": 0, "salvage": "", "error": None, "took_ms": 0,
        })  # fmt: skip

    def change(self, **changes: Any) -> None:
        """Some of it."""
        self._put({**self.read(), **changes})

    def _put(self, what: dict[str, Any]) -> None:
        self._files.write(self._path, json.dumps(what).encode() + b"\n", 0o600)
