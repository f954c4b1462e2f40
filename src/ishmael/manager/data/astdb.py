"""A table of keys and values in a SQLite file that a program has open: copied without a lock, merged row by row.

A plain copy of such a file may be torn, and a file replaced under a running program is not seen by it. So the master
takes a snapshot, the slave gets that as a file of its own, and puts the rows that differ into the file its program has
open, in one short transaction.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from ishmael.manager.data import unlocked
from ishmael.words import places
from ishmael.words.errors import HostFault
from ishmael.words.profile import SqliteSet

BUSY_S = 5.0
PATIENT_S, IMPATIENT_S = 3.0, 0.2
Row = tuple[str, str | bytes | None]


def snapshot_of(wanted: SqliteSet) -> str:
    """Where the snapshot lies, on both nodes."""
    return f"{places.SNAPSHOTS}/{wanted.slug}"


def take(wanted: SqliteSet) -> bool:
    """Take a snapshot of the master's file; False when there is no such file.

    Raises:
        HostFault: the file cannot be read, or the snapshot not be written.
    """
    if not Path(wanted.path).is_file():
        return False
    Path(places.SNAPSHOTS).mkdir(mode=0o700, parents=True, exist_ok=True)
    target = snapshot_of(wanted)
    fresh = Path(f"{target}.new")
    try:
        fresh.unlink(missing_ok=True)
        unlocked.copy(wanted.path, fresh, BUSY_S)
        with closing(sqlite3.connect(f"file:{fresh}?mode=ro", uri=True)) as copy:
            (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        fresh.replace(target)
    except (sqlite3.Error, OSError) as error:
        raise HostFault("sqlite-failed", f"No snapshot of {wanted.path}: {error}.", "See: df -h; ls -l") from error
    return True


def rows(path: str, wanted: SqliteSet) -> dict[str, str | bytes | None]:
    """The rows of a file that both nodes share.

    Raises:
        sqlite3.Error: it is no such file.
    """
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=BUSY_S)) as database:
        found = database.execute(f"SELECT key, value FROM {wanted.table}").fetchall()  # noqa: S608 - checked by the profile
    return {key: value for key, value in found if not str(key).startswith(wanted.local)}


def merge(wanted: SqliteSet, busy_s: float = PATIENT_S) -> int:
    """Put what differs into this node's file; how many rows that were.

    Args:
        wanted: which.
        busy_s: how long to wait for a program that holds the file, in seconds.

    Raises:
        HostFault: the file is damaged, or (``sqlite-busy``) its program holds it for too long.
    """
    source = snapshot_of(wanted)
    if not os.path.exists(source) or not os.path.exists(wanted.path):  # noqa: PTH110 - nothing to merge into yet
        return 0
    try:
        new, old = rows(source, wanted), rows(wanted.path, wanted)
        changed = [(key, value) for key, value in new.items() if key not in old or old[key] != value]
        gone = [(key,) for key in old if key not in new]
        if not changed and not gone:
            return 0
        with closing(sqlite3.connect(wanted.path, timeout=busy_s, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.executemany(f"DELETE FROM {wanted.table} WHERE key = ?", gone)  # noqa: S608
            database.executemany(f"INSERT OR REPLACE INTO {wanted.table} (key, value) VALUES (?, ?)", changed)  # noqa: S608
            database.execute("COMMIT")
    except sqlite3.Error as error:
        if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise HostFault(
                "sqlite-busy", f"A program holds {wanted.path} locked: the master's rows do not get in.",
                "Name a command that makes it let go: `release` in the profile.",
            ) from error  # fmt: skip
        raise HostFault(
            "sqlite-failed", f"The rows of the master do not get into {wanted.path}: {error}.",
            "See: ishmael status; is the file whole? sqlite3 FILE 'pragma integrity_check'",
        ) from error  # fmt: skip
    return len(changed) + len(gone)
