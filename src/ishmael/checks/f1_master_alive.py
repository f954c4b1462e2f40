"""F1: is the master unreachable on both network interfaces? Seen from the slave; the keeper acts by its own rules."""

from __future__ import annotations

from ishmael.checks.base import SLAVE, Check, Result, Seen, critical, ok, program, unknown, warning


def probe(seen: Seen) -> Result:
    """Heard by the keeper, or else asked by ping on both networks."""
    if seen.peer is None:
        return unknown("there is no other node")
    if seen.keeper.get("heard"):
        return ok(f"{seen.peer.name} is heard")
    answers = [
        network
        for network, address in (("telephone network", seen.peer.phone_ip), ("internal network", seen.peer.internal_ip))
        if program(["ping", "-c1", "-W1", "-n", address], 3.0)[0] == 0
    ]
    if answers:
        return warning(f"{seen.peer.name} is not heard, but answers on the {' and the '.join(answers)}")
    return critical(f"{seen.peer.name} answers on neither network")


CHECK = Check(
    "F1", "master-alive", ("Master node alive", "Master-Knoten lebt"), SLAVE, probe,
    ("Look at the other machine: power, cables, console. After repair: ishmael re-add.",
     "Sehen Sie nach der anderen Maschine: Strom, Kabel, Konsole. Nach der Reparatur: ishmael re-add."),
    interval_s=5, attempts=2, retry_s=2,
)  # fmt: skip
