"""Files that follow: what waits, what is left out, what never acts twice, what is kept aside."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ishmael.manager.data import astdb, diverged, fetching, held, receiver
from ishmael.manager.data.files import LAG_S_MAX, objection
from ishmael.manager.data.pending import left_out
from ishmael.manager.data.salvage import Salvage
from ishmael.manager.data.sender import Report, Sender
from ishmael.manager.drivers import rsync, rsyncd
from ishmael.manager.drivers.inotify import Change, Inotify
from ishmael.manager.ports.copies import Copied, Target
from ishmael.manager.ports.server import Serving
from ishmael.words import places
from ishmael.words.errors import HostFault, PeerFault, RequestRefused
from ishmael.words.profile import FileSet, Profile, SqliteSet, profile_from_toml
from manager.memory import MemoryCopies

VOICE = FileSet("/var/spool/voice", exclude=("*.lock", "/tmp/", "cache/"), local=("node.conf",))
ODD = b"bad\xff name"


def _put(path: bytes, data: bytes = b"") -> None:
    target = Path(os.fsdecode(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


@pytest.mark.parametrize(
    ("path", "out"),
    [
        (b"a.lock", True), (b"x/a.lock", True), (b"tmp", False), (b"tmp/a", True), (b"x/tmp/a", False),
        (b"x/cache/a", True), (b"node.conf", True), (b"x/node.conf", False), (b"a.lockx", False), (ODD, False),
    ],
)  # fmt: skip
def test_patterns_mean_what_rsync_means(path: bytes, out: bool, tmp_path: Path) -> None:
    """Our reading of a pattern is rsync's."""
    patterns = rsync.patterns(VOICE)
    assert left_out(path, patterns) is out
    source, target = tmp_path / "s", tmp_path / "t"
    full = os.fsencode(source) + b"/" + path
    _put(full)
    subprocess.run(["rsync", "-r", *(f"--exclude={p}" for p in patterns), f"{source}/", f"{target}/"], check=True)
    assert os.path.lexists(os.fsencode(target) + b"/" + path) is not out


def test_removing_by_rules_removes_nothing_else(tmp_path: Path) -> None:
    """Names with every wildcard in them go, names they would match stay."""
    source, target = tmp_path / "s", tmp_path / "t"
    source.mkdir()
    gone = [b"st*r", b"d?r/in", b"b[a]c", b"back\\slash", b"line\nbreak", ODD, b"tree"]
    for path in (*gone, b"star", b"dir/in", b"bac", b"tree/x/y", b"other"):
        full = os.fsencode(target) + b"/" + path
        if path == b"tree":
            continue
        _put(full)
    for name in ("d?r", "dir"):
        (source / name).mkdir()
    words = ["rsync", "-r", "--delete", "--from0", "--include-from=-", "--exclude=*", f"{source}/", f"{target}/"]
    subprocess.run(words, input=rsync.only(gone), check=True)
    left = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert left == {"star", "dir/in", "bac", "other"}


# Watching


def test_inotify_tells_names_in_bytes_and_follows_new_directories(tmp_path: Path) -> None:
    """A name that is not UTF-8 is told as it is; a directory that came is watched; one that left is not."""
    watcher, top = Inotify(), os.fsencode(tmp_path)
    try:
        watcher.watch(top)
        (tmp_path / "sub").mkdir()
        assert Change(top, b"sub", whole=True) in watcher.changes(2)[0]
        _put(top + b"/sub/" + ODD, b"x")
        told = watcher.changes(2)[0]
        assert told[-1] == Change(top, b"sub/" + ODD)
        (tmp_path / "sub").rename(tmp_path.parent / "away")
        watcher.changes(2)
        assert watcher.directories == 1
        tmp_path.rename(tmp_path.parent / "gone")
        watcher.changes(2)
        assert not watcher.watches(top)
    finally:
        watcher.close()


# The sender


class _Watcher:
    """Tells what a test puts in."""

    def __init__(self) -> None:
        self.told: list[Change] = []

    def watch(self, root: bytes) -> None:
        self.root = root

    def watches(self, root: bytes) -> bool:
        return hasattr(self, "root")

    def changes(self, wait_s: float) -> tuple[list[Change], bool]:
        time.sleep(min(wait_s, 0.005))
        told, self.told = self.told, []
        return told, False

    def close(self) -> None:
        pass


