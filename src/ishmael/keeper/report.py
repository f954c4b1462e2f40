"""What ``status`` says: the core's state in the words of the contract."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ishmael.core import facts
from ishmael.core.state import State
from ishmael.words.roles import Grade, Role
from ishmael.words.settings import Settings

STATUS_SCHEMA = 1


def report(
    s: State, settings: Settings | None, units: dict[str, str], database: dict[str, Any], version: str
) -> dict[str, Any]:
    """The status object of the control socket (docs/reference/control.md).

    Args:
        s: the core's state.
        settings: of the cluster, if set up.
        units: systemd states of the workload's units by name.
        database: what the watch over the database found last; empty without one.
        version: of this program.
    """
    me = settings.node(s.config.me) if settings is not None else None
    fit, reasons = fitness(s)
    blocked = failover_blocked_by(s)
    grade, missing = safety_grade(settings)
    since = datetime.now(UTC) - timedelta(milliseconds=s.now_ms - s.role_since_ms)
    return {
        "schema": STATUS_SCHEMA,
        "node": me.name if me is not None else None,
        "role": s.role.value,
        "out_because": s.out_because if s.role is Role.OUT else "",
        "since": since.isoformat(timespec="milliseconds"),
        "epoch": str(s.record.epoch) if s.record is not None else None,
        "master": s.record.master if s.record is not None and not s.record.taking else None,
        "record": s.record.to_mapping() if s.record is not None else None,
        "cluster_ip": settings.cluster_ip if settings is not None else None,
        "holds_cluster_ip": s.holds,
        "heard": facts.hears(s),
        "peer": _peer(s, settings, fit, reasons),
        "fit": fit,
        "reasons": reasons,
        "grade": grade.value,
        "grade_missing": missing,
        "failover_possible": not blocked,
        "failover_blocked_by": blocked,
        "workload": units,
        "corosync": s.corosync,
        "quorate": s.quorate,
        "sees_reference": facts.sees_reference(s),
        "hold": s.hold,
        "database": database,
        "objection": s.objection,
        "nobody_serves": s.dial_tone_ms >= 0,
        "only_notified": sorted(s.only_notified),
        "version": version,
    }


def _peer(s: State, settings: Settings | None, fit: bool, reasons: list[str]) -> dict[str, Any] | None:
    peer = settings.node(s.config.peer) if settings is not None else None
    if peer is None:
        return None
    online = facts.hears(s)
    slave = s.role in (Role.MASTER, Role.HANDING)
    return {
        "id": peer.id,
        "name": peer.name,
        "role": s.peer.role.value if online and s.peer is not None else None,
        "online": online,
        "incarnation": s.peer.nonce.incarnation if online and s.peer is not None else None,
        "fit": fit if slave else False,
        "reasons": reasons if slave else [],
    }


def fitness(s: State) -> tuple[bool, list[str]]:
    """Whether the slave is fit, as this node knows it, and why not."""
    if s.role is Role.SLAVE:
        return facts.fit(s), [] if facts.fit(s) else ["the master has not confirmed that this slave is fit"]
    if s.role not in (Role.MASTER, Role.HANDING):
        return False, [f"this node is {s.role}"]
    if facts.grants(s) and facts.hears(s):
        return True, []
    return False, _unfit_reasons(s)


def _unfit_reasons(s: State) -> list[str]:
    peer, record = s.peer, s.record
    if not s.config.peer:
        return ["no slave has been added"]
    if record is not None and s.config.peer in record.standby:
        return ["the other node is on standby: re-add it"]
    if not facts.hears(s) or peer is None:
        return ["the slave is not heard"]
    if not peer.able:
        return [f"the slave says: {peer.unable_because}"]
    if not s.in_step:
        return [f"its data is not in step: {s.in_step_why}"]
    return [s.objection or "the slave is about to become fit"]


def failover_blocked_by(s: State) -> list[str]:
    """Everything that stands against a takeover now, in plain words."""
    fit, reasons = fitness(s)
    blocked = [] if fit else list(reasons)
    if s.hold or (s.peer is not None and s.peer.hold and facts.hears(s)):
        blocked.append("an admin holds automatic takeovers")
    if s.role is Role.SLAVE and not facts.sees_reference(s):
        blocked.append("this slave sees no reference on the telephone network")
    return blocked


def safety_grade(settings: Settings | None) -> tuple[Grade, list[str]]:
    """How well a split is guarded against, and what is missing for more."""
    missing = ["a witness, or a power switch that confirms (not supported yet)"]
    if settings is None or len(settings.nodes) < 2:
        return Grade.BRONZE, ["a slave", *missing]
    if len(settings.references) < 2:
        return Grade.BRONZE, ["a second reference on the telephone network", *missing]
    return Grade.SILVER, missing
