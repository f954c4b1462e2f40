"""``python -m ishmael.manager.door``: the one command behind the cluster's SSH key.

One JSON object a line on standard input, one answer a line on standard output; ends with its input, or when nothing
whole has come for a while: programs that expect something else here (sftp, scp, rsync) say no line at all.
"""

from __future__ import annotations

import json
import signal
import sys
from functools import partial
from typing import Any

from ishmael.manager.door.answers import Door
from ishmael.manager.drift import noting
from ishmael.manager.drivers.join import real_hands
from ishmael.manager.drivers.lock import cluster_lock
from ishmael.words.json_text import read_json

_LINE_MAX_BYTES = 1_000_000
_SILENCE_S_MAX = 20
_LOCKED_S_MAX = 12.0
"""A node that is joined may just be restarting a service that follows; less than the other node waits for an answer (20 s)."""


def _line() -> bytes:
    """The next line; SIGALRM ends the process when none comes in time."""
    signal.alarm(_SILENCE_S_MAX)
    try:
        return sys.stdin.buffer.readline(_LINE_MAX_BYTES)
    finally:
        signal.alarm(0)


def main() -> int:
    """Answer until the input ends; 2 when a line is longer than any ask can be."""
    hands = real_hands()
    door = Door(hands, noting(hands, partial(cluster_lock, limit_s=_LOCKED_S_MAX)))
    while line := _line():
        if not line.endswith(b"\n") and len(line) == _LINE_MAX_BYTES:
            return 2
        ask: Any = None
        try:
            ask = read_json(line)
        except ValueError:
            ask = None
        print(json.dumps(door.answer(ask)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