class _Copies(MemoryCopies):
    """Notes what is sent; fails for names a test calls bad."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.bad: set[bytes] = set()
        self.differs: tuple[str, ...] = ()
        self.during: Callable[[], None] = lambda: None

    def some(self, target: Target, files: FileSet, paths: object, stopped: object) -> Copied:
        assert isinstance(paths, list)
        if set(paths) & self.bad:
            return Copied(23, "rsync: [receiver] mkstemp failed: No space left on device (28)")
        self.sent += paths
        return Copied(0, "")

    def compare(self, target: Target, files: FileSet, stopped: object) -> Copied:
        self.during()
        return Copied(0, "", self.differs)


def test_the_sender_brings_what_differs_first_and_then_every_change(tmp_path: Path) -> None:
    """It is in step only when what the comparison found is there; a name that fails is told by name."""
    files, copies, watcher = FileSet(str(tmp_path)), _Copies(), _Watcher()
    (tmp_path / "old").write_text("x")
    (tmp_path / "full").write_text("x")
    copies.differs, copies.bad = ("old",), {b"full"}
    stamps: list[float] = []
    sender = Sender(Profile("p", files=(files,)), Target("a", "s"), copies, watcher, stamp=stamps.append)
    deadline = time.monotonic() + 10
    stage = 0

    def goes_on() -> bool:
        nonlocal stage
        assert time.monotonic() < deadline, sender.report()
        if stage == 0 and sender.report().in_step and stamps:
            watcher.told = [Change(watcher.root, b"full"), Change(watcher.root, b"new")]
            stage = 1
        if stage == 1 and b"new" in copies.sent and sender.report().trouble:
            stage = 2
        return stage < 2

    assert not sender.report().in_step
    sender.run(goes_on)
    assert copies.sent[0] == b"old"
    assert sender.report().stuck == [f"{tmp_path}/full"]
    assert "disk of the other node is full" in sender.report().trouble


def test_objections_say_why(tmp_path: Path) -> None:
    """A slave is not fit before its files are in step, nor when they are a minute old."""
    assert "being brought in step (3 names left)" in objection(Report(lag_ms=0, left=3))
    assert objection(Report(lag_ms=int(LAG_S_MAX * 1000), in_step=True)) == ""
    assert "75 s behind: no way" in objection(Report(lag_ms=75_000, in_step=True, trouble="no way"))


@pytest.mark.parametrize(
    ("copied", "kind", "code"),
    [
        (Copied(10, "rsync: failed to connect"), PeerFault, "rsync-unreachable"),
        (Copied(30, "timeout"), PeerFault, "rsync-unreachable"),
        (Copied(5, "@ERROR: auth failed on module x"), PeerFault, "rsync-refused"),
        (Copied(11, "rsync: write failed: No space left on device (28)"), PeerFault, "peer-disk-full"),
        (Copied(23, "rsync: send_files failed to open: Permission denied (13)"), HostFault, "files-incomplete"),
        (Copied(2, "protocol"), HostFault, "rsync-failed"),
    ],
)
def test_every_end_of_rsync_has_its_error(copied: Copied, kind: type[Exception], code: str) -> None:
    """Whose fault it is, and what to do."""
    error = copied.error("10.0.0.2")
    assert (type(error), error.code, copied.whole) == (kind, code, False)
    assert error.hint


# The server


def test_the_server_takes_files_from_the_other_node_alone() -> None:
    """Bound to the internal address, with a gate, modules for the profile's directories and nothing else."""
    serving = Serving("10.78.0.2", "10.78.0.1", "10.77.0.10", "x", (VOICE, FileSet("/var/spool/out", held=True)))
    text = rsyncd.configuration(serving)
    for line in (
        "address = 10.78.0.2", "hosts allow = 10.78.0.1", "hosts deny = *", "auth users = ishmael", "write only = yes",
        "pre-xfer exec = /usr/lib/ishmael/rsync-gate 10.77.0.10",
    ):  # fmt: skip
        assert line in text.splitlines()
    paths = [line.split(" = ")[1] for line in text.splitlines() if line.startswith("path = ")]
    assert paths == ["/var/spool/voice", "/var/lib/ishmael/held/var-spool-out", places.SNAPSHOTS]
    assert "x" not in [line.split(" = ")[-1] for line in text.splitlines()]


def test_the_password_is_made_from_the_clusters_key() -> None:
    """Another key, another password; the key is not in it."""
    assert rsync.secret_from(b"one") != rsync.secret_from(b"two")
    assert len(rsync.secret_from(b"one")) == 64


