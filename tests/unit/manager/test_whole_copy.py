"""The copy of a real PostgreSQL's files: whole, resumed after a cut, and never trusting what may have changed."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from ishmael.manager.drivers import copied_files, whole_copy
from ishmael.manager.drivers.copied_files import MANIFEST, Origin, Seen, write_manifest
from ishmael.manager.drivers.masters_files import CONTROL, MastersFiles, OtherWay, Part, may_be_kept
from ishmael.manager.drivers.whole_copy import Counted, Log, Wanted, WholeCopy
from ishmael.words.database import REPLICATION_ROLE
from ishmael.words.errors import HostFault, PeerFault
from manager.postgres_server import SLOT, Server, server, waited_for

# What a copy has and the master has not, or has otherwise: its label, its log, and what is written while it is made.
OWN = {"backup_label", MANIFEST, CONTROL}
CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ishmael_replica' AND query !~ 'terminate'"
)
MAPS = 1_500_000
"""More than all visibility maps and small files that are never kept."""
# A program that stands still before it reads for the n-th time.
STANDS_STILL = """\
import signal, sys
from ishmael.manager.drivers import copied_files, whole_copy
copied_files._INTERVAL_S, copied_files._PAUSE_PER_S = 0.01, 0.0
whole_copy._BATCH_BYTES, whole_copy._PART_BYTES = (1000000, 1000000), 65536
read, calls = whole_copy.MastersFiles.read, []
def slow(*arguments):
    calls.append(1)
    if len(calls) == 12:
        signal.pause()
    read(*arguments)
whole_copy.MastersFiles.read = slow
sys.exit(whole_copy.main(sys.argv[1:]))
"""


def _table(name: str, rows: int) -> list[str]:
    return [
        f"CREATE TABLE {name} (id bigint, t text)",
        f"INSERT INTO {name} SELECT g, repeat(md5(g::text), 8) FROM generate_series(1, {rows}) g",
    ]


@pytest.fixture(scope="module")
def master() -> Iterator[Server]:
    """With two tables of some megabytes, at rest."""
    with server([*_table("one", 12000), *_table("other", 12000)]) as made:
        made.rest()
        yield made


@pytest.fixture(scope="module")
def finished(master: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole copy, with the note of it."""
    path = tmp_path_factory.mktemp("finished") / "new"
    _copy(master, path)
    return path


@pytest.fixture
def before(finished: Path, new: Path) -> Path:
    """The same, to be spoilt."""
    shutil.copytree(finished, new)
    return new


@pytest.fixture(autouse=True)
def in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a small database is many batches."""
    monkeypatch.setattr(whole_copy, "_BATCH_BYTES", (1_000_000, 1_000_000))
    monkeypatch.setattr(whole_copy, "_PART_BYTES", 65_536)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "new"


def _copy(master: Server, new: Path) -> Counted:
    counted = WholeCopy(master.wanted(new), lambda _: None).run()
    assert counted.moved + counted.kept == counted.total
    return counted


def _files(data: Path) -> set[str]:
    found = {os.path.relpath(f"{where}/{name}", data) for where, _, names in os.walk(data) for name in names}
    return {path for path in found if not path.startswith(("pg_wal/", "pg_replslot/", "postmaster."))} - OWN


def _must_be_equal(master: Server, new: Path) -> None:
    """After all is written out, each file of an idle master is byte for byte that of the copy."""
    here, there = _files(new), _files(master.data)
    assert {
        path for path in there - here if "pg_internal.init" not in path and not path.startswith("pg_subtrans/")
    } == set()
    assert here - there == set()
    assert [path for path in sorted(here) if not filecmp.cmp(new / path, master.data / path, shallow=False)] == []


def _cut_before(monkeypatch: pytest.MonkeyPatch, master: Server, number: int) -> list[int]:
    """The connection is cut before the n-th reading; counts them."""
    read, calls = MastersFiles.read, list[int]()

    def cut(self: MastersFiles, parts: Sequence[Part], put: Callable[[Part, memoryview | None], None]) -> None:
        calls.append(len(parts))
        if len(calls) == number:
            master.rows(CUT)
        read(self, parts, put)

    monkeypatch.setattr(MastersFiles, "read", cut)
    return calls


def _cut(master: Server, new: Path, number: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        _cut_before(patch, master, number)
        with pytest.raises(PeerFault) as cut:
            _copy(master, new)
    assert cut.value.code == "master-database-silent"


def _noted(new: Path) -> int:
    """Bytes that the note of a copy vouches for."""
    try:
        files = json.loads((new / MANIFEST).read_bytes().split(b"\n", 1)[1])["files"]
    except FileNotFoundError:
        return 0
    return sum(row[-1] for row in files.values())


def test_a_copy_is_equal_and_complete(master: Server, new: Path) -> None:
    """Nothing was there, so all of it moves; label and log are there, and nothing of the master's alone."""
    counted = _copy(master, new)
    assert counted.kept == 0 and counted.moved > 20_000_000
    _must_be_equal(master, new)
    assert (new / "backup_label").read_bytes().startswith(b"START WAL LOCATION: ")
    logs = [path.name for path in (new / "pg_wal").iterdir() if path.is_file()]
    assert logs and not [name for name in logs if name.endswith(".partial")]
    assert {path.name for path in (new / "pg_wal/archive_status").iterdir()} == {f"{name}.done" for name in logs}
    assert list((new / "pg_replslot").iterdir()) == []
    assert {path.stat().st_mode & 0o777 for path in new.rglob("*") if path.is_file()} == {0o600}


