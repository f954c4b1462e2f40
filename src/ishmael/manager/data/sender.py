"""The master's side: watches the profile's directories, and brings every change to the slave.

Two lanes carry names over, small files and large ones, so that a recording of an hour does not hold up a voice mail. A
name is in one lane only: two transfers of one file could end in the wrong order. A comparison of everything, at the
beginning, after every gap and at intervals, only finds names that differ, and puts them into the lanes like changes, a
bounded number at a time.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ishmael.manager.data import astdb
from ishmael.manager.data.comparing import Comparisons
from ishmael.manager.data.on_disk import OnDisk
from ishmael.manager.data.pending import Pending, left_out
from ishmael.manager.ports.copies import NAMES_MAX, Copied, Copies, Target
from ishmael.manager.ports.watcher import Watcher
from ishmael.words import places
from ishmael.words.errors import HostFault, IshmaelError
from ishmael.words.profile import FileSet, Profile

log = logging.getLogger(__name__)
SNAPSHOTS_SET = FileSet(places.SNAPSHOTS, exclude=("*.new", "*-journal"))
LARGE_BYTES = 4_000_000
WAITING_MAX = 50_000
"""Names that wait in a lane; of more it is only known that there are some."""
_FED_MAX = 20_000
_WALK_MAX = 20_000
_QUIET_S, _COLLECT_S = 0.008, 0.05
_LOOK_S = 0.25
_ROOTS_S = 2.0


@dataclass(slots=True)
class Report:
    """How far the slave is, for whoever asks.

    Args:
        lag_ms: age of the oldest change that it does not have, or may not have; None when nobody follows.
        stuck: names that could not be brought over, as paths.
        in_step: everything was compared since the slave came, and what differed then is there.
        left: how many names wait, at the least.
        trouble: what went wrong last, empty when nothing is wrong.
        compared_at: wall time (s) of the last comparison of everything, or None.
        differed: how many names it found that nobody had told of.
        names: some of them.
    """

    lag_ms: int | None = None
    stuck: list[str] = field(default_factory=list)
    in_step: bool = False
    left: int = 0
    trouble: str = ""
    compared_at: float | None = None
    differed: int = 0
    names: list[str] = field(default_factory=list)


class Sender:
    """One stretch of time in which one slave follows.

    Args:
        profile: what to copy.
        target: where.
        copies: brings names over.
        watcher: tells what changes.
        now_s: a clock that never jumps, in seconds.
        stamp: told, with the wall time in s, that everything changed before it is on the other node.
        sync: has everything on disk that was written to the file system of a directory.
    """

    def __init__(
        self, profile: Profile, target: Target, copies: Copies, watcher: Watcher,
        now_s: Callable[[], float] = time.monotonic, stamp: Callable[[float], object] = float,
        sync: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._sets = {os.fsencode(files.path): files for files in profile.files}
        self._profile, self._target, self._copies, self._watcher = profile, target, copies, watcher
        self._now_s, self._stamp = now_s, stamp
        self._lock = threading.Condition()
        self._small, self._large = Pending(), Pending()
        self._on_disk = OnDisk(sync)
        self._halt = threading.Event()
        self._comparisons = Comparisons()
        self._broken: set[FileSet] = set()
        self._seen: dict[str, tuple[int, ...]] = {}
        self._report = Report(lag_ms=0)
        self._first_done = False
        self._all_compared_s: float | None = None
        self._stamped_s, self._dirty = 0.0, True
        self._roots_at_s = 0.0

    def report(self) -> Report:
        """How far the slave is."""
        with self._lock:
            now_s = self._now_s()
            lag_s = max(each.lag_s(now_s) for each in (self._small, self._large, self._comparisons))
            left = len(self._small) + len(self._large) + self._comparisons.lost()
            if self._all_compared():
                if self._all_compared_s is None:
                    self._all_compared_s = now_s
                # What came later is on its way; where something is always written, there is always something on its way.
                if now_s - lag_s > self._all_compared_s or not left:
                    self._first_done = True
            stuck = self._small.stuck() + self._large.stuck()
            return replace(self._report, lag_ms=int(lag_s * 1000), left=left, stuck=stuck, in_step=self._first_done)

    def run(self, goes_on: Callable[[], bool]) -> None:
        """Follow until told to stop.

        Raises:
            HostFault: the kernel's watcher cannot be used.
        """
        lanes = [
            threading.Thread(target=self._carry, args=(lane,), name=f"files-{name}", daemon=True)
            for name, lane in (("small", self._small), ("large", self._large))
        ]
        lanes.append(threading.Thread(target=self._compare_all, name="files-compare", daemon=True))
        lanes.append(threading.Thread(target=self._on_disk.run, args=(self._halt,), name="files-disk", daemon=True))
        try:
            self._watch_roots()
            for lane in lanes:
                lane.start()
            while goes_on():
                self._turn()
        finally:
            self._halt.set()
            with self._lock:
                self._lock.notify_all()
            for lane in lanes:
                if lane.is_alive():
                    lane.join(5.0)

    # Watching

    def _watch_roots(self) -> None:
        """Watch directories that are new; what is in them counts as changed."""
        self._roots_at_s = self._now_s() + _ROOTS_S
        for root, files in self._sets.items():
            if not self._watcher.watches(root) and os.path.isdir(root):  # noqa: PTH112 - bytes
                self._watcher.watch(root)
                with self._lock:
                    # One that is back is not the one that was compared.
                    self._doubt(files)

    def _turn(self) -> None:
        if self._now_s() >= self._roots_at_s:
            self._watch_roots()
        self._look_at_tables()
        until_s = self._now_s() + _COLLECT_S
        wait_s = _LOOK_S
        while True:
            wall_s = time.time()
            changes, lost = self._watcher.changes(wait_s)
            if lost:
                log.warning("changes of files came faster than they could be read: everything is compared again")
                # The names of new directories are among what got lost.
                for root in self._sets:
                    if self._watcher.watches(root):
                        self._watcher.watch(root)
                self._lose(*self._sets.values())
            if not changes:
                break
            for change in changes:
                self._note(change.root, change.path, whole=change.whole, settled=change.settled)
            wait_s = _QUIET_S
            if self._now_s() > until_s:
                break
        with self._lock:
            self._lock.notify_all()
        if wait_s == _LOOK_S:
            self._stamp_if_in_step(wall_s)

    def _stamp_if_in_step(self, wall_s: float) -> None:
        report = self.report()
        if not (report.in_step and report.left == 0 and self._dirty) or self._now_s() < self._stamped_s + _ROOTS_S:
            return
        self._stamped_s, self._dirty = self._now_s(), False
        self._stamp(wall_s)

    def _note(self, root: bytes, path: bytes, *, whole: bool = False, settled: bool = True) -> None:
        files = self._sets.get(root)
        if files is None:
            return
        patterns = [*files.exclude, *(f"/{name.lstrip('/')}" for name in files.local)]
        if path and left_out(path, patterns):
            return
        self._enter(files, path, settled=settled)
        if not whole:
            return
        count = 0
        for where, directories, names in os.walk(root + b"/" + path):
            below = where[len(root) + 1 :]
            for name in (*directories, *names):
                if not left_out(below + b"/" + name, patterns):
                    self._enter(files, below + b"/" + name, settled=True)
                count += 1
            if count > _WALK_MAX:
                self._lose(files)
                return

    def _lose(self, *sets: FileSet) -> None:
        with self._lock:
            for files in sets:
                self._comparisons.lose(files, self._now_s())
            self._dirty = True
            self._lock.notify_all()

    def _enter(self, files: FileSet, path: bytes, *, settled: bool, since_s: float | None = None) -> None:
        """Into the lane that has the name already, else by its size."""
        full = os.fsencode(files.path) + b"/" + path
        try:
            large = os.lstat(full).st_size > LARGE_BYTES
        except OSError:
            large = False
        with self._lock:
            self._dirty = True
            lane = self._large if large else self._small
            other = self._small if large else self._large
            if other.has(files, path):
                lane = other
            if len(lane) < WAITING_MAX or lane.has(files, path):
                lane.note(files, path, self._now_s(), settled=settled, since_s=since_s)
            else:
                self._comparisons.lose(files, self._now_s())

    def _look_at_tables(self) -> None:
        """Take a snapshot of each SQLite file that has changed."""
        for wanted in self._profile.sqlite:
            seen = tuple(_changed_ns(wanted.path + suffix) for suffix in ("", "-journal", "-wal"))
            if seen == self._seen.get(wanted.path):
                continue
            try:
                if astdb.take(wanted):
                    self._enter(SNAPSHOTS_SET, os.fsencode(wanted.slug), settled=True)
                self._seen[wanted.path] = seen
            except HostFault as error:
                self._trouble(error.message)

    # Carrying

    def _carry(self, lane: Pending) -> None:
        while not self._halt.is_set():
            with self._lock:
                batch = lane.take(self._now_s())
                if batch is None:
                    due_s = lane.next_due_s()
                    self._lock.wait(1.0 if due_s is None else max(0.005, min(1.0, due_s - self._now_s())))
                    continue
            files, paths = batch
            try:
                copied = self._copies.some(self._target, files, paths, self._halt.is_set)
            except (IshmaelError, OSError) as error:
                copied = Copied(1, str(error))
            if not copied.whole and not os.path.isdir(files.path):  # noqa: PTH112 - bytes or text
                # A directory that is gone keeps its copy, and nothing of it waits for ever; when it is back it is compared.
                copied = Copied(0, "")
            self._end(lane, files, paths, copied)

    def _end(self, lane: Pending, files: FileSet, paths: list[bytes], copied: Copied) -> None:
        with self._lock:
            now_s = self._now_s()
            if copied.whole:
                lane.arrived(files, paths)
                self._on_disk.note(files, paths)
                if not self._small.stuck() and not self._large.stuck():
                    self._report.trouble = ""
                if files in self._broken:
                    # A transfer that was cut may have left its half of a file there: the comparison finds it.
                    self._broken.discard(files)
                    self._doubt(files)
            elif copied.some_failed and len(paths) > 1 and not (copied.disk_full and lane.is_part(files, paths)):
                lane.split(files, paths, now_s)
                self._report.trouble = copied.error(self._target.address).message
            else:
                # A full disk refuses them all: each by itself would take hours when there is room again.
                lane.failed(files, paths, now_s, reached=copied.some_failed, together=copied.disk_full)
                if not copied.some_failed:
                    self._broken.add(files)
                self._report.trouble = copied.error(self._target.address).message
            self._lock.notify_all()

    # Comparing

    def doubt(self) -> None:
        """The slave was away: a power cut may have taken what had arrived and was not on its disk yet.

        It is in step again when everything was compared once more.
        """
        with self._lock:
            for files in self._sets.values():
                self._doubt(files)

    def _doubt(self, files: FileSet) -> None:
        if files in self._sets.values():
            self._comparisons.doubt(files)
        self._first_done, self._all_compared_s = False, None
        self._lock.notify_all()

    def _all_compared(self) -> bool:
        return all(
            self._comparisons.compared(files) or not os.path.isdir(root)  # noqa: PTH112 - bytes
            for root, files in self._sets.items()
        )

    def _compare_all(self) -> None:
        while not self._halt.is_set():
            with self._lock:
                due = self._comparisons.due(self._now_s())
                if not due:
                    self._lock.wait(1.0)
                    continue
            for files in due:
                if not self._halt.is_set():
                    self._compare(files)

    def _compare(self, files: FileSet) -> None:
        with self._lock:
            began_s, begun = self._now_s(), self._comparisons.begin(files)
            again, lost_s = self._comparisons.compared(files), self._comparisons.lost_since_s(files)
        if not os.path.isdir(files.path):  # noqa: PTH112 - one that is gone is never compared: it would empty the copy
            with self._lock:
                self._comparisons.forget(files)
            return
        try:
            found = self._copies.compare(self._target, files, self._halt.is_set)
        except (IshmaelError, OSError) as error:
            found = Copied(1, str(error))
        if not (found.whole or found.some_failed):
            with self._lock:
                self._comparisons.fail(files, self._now_s())
                self._report.trouble = found.error(self._target.address).message
            return
        unknown = [name for name in found.differed if not self._waits(files, name)]
        for name in unknown:
            self._await_room()
            path = b"" if name == "." else name.encode(errors="surrogateescape")
            self._enter(files, path, settled=True, since_s=lost_s)
        # Of what got lost it was known that it would differ.
        told = unknown if again and lost_s is None else []
        with self._lock:
            if len(found.differed) >= NAMES_MAX:
                self._doubt(files)
            if not self._halt.is_set():
                self._comparisons.end(files, begun, began_s)
            self._report.compared_at = time.time()
            self._report.differed = len(told)
            self._report.names = [f"{files.path}/{name}" for name in told[:20]]
            if found.whole and not self._small.stuck() and not self._large.stuck():
                self._report.trouble = ""
            self._lock.notify_all()
        if unknown:
            log.info("%d names below %s differed on the slave", len(unknown), files.path)

    def _await_room(self) -> None:
        """A comparison leaves room in the lanes for what changes meanwhile."""
        with self._lock:
            while not self._halt.is_set() and max(len(self._small), len(self._large)) >= _FED_MAX:
                self._lock.notify_all()
                self._lock.wait(0.2)

    def _waits(self, files: FileSet, name: str) -> bool:
        path = b"" if name == "." else name.encode(errors="surrogateescape")
        with self._lock:
            return self._small.has(files, path) or self._large.has(files, path)

    def _trouble(self, said: str) -> None:
        with self._lock:
            self._report.trouble = said


def _changed_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 - asked four times a second
    except OSError:
        return 0


def nobody() -> Report:
    """When no slave follows."""
    return Report()


def as_facts(report: Report) -> dict[str, Any]:
    """For the status: the part of it that is about files."""
    return {
        "file_lag_ms": report.lag_ms,
        "differing": report.stuck[:100],
        "files": {
            "in_step": report.in_step,
            "waiting": report.left,
            "trouble": report.trouble,
            "compared_at": report.compared_at,
            "differed": report.differed,
            "names": report.names,
        },
    }
