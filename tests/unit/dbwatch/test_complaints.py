"""What PostgreSQL's log says about a stream that does not come about."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from ishmael.dbwatch.complaints import LASTS_S, Complaints, meaning
from ishmael.words.database import Database


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ('FATAL:  password authentication failed for user "ishmael_replica"', "password is refused"),
        ('FATAL:  password authentication failed for user "somebody"', ""),
        ('FATAL:  no pg_hba.conf entry for replication connection from host "10.78.0.1", user "ishmael_replica"', "pg_hba.conf"),
        ("ERROR:  requested WAL segment 000000010000000000000004 has already been removed", "log that the slave needs is gone"),
        ('ERROR:  replication slot "ishmael_2" does not exist', "slot is lost"),
        ('ERROR:  replication slot "of_somebody" does not exist', ""),
        ("FATAL:  highest timeline 2 of the primary is behind recovery timeline 3", "histories"),
        ("LOG:  new timeline 3 forked off current database system timeline 2 before current recovery point", "histories"),
        ("FATAL:  could not write to file \"pg_wal/xlogtemp.3\": No space left on device", "disk is full"),
        ("LOG:  checkpoint complete", ""),
    ],
)  # fmt: skip
def test_what_it_means(line: str, part: str) -> None:
    """The lines of PostgreSQL 15 to 17 are known; those of others' users and slots are not ours."""
    assert part in meaning(line) and bool(meaning(line)) == bool(part)


def test_the_newest_counts() -> None:
    """Of two the later one."""
    said = 'replication slot "ishmael_2" does not exist\npassword authentication failed for user "ishmael_replica"'
    assert "password" in meaning(said)


def test_only_what_is_new_counts_and_only_for_some_seconds(tmp_path: Path) -> None:
    """What stood there at the first look is old; a rotated log begins anew; a complaint that is not repeated ends."""
    log, now_s = tmp_path / "log", [100.0]
    old = 'replication slot "ishmael_2" does not exist\n'
    log.write_text(old)

    class _Database:
        log_file = str(log)

    complaints = Complaints(cast(Database, _Database()), lambda: now_s[0])
    assert complaints.look() == ""
    with log.open("a") as more:
        more.write('FATAL:  password authentication failed for user "ishmael_replica"\n')
    assert "password" in complaints.look()
    now_s[0] += LASTS_S - 1
    assert "password" in complaints.look()
    now_s[0] += 2
    assert complaints.look() == ""
    log.write_text("x")
    assert complaints.look() == ""
    log.write_text("x No space left on device")
    assert "full" in complaints.look()
    log.unlink()
    now_s[0] += LASTS_S
    assert complaints.look() == ""
