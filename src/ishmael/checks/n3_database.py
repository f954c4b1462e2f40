"""N3: can the query of the synchronisation's test be run? The canary must be read, be young, and the database writable."""

from __future__ import annotations

from ishmael.checks import sql
from ishmael.checks.base import MASTER, Check, Result, Seen, critical, ok, warning

_QUERY = "SELECT pg_is_in_recovery(), round(extract(epoch FROM clock_timestamp() - at) * 1000) FROM canary"
_OLD_MS = 5000.0


def probe(seen: Seen) -> Result:
    """Age of the canary row."""
    found = sql.database()
    if found is None:
        return ok("this node has no replicated database")
    code, said = sql.ask(found, _QUERY)
    if code != 0:
        return critical(f"the query fails: {said.splitlines()[-1][:200] if said else code}")
    recovering, _, age = said.partition("|")
    if recovering != "f" or not age:
        return critical("the database of the master does not take writes")
    if float(age) > _OLD_MS and seen.peer is not None:
        return warning(f"the canary was last written {float(age) / 1000:.0f} s ago", canary_age=f"{age}ms")
    return ok("the query works", canary_age=f"{age}ms")


CHECK = Check(
    "N3", "database", ("Database query", "Datenbankabfrage"), MASTER, probe,
    ("See: pg_lsclusters; journalctl -u 'postgresql@*'; is the disk full?",
     "Siehe: pg_lsclusters; journalctl -u 'postgresql@*'; ist die Platte voll?"),
    retry_s=2,
)  # fmt: skip
