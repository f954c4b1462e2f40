"""What a stopped server's log holds beyond a position: nothing is concluded from a log that cannot be read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ishmael.manager.drivers import pgtools
from ishmael.manager.drivers.pgtools import remove_empty_segments, transactions_after
from ishmael.words.database import Database
from ishmael.words.errors import HostFault

COMMIT = "rmgr: Transaction len (rec/tot):     34/    34, tx:        751, lsn: 0/03000110, desc: COMMIT 2026-11-30\n"


def _says(monkeypatch: pytest.MonkeyPatch, out: str, err: str, code: int) -> Database:
    done = subprocess.CompletedProcess[bytes]([], code, out.encode(), err.encode())
    monkeypatch.setattr(pgtools, "as_postgres", lambda *_, **__: done)
    return Database("15", "none-such", 5432)


@pytest.mark.parametrize(
    "err",
    [
        "pg_waldump: error: error in WAL record at 0/3000110: invalid record length at 0/3000138: wanted 24, got 0",
        "pg_waldump: fatal: could not find a valid record after 0/3000138",
        'pg_waldump: error: could not find file "000000010000000000000004": No such file or directory',
    ],
)
def test_the_end_of_a_log_is_no_fault(err: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert transactions_after(_says(monkeypatch, "", err, 1), 1, 0x3000138) == (False, [])
    assert transactions_after(_says(monkeypatch, COMMIT, err, 1), 1, 0x3000000) == (True, ["751"])


def test_a_log_that_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A former master with rows of its own would else follow, as if it had none, and never get to stream."""
    err = 'pg_waldump: error: WAL segment size must be a power of two, but the WAL file "..." header specifies 0 bytes'
    with pytest.raises(HostFault, match="header specifies 0 bytes") as told:
        transactions_after(_says(monkeypatch, "", err, 1), 33, 0xACC1800)
    assert told.value.code == "database-log-unreadable"


def test_segments_that_were_never_written_to_are_removed(tmp_path: Path) -> None:
    """As a power cut leaves the next one. What has a head stays, and everything that is no segment."""
    (tmp_path / ("0" * 23 + "A")).write_bytes(b"\x10\xd1" + bytes(8190))
    (tmp_path / ("0" * 23 + "B")).write_bytes(bytes(8192))
    (tmp_path / ("0" * 23 + "C")).write_bytes(b"")
    for name in ("00000022.history", "0" * 24 + ".partial", "archive_status"):
        (tmp_path / name).write_bytes(bytes(100))
    remove_empty_segments(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"0" * 23 + "A", "00000022.history", "0" * 24 + ".partial", "archive_status"}
