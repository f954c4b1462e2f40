"""A keeper's flight recorder, fed through the core of this checkout: what it did, and whether this one would do the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ishmael.core.machine import step
from ishmael.core.recording import from_plain
from ishmael.core.state import State
from ishmael.sim.trace import Trace

RECORDING_SCHEMA = 1


@dataclass(frozen=True)
class Replay:
    """What came of it.

    Args:
        events: how many were fed.
        trace: what happened, in aligned lines.
        differs: where this core's rules are not those that were recorded.
    """

    events: int
    trace: str
    differs: tuple[str, ...]


def replay(path: Path) -> Replay:
    """Feed a recording through the core.

    Raises:
        ValueError: it is no recording, or one of another version.
        OSError: it cannot be read.
    """
    raw = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(raw, dict) or raw.get("schema") != RECORDING_SCHEMA:
        raise ValueError("not a recording of this version: another schema")
    if raw["state"] is None:
        return Replay(0, "", ())
    state = from_plain(raw["state"])
    if not isinstance(state, State):
        raise ValueError("not a recording: it does not begin with a state")  # noqa: TRY004 - of a file, not of a call
    trace, differs = Trace(), []
    trace.from_ms = state.now_ms
    for now_ms, event, recorded in raw["events"]:
        result = step(state, now_ms, from_plain(event))
        if list(result.rules) != recorded:
            differs.append(f"{now_ms - trace.from_ms:.0f} ms: {recorded} was recorded, {list(result.rules)} applies")
        if result.rules or result.notices or state.role is not result.state.role:
            trace.step(now_ms, f"node{state.config.me}", state, result)
        state = result.state
    return Replay(len(raw["events"]), trace.text(), tuple(differs))
