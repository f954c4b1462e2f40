"""Bringing database and files to a node that joins, both at once: one takes mostly the disk, the other mostly looking.

A job that was cut goes on where each of them was. When one fails the job fails; the database's copy goes on by itself on
the other node, and a job that is begun anew finds it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ishmael.manager.works.base import Notes, Step
from ishmael.manager.works.copying import Copying
from ishmael.manager.works.database_steps import DatabaseSteps


class InitialSync:
    """Both parts, as steps of one work.

    Args:
        notes: what the job remembers.
        database: brings the database.
        copying: brings the files.
    """

    def __init__(self, notes: Notes, database: DatabaseSteps, copying: Copying) -> None:
        self._notes, self._database, self._copying = notes, database, copying

    def steps(self) -> list[Step]:
        """Preparations first, then both; a cluster that has only one of them brings that."""
        with_database, with_files = self._database.there(), self._copying.there()
        steps = [
            *(self._database.preparations() if with_database else ()),
            *(self._copying.preparations() if with_files else ()),
        ]
        if with_database and with_files:
            steps.append(Step("bring database and files to the other node", self._both_done, self._timed(self._both)))
        elif with_database:
            steps.append(
                Step("bring the database to the other node", self._database.is_done, self._timed(self._database.bring))
            )
        elif with_files:
            steps.append(Step("copy the files", self._copying.is_done, self._timed(self._copying.bring)))
        return steps

    def _timed(self, act: Callable[[], None]) -> Callable[[], None]:
        """And note how long it took, in ms; of the last attempt, when a job was cut."""

        def timed() -> None:
            begun_s = time.monotonic()
            act()
            self._notes.put("data_took_ms", round((time.monotonic() - begun_s) * 1000))

        return timed

    def result(self) -> dict[str, Any]:
        """How long it took."""
        return {"data_took_ms": self._notes.get("data_took_ms")}

    def _both_done(self) -> bool:
        return self._copying.is_done() and self._database.is_done()

    def _both(self) -> None:
        """The files in a thread beside; whoever fails first ends the step, and the files' copy with it."""
        stop, failed = threading.Event(), list[BaseException]()

        def stopped() -> bool:
            return stop.is_set() or self._notes.cancelled()

        meter = _Meter(self._notes)

        def files() -> None:
            try:
                if not self._copying.is_done():
                    self._copying.bring(lambda done, total: meter.tell("files", done, total), stopped)
            except BaseException as error:
                failed.append(error)
                stop.set()

        beside = threading.Thread(target=files, name="initial files", daemon=True)
        beside.start()
        try:
            if not self._database.is_done():
                self._database.bring(lambda done, total: meter.tell("database", done, total), stopped)
        except BaseException:
            stop.set()
            raise
        finally:
            beside.join()
        if failed:
            raise failed[0]


class _Meter:
    """Adds up how far the parts are."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._lock = threading.Lock()
        self._parts: dict[str, tuple[int, int]] = {}

    def tell(self, part: str, done: int, total: int) -> None:
        """A part says how far it is, in bytes."""
        with self._lock:
            self._parts[part] = (done, total)
            done_all, total_all = (sum(numbers) for numbers in zip(*self._parts.values(), strict=True))
            self._notes.count(done_all, total_all)
