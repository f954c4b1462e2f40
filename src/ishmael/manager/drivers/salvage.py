"""Salvage: what a former master had committed and the new one lacks, kept aside, counted, never silently thrown away.

Rows are found by what the log says beyond the fork: the transactions committed there, and the tables they touched. The
server is started by itself once more, nobody connected, and every row those transactions left is written out.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ishmael.manager.drivers.files import DiskFiles
from ishmael.manager.drivers.pgtools import lsn_text
from ishmael.manager.drivers.postgres import as_postgres
from ishmael.manager.drivers.programs import run, words_of
from ishmael.words import places
from ishmael.words.database import ADMIN_ROLE, OWN_DATABASE, Database
from ishmael.words.errors import HostFault

SALVAGE_SCHEMA = 1
_START_LIMIT_S = 300.0
_NUMBERED_MAX = 20_000
_WRITTEN = r"""
SELECT json_build_array(n.nspname, replace(c.relname, '"', '""'))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND c.relfilenode = ANY ('{%s}'::oid[])
"""


@dataclass
class Diverged:
    """What the log holds beyond the fork.

    Args:
        transactions: committed, with their subtransactions' numbers.
        commits: how many were committed.
        tables: file numbers of the tables that were written.
        deleted: rows deleted there.
    """

    transactions: set[int] = field(default_factory=set)
    commits: int = 0
    tables: set[int] = field(default_factory=set)
    deleted: int = 0


def diverged(log: str) -> Diverged:
    """Read pg_waldump's account of the log."""
    found, open_deletes = Diverged(), Counter[int]()
    touched: dict[int, set[int]] = {}
    for line in log.splitlines():
        tx = re.search(r"tx:\s+(\d+)", line)
        number = int(tx[1]) if tx else 0
        if line.startswith("rmgr: Heap"):
            rel = re.search(r"rel \d+/\d+/(\d+)", line)
            if rel:
                touched.setdefault(number, set()).add(int(rel[1]))
            open_deletes[number] += " desc: DELETE" in line
        elif line.startswith("rmgr: Transaction") and " desc: COMMIT" in line:
            numbers = {number} if number else set()
            sub = re.search(r"subxacts:((?: \d+)+)", line)
            numbers |= {int(one) for one in sub[1].split()} if sub else set()
            found.transactions |= numbers
            found.commits += 1
            for one in numbers:
                found.tables |= touched.get(one, set())
                found.deleted += open_deletes[one]
    return found


def keep_rows(database: Database, timeline: int, fork: int) -> str:
    """Keep the rows of diverged transactions aside.

    Returns:
        Name of what was kept; empty when the transactions left no row of anybody's but ours.

    Raises:
        HostFault: the server does not start any more, or the disk is full.
    """
    argv = [
        *(f"{database.programs}/pg_waldump", f"--path={database.data}/pg_wal", f"--timeline={timeline}"),
        f"--start={lsn_text(fork)}",
    ]
    found = diverged(as_postgres(argv, limit_s=_START_LIMIT_S).stdout.decode(errors="replace"))
    if not found.transactions:
        return ""
    waited = "''" not in (DiskFiles().read(database.role_file) or b"''").decode()
    name, place = _place()
    with _ByItself(database) as server:
        tables = _write_rows(server, found, place / "rows.jsonl")
    if not tables and not found.deleted:
        shutil.rmtree(place)
        return ""
    _write_meta(place, {
        "kind": "rows", "transactions": found.commits, "rows": sum(tables.values()), "deleted": found.deleted,
        "tables": tables, "timeline": timeline, "fork": lsn_text(fork), "waited_for_slave": waited,
    })  # fmt: skip
    return name


def keep_directory(database: Database, old: Path) -> str:
    """Keep a whole data directory aside, under the name given back."""
    name, place = _place()
    kept = old.with_name(f"{Path(database.data).name}.ishmael-salvage-{name}")
    old.rename(kept)
    _write_meta(place, {"kind": "directory", "path": str(kept), "version": database.version})
    return name


def _place() -> tuple[str, Path]:
    name = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    for number in range(100):
        place = Path(places.SALVAGE) / (f"{name}-{number}" if number else name)
        try:
            place.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            continue
        return place.name, place
    raise HostFault("disk-failing", f"{places.SALVAGE} cannot be written.", "See: ls there")


