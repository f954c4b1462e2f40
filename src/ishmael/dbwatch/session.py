"""A session of root with the database, over its Unix socket; and the statements that dbwatch needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from ishmael.words.database import ADMIN_ROLE, OWN_DATABASE, SOCKETS, Database

CONNECT_S = 2


@dataclass(frozen=True, slots=True)
class Follower:
    """The slave as the master's server sees it (pg_stat_replication); numbers are bytes of log since the beginning."""

    streams: bool
    flushed: int
    replayed: int


@dataclass(frozen=True, slots=True)
class Sight:
    """The server at one moment.

    Args:
        recovery: it follows.
        names: ``synchronous_standby_names`` in force for this session.
        position: end of the log: written here, or received from the other node.
        replayed: end of what was applied, while it follows.
        follower: of a master, when it is connected.
        receives: of a follower: it streams.
    """

    recovery: bool
    names: str
    position: int
    replayed: int
    follower: Follower | None
    receives: bool


_LOOK = """
SELECT pg_is_in_recovery(), current_setting('synchronous_standby_names'),
  CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_flush_lsn() END - '0/0'::pg_lsn,
  pg_last_wal_replay_lsn() - '0/0'::pg_lsn,
  r.state = 'streaming', r.flush_lsn - '0/0'::pg_lsn, r.replay_lsn - '0/0'::pg_lsn,
  EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')
FROM (SELECT 1) AS one LEFT JOIN pg_stat_replication r ON r.application_name = %s
ORDER BY r.state = 'streaming' DESC NULLS LAST LIMIT 1
"""


class Session:
    """One connection.

    Raises (all of it): psycopg.Error when the server is away, starting, or refuses.
    """

    def __init__(self, database: Database) -> None:
        self._wire: psycopg.Connection[tuple[Any, ...]] = psycopg.connect(
            host=SOCKETS, port=database.port, user=ADMIN_ROLE, dbname=OWN_DATABASE, autocommit=True,
            connect_timeout=CONNECT_S, application_name="ishmael-dbwatch",
            # What dbwatch itself writes never waits for the slave.
            options="-c synchronous_commit=local -c statement_timeout=0 -c lock_timeout=0",
        )  # fmt: skip

    def close(self) -> None:
        """End it."""
        self._wire.close()

    def rows(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement; what it gives."""
        done = self._wire.execute(text, values or None)
        return list(done.fetchall()) if done.description is not None else []

    def look(self, application: str) -> Sight:
        """How it is now."""
        (row,) = self.rows(_LOOK, application)
        recovery, names, position, replayed, streams, flushed, applied, receives = row
        follower = Follower(bool(streams), int(flushed or 0), int(applied or 0)) if streams is not None else None
        return Sight(recovery, names, int(position or 0), int(replayed or 0), follower, receives)

    def in_recovery(self) -> bool:
        """It follows, or is being promoted."""
        return bool(self.rows("SELECT pg_is_in_recovery()")[0][0])

    def promote(self) -> None:
        """Begin to promote; returns at once."""
        self.rows("SELECT pg_promote(false)")

    def reload(self) -> None:
        """Have the settings read again."""
        self.rows("SELECT pg_reload_conf()")

    def names(self) -> str:
        """``synchronous_standby_names`` as this session has it."""
        return str(self.rows("SELECT current_setting('synchronous_standby_names')")[0][0])

    def checkpoint(self) -> None:
        """Have the checkpointer read its settings: only it tells the others that commits wait."""
        self.rows("CHECKPOINT")

    def position(self) -> int:
        """End of the log that is on this disk."""
        return int(self.rows("SELECT pg_current_wal_flush_lsn() - '0/0'::pg_lsn")[0][0])

    def sing(self) -> int:
        """Write the canary row; the end of the log that holds it."""
        self.rows("UPDATE canary SET at = clock_timestamp(), beat = beat + 1")
        return self.position()

    def canary_age_ms(self) -> int | None:
        """Age of the canary row by this machine's clock."""
        rows = self.rows("SELECT extract(epoch FROM clock_timestamp() - at) * 1000 FROM canary")
        return max(0, int(rows[0][0])) if rows else None

    def keep_slots(self, wanted: str | None) -> None:
        """Have this slot and no other of ours; log is kept for the slave from now on (or for nobody)."""
        found = self.rows("SELECT slot_name, active FROM pg_replication_slots WHERE slot_name LIKE 'ishmael\\_%'")
        there = {str(name): bool(active) for name, active in found}
        for name, active in there.items():
            if name != wanted and not active:
                self.rows("SELECT pg_drop_replication_slot(%s)", name)
        lost = self.rows("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s AND wal_status = 'lost'", wanted)
        if wanted and lost:
            self.rows("SELECT pg_drop_replication_slot(%s)", wanted)
        if wanted and (wanted not in there or lost):
            self.rows("SELECT pg_create_physical_replication_slot(%s, true)", wanted)
