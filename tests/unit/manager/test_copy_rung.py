"""What is kept of a copy that was cut, when it is tried again, and what becomes of it in the end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from ishmael.manager.drivers import copied_files, copy_rung
from ishmael.manager.drivers.copied_files import MANIFEST, Keeping, Kept, Origin, Seen, read_manifest, write_manifest
from ishmael.manager.drivers.copy_rung import PATIENCE_S, CopyRung, Tell
from ishmael.manager.drivers.database_join import Ladder
from ishmael.manager.drivers.half_copy import COPIED, forget_copy, give_up_copy, new_of, old_of
from ishmael.manager.drivers.joinstate import JoinState
from ishmael.manager.drivers.masters_files import OtherWay, Part
from ishmael.manager.drivers.pgtools import Source
from ishmael.manager.drivers.whole_copy import Counted, Here, Wanted
from ishmael.manager.works.database_steps import DatabaseSteps
from ishmael.manager.works.joining import Joining
from ishmael.words.database import Database
from ishmael.words.errors import HostFault, PeerFault
from manager.world import World

ORIGIN = Origin("7713106698006433875", 3, "node1")
NOW = Seen(8192, 1000, 1000, 1500)
WANTED = Wanted("/nowhere/new", "host=nowhere", "ishmael_2", "/nowhere/bin", "node1")
SILENT = PeerFault("master-database-silent", "The connection to the master's database is lost.")


@pytest.mark.parametrize(
    ("then", "have", "holds"),
    [
        (Seen(8192, 1000, 1000, 1002), 8192, True),
        (Seen(8192, 1000, 1000, 1002), 4096, True),
        # Written in the second in which it was read, or in the one before: it may have been written once more.
        (Seen(8192, 1000, 1000, 1001), 8192, False),
        (Seen(8192, 1000, 1000, 1000), 8192, False),
        (Seen(8192, 1000, 999, 1002), 8192, False),
        (Seen(8192, 999, 1000, 1002), 8192, False),
        (Seen(16384, 1000, 1000, 1002), 8192, False),
        (Seen(0, 1000, 1000, 1002), 8192, False),
        # The master's clock has gone back.
        (Seen(8192, 1000, 1000, 1501), 8192, False),
        (Seen(8192, 1000, 1000, 1002), 8193, False),
    ],
)
def test_a_file_is_kept_only_when_nobody_can_have_written_to_it(then: Seen, have: int, holds: bool) -> None:
    """The same size and the same times, at rest for two seconds when it was read, on a clock that went on."""
    assert Kept(then, have).holds(NOW) is holds


def test_a_change_time_that_is_young_is_not_trusted() -> None:
    """Though the modification time, which programs can set, is old."""
    assert not Kept(Seen(8192, 10, 1001, 1002), 8192).holds(Seen(8192, 10, 1001, 1500))


def test_a_note_is_read_back_by_its_own_origin_only(tmp_path: Path) -> None:
    """Exactly what was written."""
    files = {"base/1/1": Kept(NOW, 8192), "base/1/ü 2": Kept(NOW, 17)}
    write_manifest(tmp_path, ORIGIN, files)
    assert read_manifest(tmp_path, ORIGIN) == files
    assert read_manifest(tmp_path, Origin(ORIGIN.system, 4, "node1")) == {}
    assert read_manifest(tmp_path / "nowhere", ORIGIN) == {}


def test_the_disk_has_the_files_before_their_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read after the sync has begun is for the next note; at its end all is noted."""
    monkeypatch.setattr(copied_files, "_INTERVAL_S", 0.0)
    begun, go_on = threading.Event(), threading.Event()
    noted: list[set[str]] = []

    def sync(_: Path) -> None:
        noted.append(set(read_manifest(tmp_path, ORIGIN)))
        begun.set()
        assert go_on.wait(10)

    with Keeping(tmp_path, ORIGIN, {"old": Kept(NOW, 1)}, sync) as keeping:
        keeping.note({"first": Kept(NOW, 2)})
        assert begun.wait(10)
        keeping.note({"second": Kept(NOW, 3)})
        go_on.set()
    assert noted == [set(), {"old", "first"}]
    assert set(read_manifest(tmp_path, ORIGIN)) == {"old", "first", "second"}