# SQLite


def _table(path: Path, rows: dict[str, str]) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE IF NOT EXISTS astdb (key VARCHAR(256) PRIMARY KEY, value VARCHAR(256))")
        database.executemany("INSERT OR REPLACE INTO astdb VALUES (?, ?)", rows.items())
        database.commit()


def test_rows_are_merged_under_a_running_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """New and changed rows come, those that are gone go, local ones stay; an open connection sees it."""
    monkeypatch.setattr(places, "SNAPSHOTS", str(tmp_path / "snapshots"))
    master, slave = tmp_path / "master", tmp_path / "slave"
    _table(master, {"/registrar/contact/101": "sip:new", "/pbx/UUID": "m", "/DND/101": "YES"})
    _table(slave, {"/registrar/contact/102": "sip:old", "/registrar/contact/101": "sip:before", "/pbx/UUID": "s"})
    wanted = SqliteSet(str(master), local=("/pbx/",))
    assert astdb.take(wanted)
    there = SqliteSet(str(slave), local=("/pbx/",))
    Path(astdb.snapshot_of(wanted)).rename(astdb.snapshot_of(there))
    with closing(sqlite3.connect(slave)) as program:
        assert len(program.execute("SELECT * FROM astdb").fetchall()) == 3
        assert astdb.merge(there) == 3
        seen = dict(program.execute("SELECT key, value FROM astdb").fetchall())
    assert seen == {"/registrar/contact/101": "sip:new", "/DND/101": "YES", "/pbx/UUID": "s"}
    assert astdb.merge(there) == 0


def test_a_program_that_holds_its_file_is_made_to_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader in a transaction keeps rows out; that is told as such, and the profile's command is run."""
    monkeypatch.setattr(places, "SNAPSHOTS", str(tmp_path / "snapshots"))
    _table(tmp_path / "slave", {})
    wanted = SqliteSet(str(tmp_path / "slave"), release=("touch", str(tmp_path / "let go")))
    (tmp_path / "snapshots").mkdir()
    _table(Path(astdb.snapshot_of(wanted)), {"/DND/101": "YES"})
    with closing(sqlite3.connect(tmp_path / "slave", isolation_level=None)) as program:
        program.execute("BEGIN")
        program.execute("SELECT * FROM astdb").fetchall()
        with pytest.raises(HostFault) as told:
            receiver._merge_or_release(wanted)
        assert (told.value.code, (tmp_path / "let go").exists()) == ("sqlite-busy", True)
        program.execute("COMMIT")
        assert receiver._merge_or_release(wanted) == 1


def test_a_damaged_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No snapshot is taken of what is no database; the old one stays."""
    monkeypatch.setattr(places, "SNAPSHOTS", str(tmp_path / "snapshots"))
    (tmp_path / "junk").write_text("no database at all, and long enough to be read as a header " * 30)
    with pytest.raises(HostFault) as told:
        astdb.take(SqliteSet(str(tmp_path / "junk")))
    assert told.value.code == "sqlite-failed"


# What acts by lying there


def test_call_files_act_on_the_master_and_never_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Held off the master; at a takeover only those whose time is still to come are put in place."""
    monkeypatch.setattr(places, "HELD", str(tmp_path / "held"))
    outgoing = tmp_path / "outgoing"
    outgoing.mkdir()
    files = FileSet(str(outgoing), held=True)
    for name, offset_s in (("due", -1), ("soon", 2), ("later", 3600)):
        (outgoing / name).write_text(name)
        os.utime(outgoing / name, (1000.0 + offset_s,) * 2)
    assert held.hold(files, time.time() + 1) == ["due", "later", "soon"]
    assert held.maybe_alone(files) == []
    assert list(outgoing.iterdir()) == []
    assert held.release(files, 1000.0) == (["later"], ["due", "soon"])
    assert [path.name for path in outgoing.iterdir()] == ["later"]
    assert (outgoing / "later").stat().st_mtime == 4600.0


