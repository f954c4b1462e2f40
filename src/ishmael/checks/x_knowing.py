"""X2, X4, X5, X6, X7, X8: judged from what is known already: events, keeper, versions. No look of their own."""

from __future__ import annotations

from datetime import UTC, datetime

from ishmael.checks.base import BOTH, MASTER, Check, Result, Seen, ok, unknown, warning

_PAUSE_S = 3600.0
_DRILL_DAYS = 180.0


def _age_s(at: object) -> float:
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(str(at))).total_seconds()
    except (ValueError, TypeError):
        return float("inf")


def pause(seen: Seen) -> Result:
    """Did this machine stop running for a moment within the last hour?"""
    name = seen.own.name if seen.own is not None else None
    pauses = [
        e for e in seen.events if e.get("kind") == "paused" and e.get("node") == name and _age_s(e.get("at")) < _PAUSE_S
    ]
    if pauses:
        return warning(
            f"{len(pauses)} pauses within the last hour, the last: {pauses[-1].get('why')}", pauses=str(len(pauses))
        )
    return ok("no pause within the last hour", pauses="0")


def grade(seen: Seen) -> Result:
    """How well a split is guarded against."""
    found, missing = seen.keeper.get("grade"), list(seen.keeper.get("grade_missing") or [])
    if not found:
        return unknown("the keeper does not tell the safety grade")
    said = f"safety grade {found}" + (f"; for more: {', '.join(map(str, missing))}" if missing else "")
    return warning(said) if found == "bronze" else ok(said)


def versions(seen: Seen) -> Result:
    """The same software on both nodes?"""
    if seen.peer is None:
        return ok(f"version {seen.version}; there is no other node")
    if not seen.peer_version:
        return unknown(f"{seen.peer.name} has not told its version")
    if seen.peer_version != seen.version:
        return warning(f"this node runs {seen.version}, {seen.peer.name} runs {seen.peer_version}")
    return ok(f"both nodes run {seen.version}")


def standby(seen: Seen) -> Result:
    """When was it last proven that the services can move?"""
    moves = [e for e in seen.events if e.get("kind") == "became-master" and e.get("rule") != "form"]
    days = min((_age_s(e.get("at")) / 86400 for e in moves), default=None)
    if seen.peer is None:
        return ok("there is no other node to prove")
    if days is None:
        return ok("no switch yet since set-up: try one at a quiet hour")
    said = f"the last switch was {days:.0f} days ago"
    return warning(said) if days > _DRILL_DAYS else ok(said, days=f"{days:.0f}")


def possible(seen: Seen) -> Result:
    """May the slave take over now?"""
    if not seen.keeper:
        return unknown("the keeper does not answer")
    if seen.keeper.get("failover_possible"):
        if "F1" in seen.keeper.get("only_notified", ()):
            return warning(
                "a planned failover is possible; F1 only notifies, so nothing is taken over without being asked"
            )
        return ok("a failover is possible")
    return warning(f"no failover is possible: {'; '.join(map(str, seen.keeper.get('failover_blocked_by') or []))}")


def drift(seen: Seen) -> Result:
    """Are the locked files as Ishmael and the admin left them?"""
    if seen.drift:
        return warning(f"changed outside Ishmael: {', '.join(seen.drift)}", changed=str(len(seen.drift)))
    return ok("no locked file was changed outside Ishmael", changed="0")


PAUSE = Check(
    "X2", "pause", ("Clock pause", "Aussetzer"), BOTH, pause,
    ("Look for overload, or a hypervisor that stops the machine (snapshots, migration).",
     "Suchen Sie nach Überlast oder einem Hypervisor, der die Maschine anhält (Snapshots, Migration)."),
    interval_s=30, attempts=1,
)  # fmt: skip
GRADE = Check(
    "X4", "grade", ("Safety grade", "Sicherheitsstufe"), MASTER, grade,
    ("Name a second reference on the telephone network, a witness or a power switch.",
     "Benennen Sie eine zweite Referenz im Telefonnetz, einen Zeugen oder einen Stromschalter."),
    interval_s=60, attempts=2, retry_s=10,
)  # fmt: skip
VERSIONS = Check(
    "X5", "versions", ("Same version", "Gleiche Version"), MASTER, versions,
    ("Bring both nodes to the same version; re-add the slave.",
     "Bringen Sie beide Knoten auf dieselbe Version; nehmen Sie den Slave wieder auf."),
    interval_s=60, retry_s=30,
)  # fmt: skip
STANDBY = Check(
    "X6", "standby", ("Standby proven", "Umschaltung erprobt"), MASTER, standby,
    ("Hand over once at a quiet hour: ishmael failover; then re-add the former master.",
     "Schalten Sie zu ruhiger Stunde einmal um: ishmael failover; nehmen Sie den früheren Master wieder auf."),
    interval_s=300, attempts=1,
)  # fmt: skip
POSSIBLE = Check(
    "X7", "failover-possible", ("Failover possible", "Failover möglich"), MASTER, possible,
    ("See: ishmael status. A node on standby is re-added with: ishmael re-add.",
     "Siehe: ishmael status. Ein Knoten im Standby wird wieder aufgenommen mit: ishmael re-add."),
    interval_s=5, retry_s=5,
)  # fmt: skip
DRIFT = Check(
    "X8", "drift", ("Locked files", "Gesperrte Dateien"), BOTH, drift,
    ("See on that node: ishmael drift list; then take over or put back.",
     "Siehe auf diesem Knoten: ishmael drift list; dann übernehmen (take-over) oder zurücksetzen (put-back)."),
    interval_s=15, attempts=1,
)  # fmt: skip
