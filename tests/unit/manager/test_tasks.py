"""Background tasks: started again when they fail, and never in the way of another."""

from __future__ import annotations

import threading

from ishmael.manager.tasks import Tasks


class _Failing:
    """Fails twice, then works."""

    name = "failing"

    def __init__(self) -> None:
        self.runs, self.works = 0, threading.Event()

    def run(self, stop: threading.Event) -> None:
        self.runs += 1
        if self.runs < 3:
            raise OSError("no space left")
        self.works.set()
        stop.wait()


class _Once:
    """Ends by itself."""

    name = "once"

    def __init__(self) -> None:
        self.runs = 0

    def run(self, _stop: threading.Event) -> None:
        self.runs += 1


def test_a_failed_task_is_started_again() -> None:
    """It fails, is started again, and its failure is forgotten once it ends in order."""
    failing = _Failing()
    tasks = Tasks([failing], pause_s_min=0.01)
    tasks.start()
    assert failing.works.wait(5)
    assert "no space left" in tasks.failures["failing"]
    tasks.stop()
    assert failing.runs == 3
    assert tasks.failures == {}


def test_a_task_that_ends_is_left_alone() -> None:
    """Returning is the end; others go on."""
    failing, once = _Failing(), _Once()
    tasks = Tasks([once, failing], pause_s_min=0.01)
    tasks.start()
    assert failing.works.wait(5)
    tasks.stop()
    assert once.runs == 1
