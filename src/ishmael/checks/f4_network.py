"""F4: is the telephone network gone on the master but still there for the slave? The keeper acts by its own rules."""

from __future__ import annotations

from ishmael.checks.base import SLAVE, Check, Result, Seen, critical, ok, program, unknown, warning


def probe(seen: Seen) -> Result:
    """Own references, and the master's own address on the telephone network."""
    if seen.peer is None:
        return unknown("there is no other node")
    if not seen.keeper:
        return unknown("the keeper does not answer")
    if not seen.keeper.get("sees_reference"):
        return warning("this slave itself sees no reference on the telephone network")
    code, _ = program(["ping", "-c1", "-W1", "-n", seen.peer.phone_ip], 3.0)
    if code == 0:
        return ok(f"{seen.peer.name} answers on the telephone network")
    return critical(f"{seen.peer.name} ({seen.peer.phone_ip}) does not answer on the telephone network, references do")


CHECK = Check(
    "F4", "network", ("Network failover", "Netz-Failover"), SLAVE, probe,
    ("Check the other node's telephone cable, switch port and VLAN.",
     "Prüfen Sie Telefonkabel, Switch-Port und VLAN des anderen Knotens."),
    interval_s=10, attempts=2, retry_s=2,
)  # fmt: skip
