"""The keeper: decides who is master, and acts on it. Started by ishmael-keeper.service.

Punctuality comes first, even before the rest is loaded: a keeper that is restarted on a busy machine must be back before its
lease on the cluster IP runs out.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ishmael.keeper.loop import Loop

_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_PRIORITY = 10


def take_priority() -> list[str]:
    """Real-time priority where the host grants it, else the best there is. Source: sched_setscheduler(2).

    Returns:
        What the host did not grant, in plain words.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(_PRIORITY))
    except OSError as error:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, -20)
        return [f"no real-time priority: {error.strerror}"]
    return []


def lock_memory() -> list[str]:
    """Keep what is loaded in memory, and the collector out of the way. Source: mlockall(2).

    Returns:
        What the host did not grant, in plain words.
    """
    missing: list[str] = []
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        missing.append(f"memory is not locked: {os.strerror(ctypes.get_errno())}")
    gc.collect()
    gc.freeze()
    gc.disable()
    return missing


def _shutting_down() -> bool:
    """Whether the whole machine is going down, not only this service."""
    try:
        done = subprocess.run(["systemctl", "is-system-running"], capture_output=True, timeout=1, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.strip() == b"stopping"


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop.

    Args:
        argv: command line without the program's name.
    """
    parser = argparse.ArgumentParser(prog="python -m ishmael.keeper.main", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("/"), help="directory that stands for / (default: /)")
    parser.add_argument("--host-name", default=socket.gethostname(), help="this node's name in the settings")
    options = parser.parse_args(argv)
    missing_at_start = take_priority()
    from ishmael.keeper.loop import Loop  # noqa: PLC0415 - loaded with priority, see above
    from ishmael.keeper.places import Places  # noqa: PLC0415
    from ishmael.keeper.say import say  # noqa: PLC0415

    loop = Loop(Places(options.root), options.host_name)
    for missing in (*missing_at_start, *lock_memory()):
        say(missing)
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    stop = [False]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.__setitem__(0, True))
    loop.start(reader)
    while not stop[0]:
        loop.once()
    _end(loop)
    return 0


def _end(loop: Loop) -> None:
    """Hand over when the machine shuts down; a mere restart of the keeper keeps the role on its lease."""
    if _shutting_down():
        deadline = time.monotonic() + 8
        loop.asks.stop()
        while not loop.asks.stopped and time.monotonic() < deadline:
            loop.once()
    loop.close()


if __name__ == "__main__":
    sys.exit(main())
