"""The keeper's event list, read from its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ishmael.words import places

_TAIL_BYTES_MAX = 8_000_000


class EventFile:
    """JSON lines, appended by the keeper.

    Args:
        path: the file.
    """

    def __init__(self, path: str = places.EVENTS) -> None:
        self._path = Path(path)

    def newest(self, limit: int) -> list[dict[str, Any]]:
        """The newest events, oldest of them first; a line torn by a power cut is left out."""
        try:
            with self._path.open("rb") as lines:
                lines.seek(0, 2)
                size = lines.tell()
                lines.seek(max(0, size - _TAIL_BYTES_MAX))
                raw = lines.read()
        except FileNotFoundError:
            return []
        found = []
        for line in raw.splitlines()[-limit:]:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                found.append(event)
        return found