@pytest.fixture(scope="module")
def readings(master: Server, tmp_path_factory: pytest.TempPathFactory) -> int:
    """How often a whole copy reads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_copy, "_BATCH_BYTES", (1_000_000, 1_000_000))
        patch.setattr(whole_copy, "_PART_BYTES", 65_536)
        calls = _cut_before(patch, master, 0)
        _copy(master, tmp_path_factory.mktemp("readings") / "new")
        return len(calls)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_a_copy_that_is_cut_goes_on(share: float, readings: int, master: Server, new: Path) -> None:
    """Wherever it is cut, at the control file, too: what was read is not read again, and the copy is equal."""
    _cut(master, new, max(1, round(readings * share)))
    counted = _copy(master, new)
    assert counted.kept >= counted.total * (share - 0.15)
    assert counted.moved <= counted.total * (1.15 - share)
    _must_be_equal(master, new)


def test_a_copy_that_is_killed_goes_on(master: Server, new: Path) -> None:
    """SIGKILL in the middle, as good as a power cut: what was noted by then is kept."""
    wanted = master.wanted(new)
    words = json.dumps(asdict(wanted))
    process = subprocess.Popen([sys.executable, "-c", STANDS_STILL, words], stdout=subprocess.DEVNULL)
    try:
        # It reads eleven batches of a megabyte, one of them of small files.
        assert waited_for(lambda: _noted(new) > 8_000_000)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    counted = _copy(master, new)
    assert counted.kept > 7_000_000
    _must_be_equal(master, new)


def test_what_vanishes_while_it_is_copied_is_left_out(
    master: Server, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that were named and are gone when they are read; the log says of them what is to be."""
    look = MastersFiles.look

    def with_more(self: MastersFiles) -> tuple[list[str], dict[str, Seen]]:
        directories, files = look(self)
        return directories, {**files, "base/1/987654321": Seen(200_000, 1, 1, 10**10)}

    monkeypatch.setattr(MastersFiles, "look", with_more)
    WholeCopy(master.wanted(new), lambda _: None).run()
    _must_be_equal(master, new)


