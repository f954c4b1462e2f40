"""N4: are all needed services running? The workload's units, as the keeper looks them up every five seconds."""

from __future__ import annotations

from ishmael.checks.base import MASTER, Check, Result, Seen, critical, ok, unknown


def probe(seen: Seen) -> Result:
    """Every unit of the profile is active."""
    if not seen.keeper:
        return unknown("the keeper does not answer")
    units = dict(seen.keeper.get("workload") or {})
    wanted = [unit.name for unit in seen.profile.units] if seen.profile is not None else list(units)
    bad = [
        f"{name} is {units.get(name, 'not known')}" for name in wanted if not str(units.get(name)).startswith("active")
    ]
    if bad:
        return critical(", ".join(bad))
    return ok(f"{len(wanted)} of {len(wanted)} services run", running=str(len(wanted)))


CHECK = Check(
    "N4", "services", ("Default services", "Standarddienste"), MASTER, probe,
    ("See: systemctl status UNIT; journalctl -u UNIT.", "Siehe: systemctl status UNIT; journalctl -u UNIT."),
    interval_s=5, retry_s=3,
)  # fmt: skip