def _attempts(*ends: Any) -> tuple[Callable[[Wanted, Tell], None], list[int]]:
    """Attempts that end so, one after the other: bytes they move, and what they raise."""
    left, made = list(ends), list[int]()

    def attempt(_: Wanted, tell: Tell) -> None:
        made.append(1)
        moved, error = left.pop(0) if left else ends[-1]
        tell(Counted(0, 50, 100))
        if moved:
            tell(Counted(moved, 50, 100))
        if error is not None:
            raise error

    return attempt, made


class _Clock:
    def __init__(self) -> None:
        self.s = 0.0

    def sleep(self, seconds: float) -> None:
        self.s += seconds


def _rung(attempt: Callable[[Wanted, Tell], None]) -> tuple[CopyRung, list[Counted], list[str], _Clock]:
    counted, tried, clock = list[Counted](), list[str](), _Clock()
    rung = CopyRung(WANTED, counted.append, tried.append, attempt, lambda: clock.s, clock.sleep)
    return rung, counted, tried, clock


def test_a_copy_that_comes_on_is_tried_as_often_as_it_is_cut() -> None:
    """Far longer than the patience with one that does not."""
    attempt, made = _attempts(*[(1, SILENT)] * 100, (10, None))
    rung, counted, tried, clock = _rung(attempt)
    rung.bring()
    assert (len(made), len(tried)) == (101, 100)
    assert clock.s > PATIENCE_S
    assert counted[-1] == Counted(10, 50, 100)


def test_a_master_that_stays_away_is_given_up() -> None:
    """After a minute in which nothing came."""
    attempt, made = _attempts((0, SILENT))
    rung, _, _, clock = _rung(attempt)
    with pytest.raises(PeerFault) as given_up:
        rung.bring()
    assert given_up.value is SILENT
    assert PATIENCE_S < clock.s < 2 * PATIENCE_S and len(made) > 10


@pytest.mark.parametrize(
    "error", [HostFault("disk-full", "It is full."), PeerFault("database-copy-failed", "A file cannot be read.")]
)
def test_what_does_not_pass_is_not_tried_again(error: Exception) -> None:
    """A full disk stays full, a file that cannot be read stays so."""
    attempt, made = _attempts((1, error))
    rung, _, tried, _ = _rung(attempt)
    with pytest.raises(type(error)):
        rung.bring()
    assert (len(made), tried) == (1, [])


