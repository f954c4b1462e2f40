"""N6: is the file system in step on both nodes? What the synchronisation says on the master."""

from __future__ import annotations

from ishmael.checks.base import MASTER, Check, Result, Seen, critical, ok, warning

_WARN_MS, _CRITICAL_MS = 30_000, 300_000


def probe(seen: Seen) -> Result:
    """The lag, and the names that differ."""
    if seen.profile is None or seen.peer is None or not seen.profile.files:
        return ok("no files are to be kept in step")
    return _master(seen)


def _master(seen: Seen) -> Result:
    lag_ms, differing = seen.files.get("file_lag_ms"), list(seen.files.get("differing") or [])
    if lag_ms is None:
        peer = seen.keeper.get("peer") or {}
        if not peer.get("online"):
            return warning("the slave is not there to take files")
        return warning("it is not known yet how far the slave's files are")
    return _judge(int(lag_ms), "the slave's files are", differing)


def _judge(lag_ms: int, whose: str, differing: list[str]) -> Result:
    names = f" ({', '.join(map(str, differing[:3]))})" if differing else ""
    said = f"{whose} {lag_ms / 1000:.1f} s behind{names}"
    judge = critical if lag_ms > _CRITICAL_MS else warning if lag_ms > _WARN_MS or differing else ok
    return judge(said, lag=f"{lag_ms}ms", differing=str(len(differing)))


CHECK = Check(
    "N6", "files", ("Filesystem sync", "Dateisystem-Abgleich"), MASTER, probe,
    ("See on both nodes: journalctl -u ishmael-manager; does check rsync on the slave work?",
     "Siehe auf beiden Knoten: journalctl -u ishmael-manager; ist der Check rsync auf dem Slave in Ordnung?"),
    retry_s=5,
)  # fmt: skip
