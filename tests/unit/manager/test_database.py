"""The database in the works, and what is read out of PostgreSQL's tools."""

from __future__ import annotations

import pytest

from ishmael.manager.drivers.pgtools import lsn, lsn_text
from ishmael.manager.drivers.salvage import diverged
from ishmael.words.database import Database, database_from_bytes
from ishmael.words.errors import HostFault, RequestRefused
from ishmael.words.profile import profile_from_toml

_LOG = """\
rmgr: Heap        len (rec/tot): 59/59, tx: 740, lsn: 0/0301F3A0, desc: INSERT off 1 flags 0x08, blkref #0: rel 1663/16390/16400 blk 0
rmgr: Heap        len (rec/tot): 59/59, tx: 742, lsn: 0/0301F3E0, desc: DELETE off 2 flags 0x00 KEYS_UPDATED , blkref #0: rel 1663/16390/16410 blk 0
rmgr: Heap        len (rec/tot): 59/59, tx: 741, lsn: 0/0301F420, desc: INSERT off 2 flags 0x08, blkref #0: rel 1663/16390/16420 blk 0
rmgr: Transaction len (rec/tot): 59/59, tx: 740, lsn: 0/0301F460, desc: COMMIT 2026-11-25 06:00:00 UTC; subxacts: 742
rmgr: Transaction len (rec/tot): 59/59, tx: 741, lsn: 0/0301F490, desc: ABORT 2026-11-25 06:00:01 UTC
"""


def test_only_what_was_committed_counts_as_diverged() -> None:
    """Transactions with their subtransactions, the tables they wrote, rows they deleted; nothing of an aborted one."""
    found = diverged(_LOG)
    assert (found.transactions, found.commits) == ({740, 742}, 1)
    assert (found.tables, found.deleted) == ({16400, 16410}, 1)


def test_positions_are_read_and_written() -> None:
    """As PostgreSQL writes them: two hexadecimal halves."""
    assert lsn("1/30541B0") == (1 << 32) + 0x30541B0
    assert lsn_text(lsn("1/30541B0")) == "1/30541B0"


def test_the_database_file_is_read_back() -> None:
    """Exactly what was written; anything else says so."""
    database = Database("15", "main", 5433, "manual", True)
    assert database_from_bytes(database.to_bytes()) == database
    for raw in (b"", b"[]", b"{}", b'{"schema": 1, "version": "../x", "cluster": "main", "port": 5432}'):
        with pytest.raises(HostFault):
            database_from_bytes(raw)


@pytest.mark.parametrize(
    "line", ['engine = "mysql"', 'cluster = "../x"', "required = 1", "keep_mb = 1", 'unknown = "x"', "keep_mb = true"]
)
def test_a_wrong_database_in_a_profile_is_refused(line: str) -> None:
    """Each key is looked at, and an unknown one is no key."""
    with pytest.raises(RequestRefused):
        profile_from_toml(f'schema = 1\nname = "x"\n[database]\n{line}\n')
