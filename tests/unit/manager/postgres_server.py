"""A real PostgreSQL for tests: a server of its own below a directory of its own, reached over a Unix socket only."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from ishmael.manager.drivers.postgres import _FOR_SLAVE, _OURS
from ishmael.manager.drivers.whole_copy import Wanted
from ishmael.words.database import ADMIN_ROLE, OWN_DATABASE, REPLICATION_ROLE

SLOT = "ishmael_2"
_PORT = 5432
_SETTINGS = """\
listen_addresses = ''
unix_socket_directories = '{sockets}'
shared_buffers = 16MB
min_wal_size = 32MB
max_wal_size = 2GB
checkpoint_timeout = 1h
autovacuum = off
fsync = off
"""


def _programs() -> str:
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return str(max(found, key=lambda path: int(path.parent.name)))


def waited_for(condition: Callable[[], bool], limit_s: float = 30.0) -> bool:
    """It became true in time."""
    deadline_s = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True


class Server:
    """One server.

    Args:
        place: directory that is its user's.
        name: of its data directory there.
    """

    def __init__(self, place: Path, name: str) -> None:
        self.place, self.data, self.sockets = place, place / name, place / f"{name}-sockets"
        self.programs = _programs()

    def run(self, program: str, *words: str, given: str = "") -> str:
        """A program of PostgreSQL, as the user who may run a server; it must succeed."""
        user: dict[str, Any] = {}
        if os.geteuid() == 0:
            who = pwd.getpwnam("postgres")
            user = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
        done = subprocess.run(
            [f"{self.programs}/{program}", *words], input=given, capture_output=True, text=True, check=False, cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}, timeout=120, **user,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout)

    def own(self, path: Path) -> None:
        """Give files to the server's user."""
        if os.geteuid() == 0:
            for one in (path, *path.rglob("*")):
                shutil.chown(one, "postgres", "postgres")

    def make(self) -> None:
        """A new one, with what Ishmael needs in it."""
        self.run("initdb", f"--pgdata={self.data}", "--auth=trust", "--username=postgres", "--no-sync")
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS.format(sockets=self.sockets))
        self.start()
        texts = _OURS.format(admin=ADMIN_ROLE, replica=REPLICATION_ROLE, own=OWN_DATABASE, password="x")
        self.run(
            "psql", "-qX", "--set=ON_ERROR_STOP=1", f"--host={self.sockets}", "--username=postgres", "postgres",
            given=texts + _FOR_SLAVE.format(slot=SLOT),
        )  # fmt: skip

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.sockets.mkdir(exist_ok=True)
        self.own(self.sockets)
        self.run(
            "pg_ctl", "start", "--wait", "--silent", f"--pgdata={self.data}", f"--log={self.place}/log",
            f"--options=-c unix_socket_directories={self.sockets}",
        )  # fmt: skip

    def stop(self) -> None:
        """At once."""
        self.run("pg_ctl", "stop", "--mode=immediate", "--wait", "--silent", f"--pgdata={self.data}")

    def rows(self, *statements: str, user: str = "postgres") -> list[tuple[Any, ...]]:
        """Run statements; what the last one gives."""
        found: list[tuple[Any, ...]] = []
        with psycopg.connect(
            host=str(self.sockets), port=_PORT, user=user, dbname=OWN_DATABASE, autocommit=True
        ) as wire:
            for statement in statements:
                done = wire.execute(statement.encode())
                found = done.fetchall() if done.description is not None else []
        return found

    def rest(self) -> None:
        """All is written out, and long enough ago that it can be trusted by its time."""
        self.rows("CHECKPOINT")
        since_s = time.time()
        assert waited_for(lambda: time.time() > since_s + 4)

    def path_of(self, table: str) -> str:
        """Where a table's first file lies, below the data directory."""
        return str(self.rows(f"SELECT pg_relation_filepath('{table}')")[0][0])

    def wanted(self, new: Path) -> Wanted:
        """A copy of it, made there."""
        conninfo = f"host={self.sockets} port={_PORT} user={REPLICATION_ROLE}"
        return Wanted(str(new), conninfo, SLOT, self.programs, "node1")


@contextmanager
def server(statements: Sequence[str]) -> Iterator[Server]:
    """A server that is there as long as the block lasts."""
    place = Path(tempfile.mkdtemp(prefix="ishmael-pg-"))
    made = Server(place, "main")
    made.own(place)
    try:
        made.make()
        try:
            made.rows(*statements)
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(place, ignore_errors=True)
