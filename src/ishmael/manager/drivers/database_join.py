"""Join this node's database to the master's: the ladder follow, rewind, copy. A program of its own (systemd-run).

It goes on while the job that asked is cut off, and says how far it is in a file. The old data is kept until a higher
rung has carried: nothing is removed before the server streams from the master.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from ishmael.manager.drivers.copied_files import MANIFEST
from ishmael.manager.drivers.copy_rung import CopyRung
from ishmael.manager.drivers.files import DiskFiles, sync_directory, sync_filesystem
from ishmael.manager.drivers.half_copy import COPIED, new_of, old_of
from ishmael.manager.drivers.host import ThisHost
from ishmael.manager.drivers.joinstate import JoinState
from ishmael.manager.drivers.pgtools import (
    Control,
    Master,
    Source,
    control_of,
    copy_with_progress,
    transactions_after,
)
from ishmael.manager.drivers.postgres import comes_up, source_of
from ishmael.manager.drivers.programs import run, words_of
from ishmael.manager.drivers.salvage import keep_directory, keep_rows
from ishmael.manager.drivers.whole_copy import Counted, Wanted
from ishmael.manager.ports.database import Pairing
from ishmael.words import places
from ishmael.words.database import (
    ADMIN_ROLE,
    OWN_DATABASE,
    REWINDING,
    SOCKETS,
    Database,
    application_name,
    database_from_bytes,
)
from ishmael.words.errors import HostFault, IshmaelError
from ishmael.words.profile import DatabaseWanted, profile_from_toml
from ishmael.words.settings import settings_from_toml

_STREAM_LIMIT_S = 30.0
_FOLLOW_LIMIT_S = 12.0
_START_LIMIT_S, _DEAD_AFTER_S = 120.0, 3.0


class Ladder:
    """One attempt.

    Args:
        database: this node's cluster.
        source: the master's server.
        slot: what the master keeps log for this node under.
        state: where the progress goes.
    """

    def __init__(self, database: Database, source: Source, slot: str, state: JoinState) -> None:
        self._database, self._source, self._slot, self._state = database, source, slot, state
        self._data = Path(database.data)
        self._new = new_of(self._data)
        self._old = old_of(self._data)
        self._tried: list[str] = []
        self._timeline = 0
        self._nothing_alone = False
        """Nothing in the old directory can be lost: it was a follower's, or what it alone had was kept aside."""
        self._begun_s = time.monotonic()

    def climb(self) -> None:
        """Go up until the server streams.

        Raises:
            IshmaelError: the last rung did not carry either.
        """
        self._mend()
        master = self._source.look()
        self._timeline = master.timeline
        self._lap("the master was asked")
        self._stop()
        self._lap("the server is stopped")
        control = control_of(self._database)
        same, half = control is not None and control.system == master.system, (self._data / REWINDING).exists()
        related = same and not half
        # A rewind begins when what diverged has been kept aside.
        self._nothing_alone = same and (half or (self._data / "standby.signal").exists())
        if control is not None and related:
            follows = (self._data / "standby.signal").exists()
            if self._may_follow(control, master, follows=follows) and self._try("follow", lambda: self._follow(master)):
                return
            # What diverged is kept aside in any case, so a log that cannot be read is told by the rung that needs it.
            if (
                control.timeline in master.forks
                and not follows
                and self._try("rewind", lambda: self._rewind(control, master))
            ):
                return
        self._rung("copy")
        self._copy(known=related)

    def _lap(self, what: str) -> None:
        """For the journal: how far it is, and when."""
        print(f"{time.monotonic() - self._begun_s:7.2f} s  {what}", flush=True)

    def _rung(self, name: str) -> None:
        self._lap(f"rung {name}")
        self._state.change(rung=name, tried=[*self._tried], bytes_moved=0, bytes_kept=0, bytes_total=0)

    def _try(self, name: str, act: Any) -> bool:
        self._rung(name)
        try:
            act()
        except IshmaelError as error:
            print(f"{name}: {error.message}", flush=True)
            self._tried.append(f"{name}: {error.message}")
            self._stop()
            return False
        # A copy that was begun, and cut, is not needed.
        shutil.rmtree(self._new, ignore_errors=True)
        return True

    def _may_follow(self, control: Control, master: Master, *, follows: bool) -> bool:
        """Nothing here that the master does not have: it is a follower, or stopped before the master's timeline began."""
        if follows:
            return control.timeline == master.timeline or control.timeline in master.forks
        fork = master.forks.get(control.timeline)
        if fork is None:
            return False
        try:
            more, _ = transactions_after(self._database, control.timeline, fork)
        except HostFault as error:
            self._tried.append(f"follow: {error.message}")
            return False
        if more:
            self._tried.append("follow: this node's log goes on beyond the point where the master's history begins")
        self._nothing_alone = self._nothing_alone or not more
        return not more

    # --- rungs ------------------------------------------------------------------------------------------------------

    def _follow(self, master: Master) -> None:
        before = self._source.look().position
        self._write_signal(self._data)
        self._stream(_FOLLOW_LIMIT_S)
        fork = max(master.forks.values(), default=master.position)
        self._moved(max(0, before - fork), max(0, before - fork))

    def _rewind(self, control: Control, master: Master) -> None:
        self._salvage(control, master)
        DiskFiles().write(str(self._data / REWINDING), b"pg_rewind is at work here\n", 0o600)
        argv = [
            *(f"{self._database.programs}/pg_rewind", f"--target-pgdata={self._data}", "--progress", "--no-sync"),
            f"--config-file={self._database.etc}/postgresql.conf",
            f"--source-server={self._source.conninfo} dbname={OWN_DATABASE}",
        ]
        copy_with_progress(argv, self._moved, what="pg_rewind failed")
        self._lap("rewound")
        self._write_signal(self._data)
        sync_filesystem(self._data)
        self._lap("on disk")
        DiskFiles().remove(str(self._data / REWINDING))
        self._stream(_STREAM_LIMIT_S)

    def _salvage(self, control: Control, master: Master) -> None:
        """Rows of transactions that the master lacks are kept aside; when that fails the whole directory is."""
        fork = master.forks[control.timeline]
        _, committed = transactions_after(self._database, control.timeline, fork)
        if committed:
            name = keep_rows(self._database, control.timeline, fork)
            if name:
                self._state.change(salvage=name)
        self._nothing_alone = True

    def _copy(self, *, known: bool) -> None:
        """Copy everything into a new directory, then put it in the old one's place."""
        wanted = Wanted(str(self._new), self._source.conninfo, self._slot, self._database.programs, self._source.master)
        CopyRung(wanted, self._counted, self._cut).bring()
        self._lap("everything is copied")
        self._write_signal(self._new)
        # The tools would sync each file by itself, thousands of waits for the disk.
        sync_filesystem(self._new)
        self._lap("on disk")
        DiskFiles().write(str(self._new / COPIED), b"complete\n", 0o600)
        self._swap()
        self._stream(_STREAM_LIMIT_S)
        self._retire_old(known=known)

    def _cut(self, why: str) -> None:
        """An attempt at copying was cut; the next goes on where it was."""
        message = f"copy: {why}"
        if message not in self._tried:
            self._tried.append(message)
        self._lap(message)
        self._state.change(tried=[*self._tried])

    def _counted(self, counted: Counted) -> None:
        total = max(counted.total, counted.moved + counted.kept)
        self._state.change(bytes_moved=counted.moved, bytes_kept=counted.kept, bytes_total=total)

    def _swap(self) -> None:
        # What it tells is true of the files as they were copied: no longer when the server has worked with them.
        DiskFiles().remove(str(self._new / MANIFEST))
        if self._data.exists():
            shutil.rmtree(self._old, ignore_errors=True)
            self._data.rename(self._old)
        self._new.rename(self._data)
        sync_directory(self._data.parent)
        DiskFiles().remove(str(self._data / COPIED))

    def _mend(self) -> None:
        """Finish what a power cut left half done, or forget it, or keep it for the rung that can use it."""
        if (self._new / COPIED).exists():
            self._swap()
        if not (self._new / MANIFEST).exists():
            shutil.rmtree(self._new, ignore_errors=True)
        if not self._data.exists() and self._old.exists():
            self._old.rename(self._data)

    def _retire_old(self, *, known: bool) -> None:
        """The copy carries. What was here before goes, unless it may hold what the master lacks."""
        if not self._old.exists():
            return
        if self._nothing_alone or (self._database.made and not known):
            shutil.rmtree(self._old)
            if self._database.made:
                DiskFiles().write(places.DATABASE, _own(self._database).to_bytes(), 0o644)
            return
        self._state.change(salvage=keep_directory(self._database, self._old))

    # --- the server -------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        comes_up(self._database)
        done = run(["systemctl", "stop", self._database.unit], limit_s=120)
        if done.returncode:
            raise HostFault("database-failed", f"PostgreSQL does not stop: {words_of(done)}.", "See: journalctl")

    def _write_signal(self, data: Path) -> None:
        path = data / "standby.signal"
        DiskFiles().write(str(path), b"", 0o600)
        owner = data.stat()
        os.chown(path, owner.st_uid, owner.st_gid)

    def _stream(self, limit_s: float) -> None:
        """Start it and wait until it streams."""
        said_before = self._log_size()
        run(["systemctl", "reset-failed", self._database.unit])
        # Debian's script looks after two seconds whether the server has come up; it says itself when it has.
        run(["systemctl", "start", "--no-block", self._database.unit])
        # How long it takes to come up is its log's affair; from then on it has to stream soon.
        begun_s, accepts = time.monotonic(), False
        deadline_s = begun_s + _START_LIMIT_S
        while (streams := self._streams()) is not True:
            if streams is not None and not accepts:
                deadline_s, accepts = time.monotonic() + limit_s, True
            if streams is None and time.monotonic() > begun_s + _DEAD_AFTER_S and self._is_dead():
                deadline_s = 0.0
            if time.monotonic() > deadline_s or self._log_is_gone(said_before):
                raise HostFault(
                    "database-does-not-stream", f"The database does not stream from the master: {self._log_end()}",
                    f"See: {self._database.log_file}",
                )  # fmt: skip
            time.sleep(0.03)
        self._lap("it streams")

    def _is_dead(self) -> bool:
        return run(["systemctl", "is-active", self._database.unit]).stdout.strip() in (b"inactive", b"failed")

    def _streams(self) -> bool | None:
        """None while it does not accept connections."""
        argv = [
            *("psql", "--no-psqlrc", "-AtqX", f"--host={SOCKETS}", f"--port={self._database.port}"),
            *(f"--username={ADMIN_ROLE}", f"--dbname={OWN_DATABASE}"),
            # It also calls itself streaming before the master says that it has no such log any more, or that its history is
            # another one: that of the old timeline ends at once, again and again.
            "--command=SELECT count(*) FROM pg_stat_wal_receiver "  # noqa: S608 - a number of ours
            f"WHERE status = 'streaming' AND written_lsn > receive_start_lsn AND received_tli >= {self._timeline}",
        ]
        done = run(argv)
        return done.stdout.strip() == b"1" if done.returncode == 0 else None

    def _log_size(self) -> int:
        try:
            return Path(self._database.log_file).stat().st_size
        except OSError:
            return 0

    def _log_is_gone(self, since: int) -> bool:
        """The master has said, since then, that it has not kept what this node needs: waiting does not help."""
        try:
            with Path(self._database.log_file).open("rb") as log:
                log.seek(since)
                return b"has already been removed" in log.read()
        except OSError:
            return False

    def _log_end(self) -> str:
        try:
            lines = Path(self._database.log_file).read_text(encoding="utf-8", errors="replace").splitlines()[-40:]
        except OSError:
            return "its log cannot be read"
        bad = [line for line in lines if "FATAL" in line or "ERROR" in line]
        return (bad or lines or ["its log is empty"])[-1][-300:]

    def _moved(self, copied: int, total: int) -> None:
        self._state.change(bytes_moved=copied, bytes_total=max(copied, total))


