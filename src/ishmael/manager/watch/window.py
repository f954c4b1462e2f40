"""The maintenance window: one for both nodes, kept on the disk of each. What was said last counts, on whichever node."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ishmael.manager.ports.files import Files
from ishmael.words import places
from ishmael.words.errors import RequestRefused
from ishmael.words.json_text import read_json

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")
_TEXT_MAX, _WHY_MAX = 2000, 200


def moment(at: datetime) -> str:
    """ISO 8601, UTC, in milliseconds."""
    return at.isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class Window:
    """What was said last about maintenance.

    Args:
        at: when it was said, ISO 8601; empty for never.
        until: when it ends; empty when it was ended.
        why: what for.
    """

    at: str = ""
    until: str = ""
    why: str = ""

    def is_open(self) -> bool:
        """It has not ended yet."""
        return bool(self.until) and self.until > moment(datetime.now(UTC))


def window_from_json(text: str) -> Window:
    """Read and judge what a node says about it.

    Raises:
        RequestRefused: it is no window.
    """
    try:
        raw = read_json(text if len(text) <= _TEXT_MAX else "")
        given = {name: raw[name] for name in ("at", "until", "why")}
    except (ValueError, KeyError, TypeError):
        given = {}
    if not given or not all(isinstance(value, str) for value in given.values()):
        raise _no_window()
    window = Window(**given)
    moments = [window.at, *([window.until] if window.until else [])]
    if not all(map(_MOMENT.fullmatch, moments)) or len(window.why) > _WHY_MAX:
        raise _no_window()
    return window


def _no_window() -> RequestRefused:
    return RequestRefused("bad-arguments", "maintenance is no maintenance window.")


class WindowBook:
    """The file of this node.

    Args:
        files: the disk.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def text(self) -> str:
        """As it is brought to the other node; empty when nothing was said yet."""
        return (self._files.read(places.MAINTENANCE) or b"").decode(errors="replace")

    def now(self) -> Window:
        """What counts; nothing when the file is damaged."""
        try:
            return window_from_json(self.text())
        except RequestRefused:
            return Window()

    def begin(self, minutes: int, why: str) -> Window:
        """Open one."""
        return self._say(moment(datetime.now(UTC) + timedelta(minutes=minutes)), why)

    def end(self) -> Window:
        """Close it."""
        return self._say("", "")

    def _say(self, until: str, why: str) -> Window:
        at, before = datetime.now(UTC), self.now().at
        if before:
            # Also when the clock of the node that spoke last is ahead.
            at = max(at, datetime.fromisoformat(before) + timedelta(milliseconds=1))
        return self._write(Window(moment(at), until, why))

    def take_over(self, text: Any) -> bool:
        """What the other node says, if it was said later; whether it was.

        Raises:
            RequestRefused: it is no window.
        """
        if text in (None, ""):
            return False
        if not isinstance(text, str):
            raise _no_window()
        said = window_from_json(text)
        if said.at <= self.now().at:
            return False
        self._write(said)
        return True

    def _write(self, window: Window) -> Window:
        self._files.write(places.MAINTENANCE, json.dumps({"schema": 1, **asdict(window)}).encode(), 0o600)
        return window
