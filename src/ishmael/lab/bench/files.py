"""How long a voice mail takes to the other node: files of 30 kB, one after the other, seen by the clock both nodes share."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ishmael.lab.node import Node
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault

COUNT = 100
BOX = "var/spool/asterisk/voicemail/bench"
_BYTES = 30_000
_LIMIT_S = 30.0


def lags_ms(master: Node, slave: Node, count: int = COUNT) -> list[float]:
    """From the closing of each file on the master until it is there, whole, on the slave.

    Raises:
        HostFault: one does not get there.
    """
    here, there = (Path(f"/proc/{node.init_pid}/root") / BOX for node in (master, slave))
    here.mkdir(parents=True, exist_ok=True)
    lags = []
    for number in range(count):
        name = f"msg{number:04}-{time.monotonic_ns()}.wav"
        (here / name).write_bytes(os.urandom(_BYTES))
        begun = time.monotonic()
        if not wait_until((there / name).exists, _LIMIT_S, 0.001):
            raise HostFault("file-not-there", f"{BOX}/{name} did not get to {slave.plan.name}.", "ishmael status")
        lags.append((time.monotonic() - begun) * 1000)
    for path in here.glob("msg*"):
        path.unlink()
    return lags
