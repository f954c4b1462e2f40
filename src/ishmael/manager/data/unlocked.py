"""Copying a SQLite file without a lock, for the program that has it open must never find one.

Asterisk waits for no lock: when its COMMIT meets the one of a reader, be it of a millisecond, it rolls back (db.c), and the
registration that it has just answered with 200 is gone. So nothing is locked here, only looked at (fcntl(2), F_GETLK): who
changes the file holds PENDING and SHARED exclusively (https://www.sqlite.org/lockingv3.html), and writes the first page,
in which changes are counted, before any other (pages are written in their order; https://www.sqlite.org/fileformat2.html,
1.3.7). A copy that was begun while nobody wrote, and after which that count is the same and still nobody writes, is whole.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import struct
import time
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

_PENDING, _RESERVED, _SHARED, _SHARED_BYTES = 0x40000000, 0x40000001, 0x40000002, 510
_FLOCK = "hhqqi4x"
_HEAD_BYTES, _WAL_AT, _WAL = 100, 18, 2
_PAUSE_S = 0.005


def copy(path: str, target: Path, limit_s: float) -> None:
    """Copy a file that another program may be writing to.

    Not for a file on which this process holds a lock itself: closing it would give that up (fcntl(2)).

    Args:
        path: of the SQLite file.
        target: a new file, mode 0600.
        limit_s: for how long to try, in seconds.

    Raises:
        OSError: a file cannot be read or written.
        sqlite3.Error: the file is written all the time, or what a crash left of a transaction has to be taken back first.
    """
    until_s = time.monotonic() + limit_s
    with open(path, "rb") as source:  # noqa: PTH123 - a path of any bytes
        if _head(source)[_WAL_AT : _WAL_AT + 1] == bytes([_WAL]):
            _back_up(path, target)
            return
        while not _copied(source, path, target):
            if time.monotonic() > until_s:
                raise sqlite3.OperationalError(f"it was written to all the time for {limit_s:.0f} s")
            time.sleep(_PAUSE_S)


def _copied(source: BinaryIO, path: str, target: Path) -> bool:
    # In this order: a change that begins after the first look at the count is seen by the second.
    before = _head(source)
    if _is_written(source) or _is_left_half(source, path):
        return False
    source.seek(0)
    with target.open("wb") as into:
        target.chmod(0o600)
        shutil.copyfileobj(source, into)
    return _head(source) == before and not _is_written(source)


def _head(source: BinaryIO) -> bytes:
    return os.pread(source.fileno(), _HEAD_BYTES, 0)


def _is_written(source: BinaryIO) -> bool:
    return _is_locked(source, _PENDING, 1) or _is_locked(source, _SHARED, _SHARED_BYTES)


def _is_left_half(source: BinaryIO, path: str) -> bool:
    """There is a journal with something in it, and nobody who has begun a transaction: that one died."""
    try:
        with Path(f"{path}-journal").open("rb") as journal:
            first = journal.read(1)
    except FileNotFoundError:
        return False
    return first not in (b"", b"\0") and not _is_locked(source, _RESERVED, 1)


def _is_locked(source: BinaryIO, at: int, count: int) -> bool:
    """Whether another process holds a part of the file for writing."""
    asked = struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, at, count, 0)
    (kind, *_) = struct.unpack(_FLOCK, fcntl.fcntl(source.fileno(), fcntl.F_GETLK, asked))
    return bool(kind != fcntl.F_UNLCK)


def _back_up(path: str, target: Path) -> None:
    """With a write-ahead log readers keep nobody waiting (https://www.sqlite.org/wal.html)."""
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as source,
        closing(sqlite3.connect(target)) as made,
    ):
        source.backup(made)
    target.chmod(0o600)
