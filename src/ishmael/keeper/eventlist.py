"""The event list: one for the cluster, kept on both nodes, so that it survives the loss of either.

Each keeper appends its own events and passes them to the other through Corosync's group; when the other comes (back) into the
view, the newest ones are passed again. Every event has an id of its own, so what is known already is left alone.
"""

from __future__ import annotations

import contextlib
import json
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ishmael.keeper.disk import Disk
from ishmael.words.json_text import read_json

MARK = b"event:"
"""How such a message begins; everything else in the group is for the core."""

_BYTES_MAX = 8_000_000
_TAIL_BYTES = 524288
"""Some 1,500 events: what a quiet slave tells again is older than the last few hundred of both."""
_LINE_BYTES_MAX = 8000
_WHY_MAX = 500
_KNOWN_MAX = 2000
_PASSED_AGAIN = 60
_A_TICK = 2
_FIELDS = frozenset({"id", "at", "epoch", "node", "kind", "rule", "why", "facts"})


class EventList:
    """This node's copy.

    Args:
        path: the file, JSON lines.
        disk: writes it.
    """

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._known: deque[str] = deque(maxlen=_KNOWN_MAX)
        self._own: deque[bytes] = deque(maxlen=_PASSED_AGAIN)
        self._to_pass: deque[bytes] = deque(maxlen=2 * _PASSED_AGAIN)

    def load(self, own_node: str) -> None:
        """Learn what the file holds already.

        Args:
            own_node: host name; its events are passed again when the other node comes.
        """
        for line in _tail(self._path):
            with contextlib.suppress(ValueError, TypeError, KeyError):
                entry = read_json(line)
                self._known.append(str(entry["id"]))
                if entry["node"] == own_node:
                    self._own.append(line)

    def own(self, entry: dict[str, Any]) -> None:
        """An event of this node: append it, and pass it on."""
        line = json.dumps(entry).encode()
        if len(line) > _LINE_BYTES_MAX:
            line = json.dumps(entry | {"why": str(entry["why"])[:_WHY_MAX], "facts": {}}).encode()
        self._append(str(entry["id"]), line)
        self._own.append(line)
        self._to_pass.append(line)

    def from_peer(self, line: bytes) -> bool:
        """An event of the other node; false when it is known or no event."""
        try:
            entry = read_json(line)
        except ValueError:
            return False
        if not isinstance(entry, dict) or set(entry) != _FIELDS or str(entry["id"]) in self._known:
            return False
        self._append(str(entry["id"]), line)
        return True

    def _append(self, event_id: str, line: bytes) -> None:
        self._known.append(event_id)
        self._disk.append(self._path, line + b"\n", _BYTES_MAX)

    def peer_came(self) -> None:
        """The other node came into the view: pass the newest events again."""
        self._to_pass.clear()
        self._to_pass.extend(self._own)

    def pass_on(self, send: Callable[[bytes], bool]) -> None:
        """Send a few; called on every tick, so that beats are never kept waiting.

        Args:
            send: gives a message to the group; false when it cannot take it now.
        """
        for _ in range(_A_TICK):
            if not self._to_pass or not send(MARK + self._to_pass[0]):
                return
            self._to_pass.popleft()


def _tail(path: Path) -> list[bytes]:
    """The last whole lines of a file; none when it cannot be read."""
    try:
        with path.open("rb") as lines:
            size = lines.seek(0, 2)
            lines.seek(max(0, size - _TAIL_BYTES))
            raw = lines.read()
    except OSError:
        return []
    whole = raw.split(b"\n")[:-1]
    return whole[1:] if size > _TAIL_BYTES else whole
