"""The cluster lock of this node: one file, locked by the job runner or by the door (flock(2))."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ishmael.manager.jobs.runner import ClusterLocked
from ishmael.words import places

_POLL_S = 0.1


@contextmanager
def cluster_lock(path: str = places.CLUSTER_LOCK, limit_s: float = 5.0) -> Iterator[None]:
    """Hold the lock; the kernel frees it when its holder dies.

    Args:
        path: the lock file.
        limit_s: how long to wait for it, in seconds.

    Raises:
        ClusterLocked: somebody else held it all the time.
    """
    Path(path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline_s = time.monotonic() + limit_s
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline_s:
                    raise ClusterLocked(
                        "node-busy",
                        "Another job changes this node right now.",
                        "Wait for it (ishmael jobs), then try again.",
                    ) from error
                time.sleep(_POLL_S)
        yield
    finally:
        os.close(handle)
