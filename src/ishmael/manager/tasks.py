"""Background tasks of the manager: each in a thread of its own, started again with growing pauses when it fails.

A task that fails never takes the manager, a job or another task down. Nothing of the failover depends on one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Protocol

log = logging.getLogger(__name__)
PAUSE_S_MIN = 1.0
PAUSE_S_MAX = 60.0
STEADY_S = 120.0
"""A task that ran this long before it failed is started again after the shortest pause."""
_GOODBYE_S = 2.0


class Task(Protocol):
    """Something the manager does beside its jobs, for as long as it lives."""

    name: str

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set. Returning earlier ends the task for good; raising starts it again later."""
        ...


class Tasks:
    """All background tasks.

    Args:
        tasks: to be run.
        pause_s_min: pause after a first failure, in seconds; doubled after each that follows.
    """

    def __init__(self, tasks: Sequence[Task], pause_s_min: float = PAUSE_S_MIN) -> None:
        self._tasks, self._pause_s_min = tuple(tasks), pause_s_min
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.failures: dict[str, str] = {}
        """The last failure of each task that waits to be started again, in one line."""

    def start(self) -> None:
        """Start them all."""
        for task in self._tasks:
            thread = threading.Thread(target=self._keep_running, args=(task,), name=f"task {task.name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Tell them all to stop, and wait a moment for those that do."""
        self._stop.set()
        deadline = time.monotonic() + _GOODBYE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _keep_running(self, task: Task) -> None:
        pause_s = self._pause_s_min
        while not self._stop.is_set():
            begun = time.monotonic()
            try:
                task.run(self._stop)
            except Exception as error:
                if time.monotonic() - begun > STEADY_S:
                    pause_s = self._pause_s_min
                self.failures[task.name] = f"{type(error).__name__}: {error}"
                log.exception("the task %s failed; it is started again in %.0f s", task.name, pause_s)
                self._stop.wait(pause_s)
                pause_s = min(2 * pause_s, PAUSE_S_MAX)
                continue
            self.failures.pop(task.name, None)
            return