def test_pg_basebackup_copies_where_files_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tablespaces, or a master that lacks the rights: as often as it did, and what it moves is counted as moved."""
    attempt, _ = _attempts((0, OtherWay("the master's database has tablespaces")))
    rung, counted, tried, _ = _rung(attempt)
    ran: list[list[str]] = []

    def copy(argv: list[str], tell: Callable[[int, int], None], *, what: str) -> str:
        ran.append(argv)
        if len(ran) < 3:
            raise HostFault("database-copy-failed", f"{what}: cut.")
        tell(70, 100)
        return ""

    monkeypatch.setattr(copy_rung, "copy_with_progress", copy)
    monkeypatch.setattr(copy_rung, "must_fit", lambda *_: None)
    rung.bring()
    assert len(ran) == 3 and len(tried) == 2
    assert ran[0][0].endswith("/pg_basebackup") and "--slot=ishmael_2" in ran[0]
    assert counted[-1] == Counted(70, 0, 100)


def _ladder(where: Path) -> Ladder:
    """One whose directories are below another one."""
    database = Database("15", "main", 5432)
    made = Ladder(database, Source(database, "", "node1"), "ishmael_2", JoinState(str(where / "state")))
    made._data = where / "main"
    made._new, made._old = new_of(made._data), old_of(made._data)
    return made


def test_a_half_copy_waits_for_the_rung_that_needs_it(tmp_path: Path) -> None:
    """One without a note is worth nothing."""
    ladder = _ladder(tmp_path)
    ladder._data.mkdir()
    ladder._new.mkdir()
    write_manifest(ladder._new, ORIGIN, {})
    ladder._mend()
    assert (ladder._new / MANIFEST).exists()
    (ladder._new / MANIFEST).unlink()
    ladder._mend()
    assert not ladder._new.exists() and ladder._data.exists()


def test_a_complete_copy_is_put_in_place_without_its_note(tmp_path: Path) -> None:
    """The server changes the files: what was noted of them is no longer true. The old data is beside it."""
    ladder = _ladder(tmp_path)
    for path in (ladder._data, ladder._new):
        path.mkdir()
        (path / path.name).touch()
    write_manifest(ladder._new, ORIGIN, {})
    (ladder._new / COPIED).touch()
    ladder._mend()
    assert sorted(path.name for path in ladder._data.iterdir()) == [ladder._new.name]
    assert sorted(path.name for path in ladder._old.iterdir()) == ["main"]
    assert not ladder._new.exists()


@pytest.mark.parametrize("carries", [True, False])
def test_a_lower_rung_that_carries_needs_no_copy(carries: bool, tmp_path: Path) -> None:
    """What was begun of one goes; when the rung does not carry, the copy goes on with it."""
    ladder = _ladder(tmp_path)
    ladder._new.mkdir()
    ladder._stop = lambda: None  # type: ignore[method-assign]

    def follow() -> None:
        if not carries:
            raise HostFault("database-does-not-stream", "It does not stream.")

    assert ladder._try("follow", follow) is carries
    assert ladder._new.exists() is not carries


def test_the_attempt_is_counted_for_who_waits(tmp_path: Path) -> None:
    """Moved and kept by themselves; in all never less than both. A reason is named once."""
    ladder = _ladder(tmp_path)
    state = ladder._state
    state.begin("ab")
    ladder._cut("cut.")
    ladder._cut("cut.")
    ladder._counted(Counted(30, 80, 100))
    seen = state.read()
    assert (seen["bytes_moved"], seen["bytes_kept"], seen["bytes_total"], seen["tried"]) == (
        30,
        80,
        110,
        ["copy: cut."],
    )
    ladder._rung("copy")
    assert (state.read()["bytes_moved"], state.read()["bytes_kept"]) == (0, 0)


def test_a_copy_that_nobody_makes_is_forgotten(tmp_path: Path) -> None:
    """Also when its program got on while it was stopped: the data is where it was."""
    data = tmp_path / "main"
    for moved in (False, True):
        (old_of(data) if moved else data).mkdir(exist_ok=True)
        new_of(data).mkdir()
        (new_of(data) / "file").touch()
        if moved:
            data.rmdir()
        forget_copy(data)
        assert [path.name for path in tmp_path.iterdir()] == ["main"]
    new_of(data).mkdir()
    give_up_copy(data, lambda: None)
    assert [path.name for path in tmp_path.iterdir()] == ["main"]


@pytest.mark.parametrize(("group_reads", "modes"), [(False, (0o700, 0o600)), (True, (0o750, 0o640))])
def test_the_copy_is_as_closed_as_the_master(group_reads: bool, modes: tuple[int, int], tmp_path: Path) -> None:
    """Whatever the program's own mask is."""
    before = os.umask(0o077)
    try:
        here = Here(tmp_path)
        here.prepare(["base", "base/1"], {}, group_reads=group_reads)
        here.put(Part("base/1/2", 0, 3), b"abc")
        here.close()
    finally:
        os.umask(before)
    found = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path, *tmp_path.rglob("*"))}
    assert found.pop("2") == modes[1]
    assert len(found) == 5 and set(found.values()) == {modes[0]}


class _Notes:
    def __init__(self) -> None:
        self.put_there: dict[str, Any] = {"database_key": "ab"}
        self.counted: list[tuple[int, int]] = []

    def get(self, key: str) -> Any:
        return self.put_there.get(key)

    def put(self, key: str, value: Any) -> None:
        self.put_there[key] = value

    def cancelled(self) -> bool:
        return False

    def count(self, done: int, total: int, unit: str = "bytes") -> None:
        self.counted.append((done, total))


def test_what_was_kept_counts_as_done_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress begins where the copy goes on; the result says what was moved and what was kept."""
    notes, seen = _Notes(), iter([
        {"state": "running", "key": "ab", "bytes_moved": 0, "bytes_kept": 60, "bytes_total": 100},
        {"state": "running", "key": "ab", "bytes_moved": 20, "bytes_kept": 60, "bytes_total": 100},
        {"state": "done", "key": "ab", "rung": "copy", "bytes_moved": 40, "bytes_kept": 60, "bytes_total": 100},
    ])  # fmt: skip
    steps = DatabaseSteps(World().machines[0].hands, cast(Any, notes), cast(Joining, None))
    monkeypatch.setattr(steps, "_seen", lambda wait_ms=0: {"state": "running"} if not wait_ms else next(seen))
    steps.bring()
    assert notes.counted == [(60, 100), (80, 100), (100, 100)]
    result = steps.result()
    assert (result["rung"], result["bytes_moved"], result["bytes_kept"]) == ("copy", 40, 60)
