"""N9: is the slave's database in step with the master's? It must follow, and the canary that arrived must be young."""

from __future__ import annotations

from ishmael.checks import sql
from ishmael.checks.base import SLAVE, Check, Result, Seen, critical, ok, warning

_QUERY = (
    "SELECT pg_is_in_recovery(), coalesce((SELECT status FROM pg_stat_wal_receiver), ''), "
    "round(extract(epoch FROM clock_timestamp() - at) * 1000) FROM canary"
)
_WARN_MS, _CRITICAL_MS = 5_000.0, 60_000.0


def probe(_seen: Seen) -> Result:
    """Stale data is noticed though everything runs."""
    found = sql.database()
    if found is None:
        return ok("this node has no replicated database")
    code, said = sql.ask(found, _QUERY)
    if code != 0:
        return critical(f"the query fails: {said.splitlines()[-1][:200] if said else code}")
    recovering, receiver, age = [*said.split("|"), "", ""][:3]
    if recovering != "t":
        return critical("the database of the slave does not follow the master")
    age_ms = float(age or 0)
    if receiver != "streaming":
        return critical(f"no stream from the master; the data is {age_ms / 1000:.0f} s old", canary_age=f"{age}ms")
    judge = critical if age_ms > _CRITICAL_MS else warning if age_ms > _WARN_MS else ok
    return judge(f"follows, the data is {max(0.0, age_ms) / 1000:.1f} s old", canary_age=f"{age}ms")


CHECK = Check(
    "N9", "replication", ("Database sync", "Datenbank-Abgleich"), SLAVE, probe,
    ("See on the slave: journalctl -u 'postgresql@*' -u ishmael-dbwatch. If it stays: ishmael re-add on the master.",
     "Siehe auf dem Slave: journalctl -u 'postgresql@*' -u ishmael-dbwatch. Bleibt es so: ishmael re-add auf dem Master."),
    retry_s=3,
)  # fmt: skip
