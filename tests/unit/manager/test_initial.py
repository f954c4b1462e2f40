"""Database and files are brought at once; each goes on where it was; whoever fails ends the step."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from ishmael.manager.ports.copies import Copied, Progress, Target, Watch
from ishmael.manager.works.base import Step
from ishmael.manager.works.copying import Copying
from ishmael.manager.works.database_steps import DatabaseSteps
from ishmael.manager.works.initial import InitialSync
from ishmael.manager.works.joining import Joining
from ishmael.words import places
from ishmael.words.errors import HostFault, PeerFault
from ishmael.words.profile import FileSet
from ishmael.words.settings import NodeSettings
from manager.memory import MemoryCopies
from manager.world import World

_LIMIT_S = 10.0


class _Notes:
    def __init__(self) -> None:
        self.counted: list[tuple[int, int]] = []

    def get(self, key: str) -> Any:
        return None

    def put(self, key: str, value: Any) -> None:
        """Nothing is asked back."""

    def cancelled(self) -> bool:
        return False

    def count(self, done: int, total: int, unit: str = "bytes") -> None:
        self.counted.append((done, total))


class _Part:
    """Brings a hundred bytes; waits for the other part, so that it never ends when the two run one after the other."""

    def __init__(self, *, there: bool = True, done: bool = False, fails: bool = False) -> None:
        self.is_there, self.done, self.fails = there, done, fails
        self.begun, self.told_to_stop, self.other = threading.Event(), False, self

    def there(self) -> bool:
        return self.is_there

    def preparations(self) -> list[Step]:
        return [Step("prepare", lambda: True, lambda: None)]

    def is_done(self) -> bool:
        return self.done

    def bring(self, tell: Callable[[int, int], None], stopped: Callable[[], bool] = lambda: False) -> None:
        self.begun.set()
        tell(40, 100)
        assert self.other.done or self.other.begun.wait(_LIMIT_S)
        if self.fails:
            raise HostFault("disk-full", "The disk is full.")
        if self.other.fails:
            deadline = threading.Event()
            while not stopped() and not deadline.wait(0.01):
                pass
            self.told_to_stop = stopped()
            return
        tell(100, 100)
        self.done = True


def _sync(database: _Part, files: _Part) -> tuple[_Notes, list[Step]]:
    database.other, files.other = files, database
    notes = _Notes()
    made = InitialSync(notes, cast(DatabaseSteps, database), cast(Copying, files))
    return notes, made.steps()


def test_both_run_at_once_and_are_counted_together() -> None:
    """Neither waits for the other's end; the progress is that of both."""
    database, files = _Part(), _Part()
    notes, steps = _sync(database, files)
    assert [step.name for step in steps] == ["prepare", "prepare", "bring database and files to the other node"]
    assert not steps[-1].is_done()
    steps[-1].act()
    assert steps[-1].is_done()
    assert max(notes.counted) == (200, 200)


@pytest.mark.parametrize("which", [0, 1])
def test_a_part_that_is_done_is_not_brought_again(which: int) -> None:
    """After an interruption each goes on where it was."""
    parts = [_Part(), _Part()]
    parts[which].done = True
    _, steps = _sync(parts[0], parts[1])
    steps[-1].act()
    assert steps[-1].is_done() and not parts[which].begun.is_set()


@pytest.mark.parametrize("which", [0, 1])
def test_whoever_fails_ends_the_step(which: int) -> None:
    """The other one is told to stop, and the error is that of the one that failed."""
    parts = [_Part(), _Part()]
    parts[which].fails = True
    _, steps = _sync(parts[0], parts[1])
    with pytest.raises(HostFault, match="The disk is full"):
        steps[-1].act()
    assert parts[1 - which].told_to_stop and not steps[-1].is_done()


@pytest.mark.parametrize(
    ("database", "files", "name"),
    [(True, False, "bring the database to the other node"), (False, True, "copy the files"), (False, False, None)],
)
def test_a_cluster_that_has_only_one_of_them(database: bool, files: bool, name: str | None) -> None:
    """Brings that alone, by its own name."""
    _, steps = _sync(_Part(there=database), _Part(there=files))
    assert [step.name for step in steps[-1:]] == ([name] if name else [])


class _Copies(MemoryCopies):
    """Counts how many directories are under way at once; one of them may fail."""

    def __init__(self, bad: str = "") -> None:
        self.bad, self.now, self.most, self.lock = bad, 0, 0, threading.Lock()
        self.meet = threading.Barrier(2, timeout=_LIMIT_S)

    def all(self, target: Target, files: FileSet, stopped: Callable[[], bool], watch: Watch | None = None) -> Copied:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        if not self.bad:
            self.meet.wait()
        assert watch is not None
        watch(Progress(1500, 1000))
        with self.lock:
            self.now -= 1
        return Copied(12 if files.path == self.bad else 0, "broken pipe", moved_bytes=10)


def _copying(copies: _Copies, count: int) -> tuple[Copying, _Notes]:
    profile = "schema = 1\nname = 'x'\n" + "".join(f'[[files]]\npath = "/srv/d{number}"\n' for number in range(count))
    machine = World().machines[0]
    machine.files.write(places.PROFILE, profile.encode(), 0o644)
    notes = _Notes()

    class _Joining:
        slave = NodeSettings(
            2, "node2", "10.77.0.12", "phone0", "02:00:00:00:00:01", "10.78.0.2", "cable0", "02:00:00:00:00:02"
        )

    return Copying(replace(machine.hands, copies=copies), notes, cast(Joining, _Joining())), notes


def test_small_directories_are_copied_side_by_side() -> None:
    """Two at least meet, and the progress never goes beyond what there is."""
    copies = _Copies()
    copying, notes = _copying(copies, 4)
    copying.bring()
    assert copies.most >= 2
    assert max(notes.counted) == (4000, 4000)


def test_a_directory_that_does_not_get_there_fails_the_step() -> None:
    """The network broke three times: the error is that of this directory."""
    copying, _ = _copying(_Copies("/srv/d1"), 3)
    with pytest.raises(PeerFault, match="broken pipe"):
        copying.bring()
