"""Lines for the journal. A journal that does not read, on a machine whose disk hangs, must not stop the keeper."""

from __future__ import annotations

import contextlib
import os

_STDOUT = 1


def say(line: str) -> None:
    """Write one line to standard output, or lose it: never wait."""
    with contextlib.suppress(OSError):
        if os.get_blocking(_STDOUT):
            os.set_blocking(_STDOUT, False)
        os.write(_STDOUT, line.encode(errors="replace") + b"\n")
