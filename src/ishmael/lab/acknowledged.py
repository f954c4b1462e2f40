"""Writing while faults happen, and counting afterwards: is every acknowledged row there?"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ishmael.lab import client, database
from ishmael.lab.cluster import Cluster
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.lab.tools import wait_until
from ishmael.lab.writer import TABLE
from ishmael.words.errors import HostFault

WORKERS = 4
_WRITING_TIMEOUT_S, _SAID_S = 30.0, 30.0


class Book:
    """What was acknowledged, one file a worker; and the process that writes.

    Args:
        directory: of the files.
        process: the writers.
    """

    def __init__(self, directory: Path, process: subprocess.Popen[str]) -> None:
        self.directory, self._process = directory, process

    def stop(self) -> None:
        """Write no more; what is acknowledged by now is in the files."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def entries(self) -> dict[int, list[tuple[int, float]]]:
        """Worker to (number, milliseconds it took), in order; a line torn off is not counted."""
        found: dict[int, list[tuple[int, float]]] = {}
        for path in sorted(self.directory.glob("acknowledged-*")):
            lines = path.read_text(encoding="ascii").split("\n")[:-1]
            found[int(path.name.rsplit("-", 1)[1])] = [(int(a), float(b)) for a, b in (line.split() for line in lines)]
        return found

    def count(self) -> int:
        """Rows acknowledged so far."""
        return sum(len(rows) for rows in self.entries().values())


@contextmanager
def writing(lab: LabPlan, master: Node, workers: int = WORKERS, first: int = 0) -> Iterator[Book]:
    """Write from the client over the cluster IP for as long as this lasts.

    Args:
        lab: whose client writes.
        master: of it.
        workers: how many connections.
        first: number of the first worker; with 0 the rows of earlier times are removed.

    Raises:
        HostFault: nothing was acknowledged within half a minute.
    """
    anew = "" if first else "DROP TABLE IF EXISTS written; "
    database.psql(master, f"{anew}{TABLE}; ALTER TABLE written OWNER TO {database.ROLE}", database.ROLE)
    with tempfile.TemporaryDirectory(prefix="ishmael-written-") as directory:
        words = [sys.executable, "-m", "ishmael.lab.writer", database.URL, directory, str(first), str(workers)]
        process = subprocess.Popen(client.command(lab, words), stdin=subprocess.PIPE, text=True)
        book = Book(Path(directory), process)
        try:
            if not wait_until(lambda: book.count() > workers, _WRITING_TIMEOUT_S, 0.1):
                raise HostFault("writer-silent", "No row was acknowledged over the cluster IP.", "ishmael lab status")
            yield book
        finally:
            book.stop()


def lost(node: Node, book: Book) -> list[tuple[int, int]]:
    """Acknowledged rows that are not in a node's database: (worker, number).

    Raises:
        HostFault: nothing was acknowledged, so that nothing would be proven.
    """
    return missing(node, {worker: [number for number, _ in rows] for worker, rows in book.entries().items()})


def missing(node: Node, wanted: Mapping[int, Sequence[int]]) -> list[tuple[int, int]]:
    """Rows that are not in a node's database: (worker, number).

    Args:
        node: which.
        wanted: numbers by worker.

    Raises:
        HostFault: none is wanted, so that nothing would be proven.
    """
    if not any(wanted.values()):
        raise HostFault("nothing-acknowledged", "No row was acknowledged at all.")
    workers = ", ".join(str(int(worker)) for worker in wanted)
    said = database.psql(
        node, "SELECT json_object_agg(worker, numbers) FROM (SELECT worker, json_agg(number) AS numbers FROM written "  # noqa: S608
        f"WHERE worker IN ({workers}) GROUP BY worker) AS w", database.ROLE, timeout_s=120,
    )  # fmt: skip
    there = {int(worker): set(numbers) for worker, numbers in (json.loads(said) if said else {}).items()}
    return [
        (worker, number)
        for worker, numbers in wanted.items()
        for number in numbers
        if number not in there.get(worker, set())
    ]


def promised(node: Node) -> str:
    """What the master had promised just before a cut: who must have every commit, and up to where it has it."""
    return database.psql(
        node, "SELECT current_setting('synchronous_standby_names') || ' ' || coalesce((SELECT state || ' flushed ' || "
        "flush_lsn FROM pg_stat_replication LIMIT 1), 'nobody streams') || ' at ' || pg_current_wal_flush_lsn()",
    )  # fmt: skip


def master_of(cluster: Cluster) -> Node:
    """The master; a busy host may take its time to say so.

    Raises:
        HostFault: there is none.
    """
    found: list[Node] = []

    def there() -> bool:
        found.extend(node for node in [cluster.master()] if node is not None)
        return bool(found)

    if not wait_until(there, _SAID_S, 0.2):
        raise HostFault("no-master", "No node says that it is master.")
    return found[0]