def test_what_becomes_shorter_while_it_is_copied_is_not_trusted(
    master: Server, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is as short here, and its end moves again the next time."""
    look, path = MastersFiles.look, master.path_of("one")

    def longer(self: MastersFiles) -> tuple[list[str], dict[str, Seen]]:
        directories, files = look(self)
        seen = files[path]
        return directories, {**files, path: Seen(seen.size + 300_000, seen.modified_s, seen.changed_s, seen.seen_s)}

    with monkeypatch.context() as patch:
        patch.setattr(MastersFiles, "look", longer)
        WholeCopy(master.wanted(new), lambda _: None).run()
    _must_be_equal(master, new)
    _, body = (new / MANIFEST).read_bytes().split(b"\n", 1)
    size, _, _, _, have = json.loads(body)["files"][path]
    assert 0 < have < size == (new / path).stat().st_size
    assert _copy(master, new).moved >= size - have


def _damaged(body: bytes) -> list[bytes]:
    middle = len(body) // 2
    flipped = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
    return [b"", b"{}", body[:-1], body + b" ", flipped, b"\0" * len(body)]


@pytest.mark.parametrize("which", range(6))
def test_a_damaged_manifest_is_not_trusted(which: int, master: Server, before: Path) -> None:
    """Empty, cut off, longer, one bit turned, nothing but zeroes: all is copied again."""
    note = before / MANIFEST
    note.write_bytes(_damaged(note.read_bytes())[which])
    assert _copy(master, before).kept == 0
    _must_be_equal(master, before)


@pytest.mark.parametrize("other", ["system", "timeline", "master"])
def test_what_is_of_another_origin_is_not_trusted(other: str, master: Server, before: Path) -> None:
    """Another server, another history, another node: all is copied again, whatever the files look like."""
    wanted = master.wanted(before)
    reached = MastersFiles(wanted.conninfo, wanted.slot, wanted.master)
    try:
        origin = reached.begin()
    finally:
        reached.close()
    files = copied_files.read_manifest(before, origin)
    assert files
    changed = {
        "system": Origin("1", origin.timeline, origin.master),
        "timeline": Origin(origin.system, origin.timeline + 1, origin.master),
        "master": Origin(origin.system, origin.timeline, "node7"),
    }
    write_manifest(before, changed[other], files)
    assert _copy(master, before).kept == 0


def test_a_master_without_full_pages_in_its_log_is_not_trusted(master: Server, before: Path) -> None:
    """A power cut could leave it a page that is new in a file whose time is old."""
    master.rows("ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()")
    try:
        assert waited_for(lambda: master.rows("SHOW full_page_writes") == [("off",)])
        assert _copy(master, before).kept == 0
    finally:
        master.rows("ALTER SYSTEM RESET full_page_writes", "SELECT pg_reload_conf()")


@pytest.mark.parametrize(
    ("path", "may"),
    [("base/5/1", True), ("base/5/1_vm", False), ("base/5/1_vm.1", False), ("base/5/1_fsm", True), ("global/1_vm", False), ("base/5/1_init", True),
     ("base/5/PG_VERSION", True), ("pg_xact/0000", True)],
)  # fmt: skip
def test_visibility_maps_are_never_kept(path: str, may: bool) -> None:
    """After a power cut of the master their time may be old though a bit is another."""
    assert may_be_kept(path) is may


def test_what_is_shorter_here_than_noted_is_read_again(master: Server, before: Path) -> None:
    """And what is longer is cut to what is noted."""
    new = before
    short, long = master.path_of("one"), master.path_of("other")
    os.truncate(new / short, 1000)
    with (new / long).open("ab") as file:
        file.write(b"more")
    size = (master.data / short).stat().st_size
    assert size <= _copy(master, new).moved < size + MAPS
    _must_be_equal(master, new)


def test_a_master_whose_files_cannot_be_read_is_copied_otherwise(master: Server, new: Path) -> None:
    """It has tablespaces, or does not let us: that is said, and pg_basebackup's turn."""
    place = master.place / "space"
    place.mkdir()
    master.own(place)
    master.rows(f"CREATE TABLESPACE space LOCATION '{place}'")
    try:
        with pytest.raises(OtherWay, match="tablespaces"):
            _copy(master, new)
    finally:
        master.rows("DROP TABLESPACE space")
    master.rows(f"REVOKE EXECUTE ON FUNCTION pg_backup_start(text, boolean) FROM {REPLICATION_ROLE}")
    try:
        with pytest.raises(OtherWay, match="permission denied"):
            _copy(master, new)
    finally:
        master.rows(f"GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean) TO {REPLICATION_ROLE}")


def test_a_connection_that_was_cut_does_not_keep_the_slot(master: Server, new: Path, tmp_path: Path) -> None:
    """The master still believes in one that fetches log; it is ended, and the copy begins at once."""
    stale = Log(master.wanted(tmp_path / "stale"))
    (tmp_path / "stale/pg_wal").mkdir(parents=True)
    stale.start()
    try:
        active = "SELECT active FROM pg_replication_slots"
        assert waited_for(lambda: master.rows(active) == [(True,)])
        _copy(master, new)
        assert waited_for(lambda: master.rows(active) == [(False,)])
        with pytest.raises(PeerFault):
            stale.check()
    finally:
        stale.stop()


def test_the_program_says_how_it_ended(
    master: Server, new: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Progress, a full disk, a master that is away: one JSON object a line."""

    def said(wanted: Wanted) -> tuple[int, list[dict[str, Any]]]:
        words = json.dumps(asdict(wanted))
        code = whole_copy.main([words])
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    code, lines = said(master.wanted(new))
    last = lines[-1]["counted"]
    assert code == 0 and last["moved"] == last["total"] and last["kept"] == 0
    away = Wanted(str(new), "host=/nowhere user=nobody", SLOT, master.programs, "node1")
    code, lines = said(away)
    assert (code, lines[-1]["error"]["code"]) == (4, "master-database-silent")
    monkeypatch.setattr(whole_copy, "_SPARE_BYTES", 10**18)
    code, lines = said(master.wanted(new))
    assert (code, lines[-1]["error"]["code"], lines[-1]["error"]["whose"]) == (5, "disk-full", "host")


def test_a_disk_that_takes_no_note_ends_the_copy(master: Server, new: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be noted could not be kept: told at once, not after hours."""

    def full(*_: object) -> None:
        raise HostFault("disk-full", "It is full.")

    monkeypatch.setattr(copied_files, "_INTERVAL_S", 0.0)
    monkeypatch.setattr("ishmael.manager.drivers.copied_files.write_manifest", full)
    with pytest.raises(HostFault, match="It is full"):
        _copy(master, new)


def test_what_changed_between_is_read_again(master: Server, new: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of one table is another: its file moves again, and others do not."""
    _copy(master, new)
    master.rows("UPDATE one SET t = 'x' WHERE id = 77", "CHECKPOINT")
    size = (master.data / master.path_of("one")).stat().st_size
    counted = _copy(master, new)
    assert size <= counted.moved <= size + 1_000_000 + MAPS
    _must_be_equal(master, new)
    # What was written a moment ago is not trusted the next time, either.
    assert _copy(master, new).moved >= size


def test_what_vanishes_between_is_removed(master: Server, new: Path) -> None:
    """A table that is dropped, a file nobody knows, and a directory."""
    master.rows(*_table("third", 1000), "CHECKPOINT")
    path = master.path_of("third")
    _copy(master, new)
    assert (new / path).exists()
    master.rows("DROP TABLE third", "CHECKPOINT")
    (new / "base/4711").mkdir()
    (new / "base/4711/1").write_bytes(b"x")
    (new / "strange").symlink_to("/etc")
    _copy(master, new)
    _must_be_equal(master, new)
    assert not (new / path).exists() and not (new / "base/4711").exists()


def test_unlogged_and_temporary_tables_stay_behind(master: Server, new: Path) -> None:
    """Of a table without log only its initial file is copied: that is what a recovery makes of it."""
    master.rows(
        "CREATE UNLOGGED TABLE quick (t text)",
        "INSERT INTO quick SELECT 'x' FROM generate_series(1, 9999)",
        "CHECKPOINT",
    )
    try:
        path = master.path_of("quick")
        WholeCopy(master.wanted(new), lambda _: None).run()
        assert (new / f"{path}_init").exists()
        assert not (new / path).exists() and not (new / f"{path}_fsm").exists()
    finally:
        master.rows("DROP TABLE quick", "CHECKPOINT")


def test_a_master_that_crashed_between_is_gone_on_with(master: Server, new: Path) -> None:
    """It stays master and writes what it has not written yet: what it had changed moves again, the rest is kept."""
    master.rest()
    _cut(master, new, 25)
    master.rows("UPDATE other SET t = 'crashed' WHERE id % 1000 = 7")
    master.stop()
    master.start()
    counted = _copy(master, new)
    assert counted.kept > counted.total / 2
    _must_be_equal(master, new)


def test_a_slot_that_is_lost_is_made_again(master: Server, new: Path) -> None:
    """The master has given up the log of long ago; the copy needs only what is written from now on."""
    master.rows("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'", "SELECT pg_reload_conf()")
    try:
        for _ in range(4):
            master.rows("SELECT pg_switch_wal()", "INSERT INTO other SELECT 0, 'x'")
        master.rows("CHECKPOINT")
        status = "SELECT wal_status FROM pg_replication_slots"
        assert master.rows(status) == [("lost",)]
        _copy(master, new)
        assert master.rows(status) != [("lost",)]
    finally:
        master.rows("ALTER SYSTEM RESET max_slot_wal_keep_size", "SELECT pg_reload_conf()")


def test_a_copy_that_was_cut_streams_and_has_every_row(master: Server, new: Path) -> None:
    """Cut under write load, gone on under write load: the copy follows the master and has what it has."""
    copy = Server(master.place, "copy")
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            master.rows("UPDATE one SET t = md5(t) WHERE id % 50 = 7", "INSERT INTO other SELECT 0, 'x'")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        _cut(master, copy.data, 14)
        assert WholeCopy(master.wanted(copy.data), lambda _: None).run().kept > 0
    finally:
        stop.set()
        writer.join()
    (copy.data / MANIFEST).unlink()
    (copy.data / "standby.signal").touch()
    with (copy.data / "postgresql.auto.conf").open("a") as settings:
        settings.write(f"primary_conninfo = '{master.wanted(new).conninfo}'\nprimary_slot_name = '{SLOT}'\n")
    copy.own(copy.data)
    copy.start()
    try:
        last = master.rows("SELECT pg_current_wal_lsn()::text")[0][0]
        assert waited_for(lambda: copy.rows(f"SELECT pg_last_wal_replay_lsn() >= '{last}'") == [(True,)])
        sums = (
            "SELECT (SELECT md5(string_agg(t, '' ORDER BY id, ctid)) FROM one), (SELECT count(*) FROM other), "
            "(SELECT md5(string_agg(c::text, '' ORDER BY c.oid)) FROM pg_class c)"
        )
        assert copy.rows(sums) == master.rows(sums)
        assert copy.rows("SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'") == [(1,)]
    finally:
        copy.stop()
        shutil.rmtree(copy.data)
