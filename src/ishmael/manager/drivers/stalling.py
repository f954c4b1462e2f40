"""Whether a program's connection still gets anywhere.

On a link that loses many frames TCP doubles the time to its next retransmission with each one that is lost, up to two minutes.
rsync's own ``--timeout`` does not see it, for the other side's signs of life come through now and then. A new connection begins
with a fresh time, and of what has arrived only checksums go again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

WAIT_MAX_S = 2.0
"""A connection that waits longer than this for its next retransmission is given up."""
_RETRANSMITTING = "01"
_TIMER, _INODE = 5, 9
_TICKS_A_S = os.sysconf("SC_CLK_TCK")


def stalled(pid: int, proc: Path = Path("/proc")) -> bool:
    """One of a program's TCP connections waits too long for its next retransmission.

    Args:
        pid: of the program.
        proc: where proc(5) is mounted; ``net/tcp`` is described in the kernel's Documentation/networking/proc_net_tcp.rst.
    """
    with suppress(OSError):
        mine = _sockets(proc / str(pid) / "fd")
        lines = (proc / str(pid) / "net/tcp").read_text().splitlines()[1:]
        return any(_waits_s(words) > WAIT_MAX_S for words in map(str.split, lines) if words[_INODE] in mine)
    return False


def _sockets(descriptors: Path) -> set[str]:
    names = (str(each.readlink()) for each in descriptors.iterdir())
    return {name[len("socket:[") : -1] for name in names if name.startswith("socket:[")}


def _waits_s(words: list[str]) -> float:
    kind, ticks = words[_TIMER].split(":")
    return int(ticks, 16) / _TICKS_A_S if kind == _RETRANSMITTING else 0.0