def _write_meta(place: Path, what: Mapping[str, Any]) -> None:
    meta = {
        "schema": SALVAGE_SCHEMA, "name": place.name, "at": datetime.now(UTC).isoformat(timespec="seconds"), **what,
    }  # fmt: skip
    DiskFiles().write(str(place / "meta.json"), json.dumps(meta, indent=1).encode() + b"\n", 0o600)


class _ByItself:
    """The server of this data directory, reachable for root on this machine only, following and waiting for nobody."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sockets = Path("/run/ishmael-salvage")

    def __enter__(self) -> _ByItself:

        self._sockets.mkdir(mode=0o755, exist_ok=True)
        shutil.chown(self._sockets, "postgres", "postgres")
        options = (
            f"-c config_file={self._database.etc}/postgresql.conf -c listen_addresses= "
            f"-c unix_socket_directories={self._sockets} -c synchronous_standby_names= -c autovacuum=off "
            "-c max_slot_wal_keep_size=-1 -c logging_collector=off"
        )
        argv = [
            *(f"{self._database.programs}/pg_ctl", "start", "--wait", "--silent", f"--timeout={_START_LIMIT_S:.0f}"),
            *(f"--pgdata={self._database.data}", f"--options={options}", f"--log={self._sockets}/log"),
        ]
        done = as_postgres(argv, limit_s=_START_LIMIT_S + 10)
        if done.returncode:
            raise HostFault(
                "salvage-failed", f"The old database does not start: {self._complaint()}.", "See: dmesg | tail"
            )
        return self

    def __exit__(self, *_: object) -> None:

        argv = [
            *(f"{self._database.programs}/pg_ctl", "stop", "--mode=fast", "--wait", "--silent"),
            f"--pgdata={self._database.data}",
        ]
        as_postgres(argv, limit_s=_START_LIMIT_S)

    def _complaint(self) -> str:
        try:
            lines = (self._sockets / "log").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return "it wrote no log"
        return next((line for line in lines if "FATAL" in line), (lines or ["its log is empty"])[-1])

    def ask(self, base: str, statement: str) -> bytes:
        """What a statement gives in a database, one row a line."""
        argv = [
            *("psql", "--no-psqlrc", "-AtqX", "--set=ON_ERROR_STOP=1", f"--host={self._sockets}"),
            *(
                f"--port={self._database.port}",
                f"--username={ADMIN_ROLE}",
                f"--dbname={base}",
                f"--command={statement}",
            ),
        ]
        done = run(argv, limit_s=_START_LIMIT_S)
        if done.returncode:
            raise HostFault("salvage-failed", f"The old database cannot be read: {words_of(done)}.", "See: journalctl")
        return done.stdout


def _write_rows(server: _ByItself, found: Diverged, path: Path) -> dict[str, int]:
    """Write the rows, one JSON object a line; how many of each table."""
    counts: dict[str, int] = {}
    numbers = sorted(found.transactions)
    chosen = (
        f"t.xmin::text::bigint = ANY ('{{{','.join(map(str, numbers))}}}'::bigint[])"
        if len(numbers) <= _NUMBERED_MAX
        else f"t.xmin::text::bigint >= {numbers[0]}"
    )
    with path.open("wb") as out:
        for base, schema, table in _tables(server, found.tables):
            quoted = f'"{schema}"."{table}"'.replace("\0", "")
            named = json.dumps({"database": base, "schema": schema, "table": table})[:-1]
            # Names come from the catalogue, quoted there; numbers from the log.
            rows = server.ask(base, f"SELECT row_to_json(t.*)::text FROM {quoted} t WHERE {chosen}").splitlines()  # noqa: S608
            for row in rows:
                out.write(f'{named}, "row": '.encode() + row + b"}\n")
            if rows:
                counts[f"{base}.{schema}.{table}"] = len(rows)
    return counts


def _tables(server: _ByItself, files: set[int]) -> Iterator[tuple[str, str, str]]:
    wanted = ",".join(map(str, sorted(files)))
    bases = server.ask("postgres", "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate")
    for base in bases.decode().splitlines():
        if base == OWN_DATABASE:
            continue
        listed = server.ask(base, _WRITTEN % wanted)
        for line in listed.splitlines():
            schema, table = json.loads(line)
            yield base, schema, table
