"""A SQLite file is copied while its program writes, which never meets a lock and never makes a torn copy."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from ishmael.manager.data import unlocked

# Waits for no lock, as Asterisk; every transaction moves something between rows on many pages, so that the sum stays.
WRITER = """
import random, sqlite3, sys, time
table = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
print("writing", flush=True)
refused = done = 0
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    table.execute("BEGIN")
    for _ in range(20):
        one, other = random.sample(range(500), 2)
        table.execute("UPDATE astdb SET value = value + 1 WHERE key = ?", (one,))
        table.execute("UPDATE astdb SET value = value - 1 WHERE key = ?", (other,))
    if random.random() < 0.5:
        time.sleep(random.random() * 0.004)
    try:
        table.execute("COMMIT")
        done += 1
    except sqlite3.OperationalError:
        refused += 1
        table.execute("ROLLBACK")
print(done, refused)
"""
SECONDS = 3.0


def _table(path: Path, mode: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA journal_mode = {mode}")
        database.execute("CREATE TABLE astdb (key INTEGER PRIMARY KEY, value INTEGER, more TEXT)")
        database.executemany("INSERT INTO astdb VALUES (?, 7, ?)", [(key, "x" * 400) for key in range(500)])
        database.commit()


@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "PERSIST", "WAL"])
def test_nobody_meets_a_lock_and_every_copy_is_whole(mode: str, tmp_path: Path) -> None:
    """Some thousand transactions, and copies all the time."""
    path, copies = tmp_path / "astdb", 0
    _table(path, mode)
    argv = [sys.executable, "-c", WRITER, str(path), str(SECONDS)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        until_s = time.monotonic() + SECONDS
        while time.monotonic() < until_s:
            target = tmp_path / f"copy{copies}"
            unlocked.copy(str(path), target, 5.0)
            with closing(sqlite3.connect(target)) as copy:
                assert copy.execute("PRAGMA quick_check").fetchone() == ("ok",)
                assert copy.execute("SELECT count(*), sum(value) FROM astdb").fetchone() == (500, 3500)
            target.unlink()
            copies += 1
        done, refused = map(int, writer.stdout.read().split())
    assert copies > 20
    assert done > 50
    assert refused == 0


def test_half_a_transaction_of_a_program_that_died_is_not_taken_for_whole(tmp_path: Path) -> None:
    """Whoever opens the file next takes it back; until then there is nothing to copy."""
    path = tmp_path / "astdb"
    _table(path, "DELETE")
    script = (
        "import os, sqlite3, sys\n"
        "table = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "table.execute('PRAGMA cache_size = 5')\n"
        "table.execute('BEGIN')\n"
        "table.execute('UPDATE astdb SET value = 8')\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert os.path.getsize(f"{path}-journal") > 0  # noqa: PTH202
    with pytest.raises(sqlite3.OperationalError):
        unlocked.copy(str(path), tmp_path / "copy", 0.05)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT sum(value) FROM astdb").fetchone() == (3500,)
    unlocked.copy(str(path), tmp_path / "copy", 0.05)
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
