"""The files of the master's database, read over a connection to it: PostgreSQL's low-level backup (manual, "Making a Base
Backup Using the Low Level API"), with the functions that pg_rewind(1) reads a server's files with.

The backup lasts as long as the connection: when that is cut, the master forgets it, and the next attempt begins another.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from ishmael.manager.drivers.copied_files import MANIFEST, Origin, Seen
from ishmael.manager.drivers.half_copy import COPIED
from ishmael.words.database import OWN_DATABASE, REWINDING
from ishmael.words.errors import PeerFault

COPY_NAME = "ishmael_copy"
"""What the copying calls itself on the master: not what the follower does, whom commits may wait for."""
CONTROL = "global/pg_control"
LOG = "pg_wal"
# What PostgreSQL's own backup leaves out (manual, "Streaming Replication Protocol", BASE_BACKUP; basebackup.c).
_EMPTY = (
    LOG, "pg_dynshmem", "pg_notify", "pg_replslot", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans",
)  # fmt: skip
_LEFT_OUT = {
    "backup_label", "backup_manifest", "current_logfiles.tmp", "postgresql.auto.conf.tmp", "postmaster.opts", "postmaster.pid",
    "tablespace_map", MANIFEST, COPIED, REWINDING,
}  # fmt: skip
_LEFT_OUT_BEGINNINGS = ("pgsql_tmp", "pg_internal.init")
_RELATION = re.compile(r"((?:base/\d+|global)/)(\d+)(?:_(fsm|vm|init))?(?:\.\d+)?")
_TEMPORARY = re.compile(r"base/\d+/t\d+_\d+(?:_(?:fsm|vm|init))?(?:\.\d+)?")
_COPY_HEAD = b"PGCOPY\n\xff\r\n\0"
# The connection is lost; the server stops or starts; the slot is held by one that was lost; too many connections.
_PASSING = ("08", "57P", "55006", "53300")

_LOOK = """
WITH RECURSIVE found (path, size, modified, changed, is_directory) AS (
  SELECT name, this.size, this.modification, this.change, this.isdir
  FROM pg_ls_dir('.', true, false) AS name, pg_stat_file(name, true) AS this
 UNION ALL
  SELECT found.path || '/' || name, this.size, this.modification, this.change, this.isdir
  FROM found, pg_ls_dir(found.path, true, false) AS name, pg_stat_file(found.path || '/' || name, true) AS this
  WHERE found.is_directory AND found.path <> ALL (%s::text[]))
SELECT path, size, extract(epoch FROM modified)::bigint, extract(epoch FROM changed)::bigint, is_directory
FROM found WHERE is_directory IS NOT NULL
"""
_LOOK_AGAIN = """
SELECT path, this.size, extract(epoch FROM this.modification)::bigint, extract(epoch FROM this.change)::bigint
FROM unnest(%s::text[]) AS path, pg_stat_file(path, true) AS this WHERE NOT this.isdir
"""
_READ = """
COPY (SELECT pg_read_binary_file(path, at, bytes, true)
  FROM unnest({paths}::text[], {at}::bigint[], {bytes}::bigint[]) AS part (path, at, bytes))
