"""``python -m ishmael.manager.door``: the one command behind the cluster's SSH key.

One JSON object a line on standard input, one answer a line on standard output; ends with its input.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ishmael.manager.door.answers import Door
from ishmael.manager.drivers.join import real_hands
from ishmael.manager.drivers.lock import cluster_lock

_LINE_MAX_BYTES = 1_000_000


def main() -> int:
    """Answer until the input ends; 2 when a line is longer than any ask can be."""
    door = Door(real_hands(), cluster_lock)
    while line := sys.stdin.buffer.readline(_LINE_MAX_BYTES):
        if not line.endswith(b"\n") and len(line) == _LINE_MAX_BYTES:
            return 2
        ask: Any = None
        try:
            ask = json.loads(line)
        except ValueError:
            ask = None
        print(json.dumps(door.answer(ask)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
