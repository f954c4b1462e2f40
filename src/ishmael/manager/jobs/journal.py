"""The journal: every job, step and note on disk before the next thing is done (SQLite, WAL, synchronous=FULL)."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ishmael.manager.jobs.model import CANCEL, UNFINISHED, Amount, Job, JobState, StepState
from ishmael.words.errors import Finding, HostFault, RequestRefused

_TABLES = """
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, work TEXT NOT NULL, arguments TEXT NOT NULL, override TEXT NOT NULL,
    state TEXT NOT NULL, step INTEGER NOT NULL DEFAULT 0, step_name TEXT NOT NULL DEFAULT '',
    steps INTEGER NOT NULL DEFAULT 0, findings TEXT NOT NULL DEFAULT '[]', error TEXT NOT NULL DEFAULT 'null',
    result TEXT NOT NULL DEFAULT '{}', undone TEXT NOT NULL DEFAULT '[]', revision INTEGER NOT NULL DEFAULT 1,
    created_at TEXT NOT NULL, ended_at TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE IF NOT EXISTS steps (
    job INTEGER NOT NULL REFERENCES jobs(id), number INTEGER NOT NULL, state TEXT NOT NULL,
    PRIMARY KEY (job, number)
) STRICT;
CREATE TABLE IF NOT EXISTS notes (
    job INTEGER NOT NULL REFERENCES jobs(id), key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (job, key)
) STRICT;
CREATE TABLE IF NOT EXISTS events (
    job INTEGER NOT NULL REFERENCES jobs(id), n INTEGER NOT NULL, at TEXT NOT NULL, kind TEXT NOT NULL,
    facts TEXT NOT NULL, PRIMARY KEY (job, n)
) STRICT;
CREATE TABLE IF NOT EXISTS keys (
    key TEXT PRIMARY KEY, job INTEGER NOT NULL REFERENCES jobs(id), wish TEXT NOT NULL
) STRICT;
"""
_AS_JSON = ("findings", "error", "result", "undone")
_KEPT_MAX = 1000
_MOVING = (JobState.PENDING, *UNFINISHED)
_REPORT_EVERY_S = 0.25
SCHEMA_VERSION = 1


def wall_time() -> str:
    """Now, ISO 8601 with milliseconds, UTC; for showing only."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Journal:
    """All jobs of this node.

    Args:
        path: the database file; made with mode 0600 when it is missing.

    Raises:
        HostFault: the file is no journal, is damaged, or comes from a newer version.
    """

    def __init__(self, path: str) -> None:
        self._changed = threading.Condition()
        self._closing = False
        self._amounts: dict[int, Amount] = {}
        self._counting: dict[int, tuple[float, int, float]] = {}
        self.version = 0
        """Raised by everything that changes, to see at a glance whether to look again."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._database.row_factory = sqlite3.Row
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, SCHEMA_VERSION):
                raise HostFault(
                    "journal-newer", f"The job journal {path} is of a newer version.", "Install the newer Ishmael."
                )
            self._database.executescript(_TABLES + f"PRAGMA user_version={SCHEMA_VERSION};")
        except sqlite3.Error as error:
            raise HostFault(
                "journal-unreadable", f"The job journal {path} cannot be opened: {error}.",
                f"Move it away (mv {path} {path}.broken) and restart ishmael-manager; only the list of old jobs is lost.",
            ) from error  # fmt: skip

    def close(self) -> None:
        """Let go of the file."""
        with self._changed:
            self._database.close()

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._changed:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
            self.version += 1
            self._changed.notify_all()

    def add(
        self, work: str, arguments: dict[str, Any], override: tuple[str, ...], *, pending: bool = False, key: str = ""
    ) -> Job:
        """Put a new job at the end of the queue; old finished ones beyond a thousand are forgotten.

        Args:
            work, arguments, override: of the job.
            pending: it waits to be applied.
            key: the sender's own mark; one key makes one job, however often it is sent.

        Returns:
            The new job, or the one that the key made a moment ago: two wishes under one key may be checked side by side.

        Raises:
            RequestRefused: the key made another job.
        """
        state = JobState.PENDING if pending else JobState.QUEUED
        wish = json.dumps([work, arguments, override, pending], sort_keys=True)
        with self._write() as database:
            made = self._made_by(database, key, wish)
            if made is not None:
                return self.job(made)
            cursor = database.execute(
                "INSERT INTO jobs (work, arguments, override, state, created_at) VALUES (?, ?, ?, ?, ?)",
                (work, json.dumps(arguments), json.dumps(override), state, wall_time()),
            )
            number = int(cursor.lastrowid or 0)
            if key:
                database.execute("INSERT INTO keys VALUES (?, ?, ?)", (key, number, wish))
            for table, column in (
                ("events", "job"), ("notes", "job"), ("steps", "job"), ("keys", "job"), ("jobs", "id"),
            ):  # fmt: skip
                database.execute(f"DELETE FROM {table} WHERE {column} <= ?", (number - _KEPT_MAX,))  # noqa: S608 - constants
            self._event(database, number, str(state), {"work": work})
        return self.job(number)

    def made_by(
        self, key: str, work: str, arguments: dict[str, Any], override: tuple[str, ...], pending: bool
    ) -> Job | None:
        """The job that this key made, if it made one.

        Raises:
            RequestRefused: it made another one than is wished for now.
        """
        wish = json.dumps([work, arguments, override, pending], sort_keys=True)
        with self._changed:
            number = self._made_by(self._database, key, wish)
        return None if number is None else self.job(number)

    @staticmethod
    def _made_by(database: sqlite3.Connection, key: str, wish: str) -> int | None:
        row = database.execute("SELECT job, wish FROM keys WHERE key = ?", (key,)).fetchone() if key else None
        if row is None:
            return None
        if row["wish"] != wish:
            raise RequestRefused(
                "key-reused",
                f"This idempotency key made job {row['job']}, with other content.",
                "Use a new key for it.",
            )
        return int(row["job"])

    def move(self, numbers: Sequence[int], sources: Sequence[JobState], state: JobState, kind: str) -> list[int]:
        """Move jobs from one of these states to another, all or none.

        Returns:
            Those that are in no such state; when there are any, nothing was moved.
        """
        with self._write() as database:
            rows = {
                number: database.execute("SELECT state FROM jobs WHERE id = ?", (number,)).fetchone()
                for number in numbers
            }
            wrong = [number for number, row in rows.items() if row is None or row["state"] not in sources]
            if wrong:
                return wrong
            ended = wall_time() if state == JobState.DROPPED else ""
            for number in rows:
                database.execute(
                    "UPDATE jobs SET state = ?, ended_at = ?, revision = revision + 1 WHERE id = ?",
                    (state, ended, number),
                )
                self._event(database, number, kind, {"state": str(state)})
        return []

    def pending(self) -> list[Job]:
        """The jobs that wait to be applied, oldest first."""
        with self._changed:
            rows = self._database.execute(
                "SELECT * FROM jobs WHERE state = ? ORDER BY id", (JobState.PENDING,)
            ).fetchall()
        return [_job(row) for row in rows]

    def job(self, number: int) -> Job:
        """One job.

        Raises:
            KeyError: there is none with this number.
        """
        with self._changed:
            row = self._database.execute("SELECT * FROM jobs WHERE id = ?", (number,)).fetchone()
            amount = self._amounts.get(number)
        if row is None:
            raise KeyError(number)
        return replace(_job(row), amount=amount)

    def jobs(self, limit: int) -> list[Job]:
        """The newest jobs, newest first."""
        with self._changed:
            rows = self._database.execute("SELECT * FROM jobs ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
            return [replace(_job(row), amount=self._amounts.get(row["id"])) for row in rows]

    def unfinished(self) -> list[Job]:
        """Jobs that are not at their end: begun ones first, then the queue in its order."""
        marks = ", ".join("?" * len(UNFINISHED))
        with self._changed:
            rows = self._database.execute(
                f"SELECT * FROM jobs WHERE state IN ({marks}) ORDER BY state = 'queued', id",  # noqa: S608 - marks only
                UNFINISHED,
            ).fetchall()
        return [_job(row) for row in rows]

    def change(self, number: int, kind: str, **changes: Any) -> Job:
        """Change fields of a job and tell it as an event of this kind."""
        stored = {k: json.dumps(_plain(v)) if k in _AS_JSON else v for k, v in changes.items()}
        columns = "".join(f"{name} = ?, " for name in stored)
        with self._write() as database:
            database.execute(
                f"UPDATE jobs SET {columns} revision = revision + 1 WHERE id = ?",  # noqa: S608 - our own field names
                (*stored.values(), number),
            )
            facts = {k: _plain(v) for k, v in changes.items() if k in ("state", "step", "step_name", "steps", "error")}
            self._event(database, number, kind, facts)
            # What was counted belongs to the step before.
            self._amounts.pop(number, None)
            self._counting.pop(number, None)
        return self.job(number)

    def count(self, number: int, done: int, total: int, unit: str) -> None:
        """Note how far the current step of a job is; in memory only, and told a few times a second at most."""
        now_s = time.monotonic()
        with self._changed:
            begun_s, from_, told_s = self._counting.get(number, (now_s, done, float("-inf")))
            last = total > 0 and done >= total
            if now_s - told_s < _REPORT_EVERY_S and not last:
                return
            self._counting[number] = (begun_s, from_, now_s)
            rate = (done - from_) / (now_s - begun_s) if now_s > begun_s else 0.0
            left_s = (total - done) / rate if rate > 0 and total >= done else None
            self._amounts[number] = Amount(
                done, total, unit, round(rate, 1), None if left_s is None else round(left_s, 1)
            )
            self.version += 1
            self._changed.notify_all()

    def _event(self, database: sqlite3.Connection, number: int, kind: str, facts: dict[str, Any]) -> None:
        database.execute(
            "INSERT INTO events SELECT ?, COALESCE(MAX(n), 0) + 1, ?, ?, ? FROM events WHERE job = ?",
            (number, wall_time(), kind, json.dumps(facts), number),
        )

    def events(self, number: int, after: int) -> list[dict[str, Any]]:
        """What a job told, oldest first, beginning after the event with this number."""
        with self._changed:
            rows = self._database.execute(
                "SELECT n, at, kind, facts FROM events WHERE job = ? AND n > ? ORDER BY n", (number, after)
            ).fetchall()
        return [{"n": r["n"], "at": r["at"], "kind": r["kind"], "facts": json.loads(r["facts"])} for r in rows]

    def mark(self, number: int, step: int, state: StepState) -> None:
        """Note what became of a step."""
        with self._write() as database:
            database.execute("INSERT OR REPLACE INTO steps VALUES (?, ?, ?)", (number, step, state))

    def marks(self, number: int) -> dict[int, StepState]:
        """What became of the steps of a job so far."""
        with self._changed:
            rows = self._database.execute("SELECT number, state FROM steps WHERE job = ?", (number,)).fetchall()
        return {row["number"]: StepState(row["state"]) for row in rows}

    def notes(self, number: int) -> JournalNotes:
        """What a job remembers."""
        return JournalNotes(self, number)

    def note(self, number: int, key: str) -> Any:
        """One noted value, or None."""
        with self._changed:
            row = self._database.execute("SELECT value FROM notes WHERE job = ? AND key = ?", (number, key)).fetchone()
        return json.loads(row["value"]) if row else None

    def put_note(self, number: int, key: str, value: Any) -> None:
        """Note a JSON value; on disk when this returns."""
        with self._write() as database:
            database.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", (number, key, json.dumps(value)))

    def wait_for_change(self, number: int, after: int, limit_s: float) -> Job:
        """The job as soon as its revision is above ``after`` or it is finished; as it is, when the time is up.

        Raises:
            KeyError: there is none with this number.
        """

        def changed() -> bool:
            row = self._database.execute("SELECT revision, state FROM jobs WHERE id = ?", (number,)).fetchone()
            counted = self._amounts.get(number) != before
            return self._closing or row is None or row["revision"] > after or row["state"] not in _MOVING or counted

        with self._changed:
            before = self._amounts.get(number)
            self._changed.wait_for(changed, timeout=limit_s)
        return self.job(number)

    def wait_for_any(self, limit_s: float) -> None:
        """Wait until anything in the journal changes, at most this long."""
        with self._changed:
            self._changed.wait(timeout=limit_s)

    def stop_waiting(self) -> None:
        """Let everyone who waits for a change go, now and from now on."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    @property
    def closing(self) -> bool:
        """The manager ends."""
        return self._closing

    def wake(self) -> None:
        """Let everyone who waits look again."""
        with self._changed:
            self._changed.notify_all()


