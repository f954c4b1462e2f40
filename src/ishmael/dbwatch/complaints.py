"""What PostgreSQL itself says about a stream that does not come about: in its log, and nowhere else.

Only what was written since the last look counts, and only for some seconds.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable

from ishmael.words.database import REPLICATION_ROLE, Database

LASTS_S = 15.0
_READ_MAX_BYTES = 65536
_SAID: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(rf'password authentication failed for user "{REPLICATION_ROLE}"'),
        "the replication password is refused: re-add the slave",
    ),
    (
        re.compile(rf'no pg_hba\.conf entry for (?:replication|host)[^\n]*"{REPLICATION_ROLE}"'),
        "pg_hba.conf of the master lets the slave in no more: re-add the slave",
    ),
    (
        re.compile(r"requested WAL segment \S+ has already been removed"),
        "the log that the slave needs is gone: re-add the slave",
    ),
    (
        re.compile(
            r'replication slot "ishmael_\d+" does not exist|can no longer get changes from replication slot "ishmael_\d+"'
            r'|cannot read from (?:physical )?replication slot "ishmael_\d+"'
        ),
        "the slave's replication slot is lost: re-add the slave",
    ),
    (
        re.compile(
            r"highest timeline \d+ of the primary is behind recovery timeline"
            r"|requested timeline \d+ (?:is not in this server's history|is not a child)"
            r"|requested starting point \S+ (?:on timeline \d+ is not in this server's history|is ahead of the WAL flush)"
            r"|forked off current database system timeline|database system identifier differs"
        ),
        "the histories of the two databases are not the same: re-add the slave",
    ),
    (re.compile(r"No space left on device"), "the disk is full: free some"),
)


def meaning(text: str) -> str:
    """The newest complaint in a piece of the log, in plain words; empty when there is none."""
    found = [(match.start(), said) for pattern, said in _SAID for match in pattern.finditer(text)]
    return max(found)[1] if found else ""


class Complaints:
    """Reads on in the log of one server.

    Args:
        database: whose.
        now_s: a clock that never jumps, in seconds.
    """

    def __init__(self, database: Database, now_s: Callable[[], float] = time.monotonic) -> None:
        self._path, self._now_s = database.log_file, now_s
        self._at: int | None = None
        self._said, self._said_at_s = "", -LASTS_S

    def look(self) -> str:
        """The complaint of the last seconds; empty when there is none."""
        said = meaning(self._new())
        if said:
            self._said, self._said_at_s = said, self._now_s()
        return self._said if self._now_s() - self._said_at_s < LASTS_S else ""

    def _new(self) -> str:
        try:
            with open(self._path, "rb") as log:  # noqa: PTH123 - opened several times a second
                end = log.seek(0, os.SEEK_END)
                begin = self._at if self._at is not None and self._at <= end else max(0, end - _READ_MAX_BYTES)
                first, self._at = self._at is None, end
                log.seek(max(begin, end - _READ_MAX_BYTES))
                # What was there before the first look may be of last week.
                return "" if first else log.read(_READ_MAX_BYTES).decode(errors="replace")
        except OSError:
            return ""