TO STDOUT (FORMAT binary)
"""
_FREE_SLOT = "SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE slot_name = %s AND active"
_DROP_LOST = (
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s AND wal_status = 'lost'"
)
_MAKE_SLOT = """
SELECT pg_create_physical_replication_slot(%s, true) WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = %s)
"""
_TO_START = """
SELECT pg_replication_slot_advance(slot_name, %s) FROM pg_replication_slots WHERE slot_name = %s AND restart_lsn < %s
"""
_RESERVED = (
    "SELECT wal_status IN ('reserved', 'extended') AND restart_lsn <= %s FROM pg_replication_slots WHERE slot_name = %s"
)

_KEPT = "SELECT wal_status <> 'lost' FROM pg_replication_slots WHERE slot_name = %s"


class OtherWay(Exception):
    """The files of this master cannot be read like this; pg_basebackup has to bring them. Its text says why."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a file.

    Args:
        path: below the data directory.
        at: where it begins, in bytes.
        length: in bytes.
    """

    path: str
    at: int
    length: int


@dataclass(frozen=True, slots=True)
class Ended:
    """What a backup that is over leaves.

    Args:
        label: content of ``backup_label``.
        log_file: name of the last log file that the copy needs to be whole by itself.
    """

    label: bytes
    log_file: str


class MastersFiles:
    """One backup, over one connection.

    Args:
        conninfo: how the master is reached.
        slot: what the master keeps log for this node under.
        master: host name of its node.

    Raises (all of it): PeerFault when the master is not reached, stops, or cannot read a file.
    """

    def __init__(self, conninfo: str, slot: str, master: str) -> None:
        self._slot, self._master, self._start = slot, master, ""
        with self._blamed():
            self._wire: psycopg.Connection[tuple[Any, ...]] = psycopg.connect(
                conninfo, dbname=OWN_DATABASE, application_name=COPY_NAME, autocommit=True,
                options="-c statement_timeout=0 -c idle_session_timeout=0 -c jit=off -c client_encoding=UTF8",
            )  # fmt: skip

    def close(self) -> None:
        """End the connection, and with it a backup that is not over."""
        self._wire.close()

    def begin(self) -> Origin:
        """Begin the backup; from here on all log is kept for this node.

        Returns:
            Whose files these are.

        Raises:
            OtherWay: they cannot be read like this.
        """
        if self._rows("SELECT 1 FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')"):
            raise OtherWay("the master's database has tablespaces")
        # The server here is stopped: whoever holds its slot is a connection that was cut.
        self._rows(_FREE_SLOT, self._slot)
        ((self._start,),) = self._rows("SELECT pg_backup_start('ishmael', true)::text")
        # Its checkpoint may have given the slot up. A new one keeps log since that checkpoint: since the start.
        self._rows(_DROP_LOST, self._slot)
        self._rows(_MAKE_SLOT, self._slot, self._slot)
        # What was written before is in the files.
        self._rows(_TO_START, self._start, self._slot, self._start)
        self._must(_RESERVED, self._start, self._slot)
        ((system, name),) = self._rows(
            "SELECT system_identifier::text, pg_walfile_name(%s) FROM pg_control_system()", self._start
        )
        return Origin(system, int(name[:8], 16), self._master)

    def comes_back_with_new_times(self) -> bool:
        """After a power cut its recovery writes every page again that had been written since the last checkpoint.

        It does with full pages in its log; else a page may be new while the file's time, which was not on disk yet, is old.
        """
        return self._rows("SHOW full_page_writes") == [("on",)]

    def group_reads(self) -> bool:
        """The master's data directory may be read by its group (``initdb --allow-group-access``), so this one, too."""
        return self._rows("SHOW data_directory_mode") == [("0750",)]

    def look(self) -> tuple[list[str], dict[str, Seen]]:
        """All that belongs to the copy: directories, a parent before what is in it, and files; without the control file."""
        seen_s = self._clock_s()
        rows = self._rows(_LOOK, list(_EMPTY))
        directories = sorted(path for path, _, _, _, is_directory in rows if is_directory and not _left_out(path))
        files = {
            path: Seen(int(size), int(modified), int(changed), seen_s)
            for path, size, modified, changed, is_directory in rows
            if not is_directory and path != CONTROL and not _left_out(path)
        }
        unlogged = {match[1] + match[2] for match in map(_RELATION.fullmatch, files) if match and match[3] == "init"}
        return directories, {path: seen for path, seen in files.items() if not _emptied(path, unlogged)}

    def look_again(self, paths: Sequence[str]) -> dict[str, Seen]:
        """Files as they are now, those that are still there."""
        seen_s = self._clock_s()
        rows = self._rows(_LOOK_AGAIN, list(paths))
        return {path: Seen(int(size), int(modified), int(changed), seen_s) for path, size, modified, changed in rows}

    def _clock_s(self) -> int:
        return int(self._rows("SELECT floor(extract(epoch FROM clock_timestamp()))::bigint")[0][0])

    def read(self, parts: Sequence[Part], put: Callable[[Part, memoryview | None], None]) -> None:
        """Read parts of files, in their order.

        Args:
            parts: which.
            put: gets each, shorter where the file has become so; None of a file that is gone.
        """
        copy = sql.SQL(_READ).format(
            paths=[part.path for part in parts], at=[part.at for part in parts], bytes=[part.length for part in parts]
        )
        left = iter(parts)
        with self._blamed(), self._wire.cursor().copy(copy) as answer:
            for data in answer:
                for row in _rows_of(memoryview(data)):
                    part = next(left, None)
                    if part is None or (row is not None and len(row) > part.length):
                        raise PeerFault("database-copy-failed", "The master sent what was not asked for.", "Try again.")
                    put(part, row)
        if next(left, None) is not None:
            raise PeerFault("database-copy-failed", "The master sent less than it was asked for.", "Try again.")

    def end(self) -> Ended:
        """End the backup: the master has written all that belongs to it into its log."""
        ((label, log_file),) = self._rows(
            "SELECT labelfile, pg_walfile_name(lsn - 1::numeric) FROM pg_backup_stop(wait_for_archive => false)"
        )
        self._must(_KEPT, self._slot)
        return Ended(str(label).encode(), str(log_file))

    def _must(self, condition: str, *values: Any) -> None:
        if self._rows(condition, *values) != [(True,)]:
            raise PeerFault(
                "database-copy-failed", "The master has not kept the log that the copy needs.",
                "More was written meanwhile than keep_mb of the profile lets it keep: set more, then re-add.",
            )  # fmt: skip

    def _rows(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._blamed():
            return self._wire.execute(text, values or None).fetchall()

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        try:
            yield
        except psycopg.errors.InsufficientPrivilege as error:
            raise OtherWay(f"the master does not let its files be read: {_said(error)}") from error
        except psycopg.Error as error:
            state = error.sqlstate or ""
            if not state or state.startswith(_PASSING):
                raise PeerFault(
                    "master-database-silent", f"The connection to the master's database is lost: {_said(error)}.",
                    "Is PostgreSQL running on the master, and port 5432 open between the nodes?",
                ) from error  # fmt: skip
            raise PeerFault(
                "database-copy-failed", f"The master's database cannot be read: {_said(error)}.",
                "See the log of PostgreSQL on the master.",
            ) from error  # fmt: skip


def _said(error: psycopg.Error) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def may_be_kept(path: str) -> bool:
    """Whether a file's times can be trusted: not a visibility map's, whose bits are cleared without a log of their own.

    Args:
        path: below the data directory.
    """
    match = _RELATION.fullmatch(path)
    return match is None or match[3] != "vm"


def _left_out(path: str) -> bool:
    """PostgreSQL's own backup does not have it either, or it is ours."""
    names = path.split("/")
    if any(name in ("", ".", "..") or "\0" in name for name in names):
        raise PeerFault("database-copy-failed", f"The master names a file {path!r}.", "Look at its data directory.")
    return (
        names[-1] in _LEFT_OUT
        or any(name.startswith(_LEFT_OUT_BEGINNINGS) for name in names)
        or (names[0] in _EMPTY and len(names) > 1)
        or _TEMPORARY.fullmatch(path) is not None
    )


def _emptied(path: str, unlogged: set[str]) -> bool:
    """A table without log is empty after a recovery: only its initial file is needed."""
    match = _RELATION.fullmatch(path)
    return match is not None and match[3] != "init" and match[1] + match[2] in unlogged


def _rows_of(data: memoryview) -> Iterator[memoryview | None]:
    """Rows of one column, out of a message of COPY (manual, "COPY", "Binary Format")."""
    at = 0
    if data[: len(_COPY_HEAD)] == _COPY_HEAD:
        at = len(_COPY_HEAD) + 8 + int(struct.unpack_from("!i", data, len(_COPY_HEAD) + 4)[0])
    while at < len(data):
        (columns,) = struct.unpack_from("!h", data, at)
        if columns == -1:
            return
        (length,) = struct.unpack_from("!i", data, at + 2)
        at += 6
        yield None if length < 0 else data[at : at + length]
        at += max(0, length)