class JournalNotes:
    """The notes of one job."""

    def __init__(self, journal: Journal, number: int) -> None:
        self._journal, self._number = journal, number

    def get(self, key: str) -> Any:
        """The value noted under this key, or None."""
        return self._journal.note(self._number, key)

    def put(self, key: str, value: Any) -> None:
        """Note a JSON value; on disk when this returns."""
        self._journal.put_note(self._number, key, value)

    def cancelled(self) -> bool:
        """The admin has cancelled it."""
        return bool(self.get(CANCEL))

    def count(self, done: int, total: int, unit: str = "bytes") -> None:
        """Say how far the current step is."""
        self._journal.count(self._number, done, total, unit)


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, Finding):
        return asdict(value)
    return value


def _job(row: sqlite3.Row) -> Job:
    return Job(
        id=row["id"],
        work=row["work"],
        arguments=json.loads(row["arguments"]),
        override=tuple(json.loads(row["override"])),
        state=JobState(row["state"]),
        step=row["step"],
        step_name=row["step_name"],
        steps=row["steps"],
        findings=tuple(Finding(**finding) for finding in json.loads(row["findings"])),
        error=json.loads(row["error"]),
        result=json.loads(row["result"]),
        undone=tuple(json.loads(row["undone"])),
        revision=row["revision"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
    )