@pytest.mark.parametrize(
    ("told", "doubtful"),
    [
        ("", False), ("\nStartRetry: 812 1 (1000)\n", True), ("\nStartRetry: 812 1 (1000)\nEndRetry: 812 1 (1030)\n", False),
        ("\nStartRetry: 812 1 (1)\nEndRetry: 812 1 (2)\n\nStartRetry: 812 2 (1000)\n", True),
        ("\nStartRetry: 812 1 (1)\nAbortRetry: 813 1 (2)\n", False),
    ],
)  # fmt: skip
def test_a_call_that_had_begun_is_not_made_again(
    told: str, doubtful: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asterisk sets the file's time to that of the next try when it begins to call, and leaves it there as long as the call lasts."""
    monkeypatch.setattr(places, "HELD", str(tmp_path / "held"))
    outgoing = tmp_path / "outgoing"
    outgoing.mkdir()
    files = FileSet(str(outgoing), held=True)
    (outgoing / "call").write_text(f"Channel: Local/1@x\nApplication: Wait\nData: 60\n{told}")
    os.utime(outgoing / "call", (4600.0, 4600.0))
    held.hold(files, time.time() + 1)
    assert held.release(files, 1000.0) == (([], ["call"]) if doubtful else (["call"], []))


# What is kept aside


def test_what_only_a_former_master_had_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files changed after everything was in step, and not the same on the new master; never others."""
    monkeypatch.setattr(places, "FILES_STAMP", str(tmp_path / "stamp"))
    top = tmp_path / "data"
    top.mkdir()
    _put(os.fsencode(top) + b"/" + ODD, b"alone")
    (top / "left.lock").write_text("x")
    files = FileSet(str(top), exclude=("*.lock",))
    listed = diverged.candidates([files])
    assert [Path(each["path"]).name for each in listed] == [os.fsdecode(ODD)]
    assert diverged.missing_here(json.loads(json.dumps(listed))) == []
    listed[0]["mtime_ns"] += 1
    lacking = diverged.missing_here(listed)
    salvage = Salvage("node1", str(tmp_path / "salvage"))
    find = diverged.keep(salvage, [files], [*lacking, "/etc/passwd"], "because")
    assert find is not None
    assert (find.count, find.kind, find.node, find.size_bytes) == (1, "files", "node1", 5)
    assert salvage.names(find.id) == [f"{top}/bad\\xff name".lstrip("/")]
    Path(places.FILES_STAMP).write_text(json.dumps({"schema": 1, "wall_s": time.time() + 100}))
    assert diverged.candidates([files]) == []


def test_a_call_file_that_only_a_former_master_had_is_kept_though_it_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was taken out of its directory when the node came back; its path is the one it had, and what both have is left alone."""
    monkeypatch.setattr(places, "FILES_STAMP", str(tmp_path / "stamp"))
    monkeypatch.setattr(places, "HELD", str(tmp_path / "held"))
    outgoing = tmp_path / "outgoing"
    outgoing.mkdir()
    files = FileSet(str(outgoing), held=True)
    (outgoing / "both.call").write_text("both")
    diverged.stamp(
        (outgoing / "both.call").lstat().st_ctime + diverged.MARGIN_S,
        lambda path, data, _: Path(path).write_bytes(data),
    )
    time.sleep(0.02)
    (outgoing / "alone.call").write_text("alone")
    (outgoing / "more").mkdir()
    (outgoing / "more/deep.call").write_text("deep")
    os.mkfifo(outgoing / "pipe")
    assert held.hold(files, diverged.since_s()) == ["alone.call", "both.call", "more", "pipe"]
    assert held.hold(files, diverged.since_s()) == []
    listed = diverged.candidates([files])
    assert [each["path"] for each in listed] == [f"{outgoing}/alone.call", f"{outgoing}/more/deep.call"]
    salvage = Salvage("node1", str(tmp_path / "salvage"))
    find = diverged.keep(salvage, [files], diverged.missing_here(listed), "because")
    assert find is not None
    assert sorted(salvage.names(find.id)) == [each["path"].lstrip("/") for each in listed]
    assert Path(f"{salvage.content(find.id)}{outgoing}/alone.call").read_text() == "alone"
    held.release(files, 0.0)
    assert held.maybe_alone(files) == []


def test_call_files_are_held_also_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be noted any more, nobody is called twice all the same."""
    monkeypatch.setattr(places, "HELD", str(tmp_path / "held"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(held, "_note", full)
    outgoing = tmp_path / "outgoing"
    outgoing.mkdir()
    (outgoing / "now.call").write_text("now")
    assert held.hold(FileSet(str(outgoing), held=True), 0.0) == ["now.call"]
    assert list(outgoing.iterdir()) == []


def test_salvage_is_exported_once_and_refuses_what_is_wrong(tmp_path: Path) -> None:
    """Bad names and existing directories are refused with nothing changed."""
    salvage = Salvage("node1", str(tmp_path / "salvage"))
    fresh = salvage.begin("database")
    (fresh / "content/rows.sql").write_text("INSERT")
    find = salvage.keep(fresh, "database", "it went on alone", 7, {"rows": 7})
    assert [each.to_mapping()["facts"] for each in salvage.finds()] == [{"rows": 7}]
    done = fetching.export(salvage, find.id, str(tmp_path / "out"))
    assert (tmp_path / "out/rows.sql").read_text() == "INSERT"
    assert (done["count"], done["size_bytes"]) == (7, 6)
    for name, directory, code in (
        (find.id, str(tmp_path / "out"), "directory-exists"), (find.id, "out", "not-absolute"),
        ("../../etc", "/x", "no-such-find"), ("20260101T000000-files", "/x", "no-such-find"),
    ):  # fmt: skip
        with pytest.raises(RequestRefused) as told:
            fetching.export(salvage, name, directory)
        assert told.value.code == code


# The profile


@pytest.mark.parametrize(
    "text",
    [
        '[[files]]\npath = "etc"', '[[files]]\npath = "/"', '[[files]]\npath = "/etc"', '[[files]]\npath = "/a/../b"',
        '[[files]]\npath = "/a/b/"', '[[files]]\npath = "/a/b"\nexclude = "x"', '[[files]]\npath = "/a/b"\nheld = 1',
        '[[files]]\npath = "/a/b"\n[[files]]\npath = "/a/b/c"', '[[files]]\npath = "/a/b"\nnonsense = 1',
        '[[files]]\npath = "/a/b"\nexclude = ["a\\nb"]', '[[sqlite]]\npath = "/a/b"\ntable = "x; drop"', "[[sqlite]]",
        '[[files]]\npath = "/a/b c"',
    ],
)  # fmt: skip
def test_a_wrong_directory_is_refused(text: str) -> None:
    """Nothing that could copy the whole machine, or reach outside, gets in."""
    with pytest.raises(RequestRefused) as told:
        profile_from_toml(f'schema = 1\nname = "x"\n{text}\n')
    assert told.value.code == "profile-invalid"


def test_the_shipped_profile_names_what_follows() -> None:
    """What an Asterisk needs on the slave, and its call files held."""
    path = Path(__file__).resolve().parents[3] / "profiles/asterisk.toml"
    profile = profile_from_toml(path.read_text())
    assert {files.path for files in profile.files if files.held} == {"/var/spool/asterisk/outgoing"}
    assert "/var/spool/asterisk/voicemail" in {files.path for files in profile.files}
    assert [each.path for each in profile.sqlite] == ["/var/lib/asterisk/astdb.sqlite3"]


def test_a_slave_gets_in_step_though_something_is_always_written(tmp_path: Path) -> None:
    """What was there when everything had been compared must have arrived; what came later is merely on its way."""
    files, now_s = FileSet(str(tmp_path)), [10.0]
    sender = Sender(
        Profile("x", (), files=(files,)), Target("10.78.0.2", "s"), MemoryCopies(), Inotify(), now_s=lambda: now_s[0]
    )
    sender._small.note(files, b"before", 9.0, settled=True)
    assert not sender.report().in_step
    sender._comparisons.end(files, sender._comparisons.begin(files), 10.0)
    assert not sender.report().in_step
    now_s[0] = 12.0
    sender._small.take(12.0)
    sender._small.note(files, b"later", 11.0, settled=True)
    assert not sender.report().in_step
    sender._small.arrived(files, [b"before"])
    assert (sender.report().in_step, sender.report().left) == (True, 1)


def test_a_slave_that_was_away_is_compared_again(tmp_path: Path) -> None:
    """Its power cut may have taken what had arrived; a comparison that began before it came back proves nothing."""
    files, copies = FileSet(str(tmp_path)), _Copies()
    sender = Sender(Profile("x", files=(files,)), Target("10.78.0.2", "s"), copies, _Watcher())
    sender._compare(files)
    assert sender.report().in_step
    sender.doubt()
    assert not sender.report().in_step
    copies.during = sender.doubt
    sender._compare(files)
    assert not sender.report().in_step
    assert sender._comparisons.due(0.0) == [files]
    copies.during = lambda: None
    sender._compare(files)
    assert sender.report().in_step