def _own(database: Database) -> Database:
    return Database(database.version, database.cluster, database.port, database.start)


def pairing_of_this_node() -> Pairing:
    """From the files on this node.

    Raises:
        HostFault: one is missing.
    """
    files = DiskFiles()
    settings, profile = files.read(places.SETTINGS), files.read(places.PROFILE)
    password = files.read(places.REPLICATION_PASSWORD)
    if settings is None or password is None:
        raise HostFault("not-set-up", "This node is not part of a cluster with a database.", "Re-add it.")
    made = settings_from_toml(settings.decode())
    me = made.named(ThisHost().name())
    if me is None:
        raise HostFault("not-in-settings", f"The settings know no node called {ThisHost().name()}.", "Re-add it.")
    wanted = profile_from_toml(profile.decode()).database if profile is not None else None
    return Pairing(wanted or DatabaseWanted(), made, me.id, password.decode())


def _master_of(pairing: Pairing) -> str:
    peer = pairing.settings.peer_of(pairing.me)
    return peer.name if peer is not None else ""


def main(argv: list[str]) -> int:
    """Join.

    Args:
        argv: the key of the attempt.
    """
    state = JoinState()
    if state.read().get("key") != argv[0]:
        state.begin(argv[0])
    begun_s = time.monotonic()
    with Path(places.DATABASE_LOCK).open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            raw = DiskFiles().read(places.DATABASE)
            if raw is None:
                raise HostFault("no-database", "This node has no replicated database.", "Re-add it.")
            database, pairing = database_from_bytes(raw), pairing_of_this_node()
            source = Source(database, source_of(pairing), _master_of(pairing))
            Ladder(database, source, application_name(pairing.me), state).climb()
        except IshmaelError as error:
            what = {"whose": error.whose, "code": error.code, "message": error.message, "hint": error.hint}
            state.change(state="failed", error=what)
            print(error.message, flush=True)
            return error.exit_code
        except OSError as error:
            what = {
                "whose": "host",
                "code": "disk-failing",
                "message": f"The disk: {error}.",
                "hint": "See: dmesg | tail",
            }
            state.change(state="failed", error=what)
            return 5
    state.change(state="done", took_ms=int((time.monotonic() - begun_s) * 1000))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
