"""X1: do both links between the nodes work, and have both interfaces a carrier?"""

from __future__ import annotations

from pathlib import Path

from ishmael.checks.base import BOTH, Check, Result, Seen, critical, ok, program, unknown, warning


def probe(seen: Seen) -> Result:
    """The carriers, and what Corosync says about its two links."""
    if seen.own is None:
        return unknown("this node is not part of a cluster")
    dark = []
    for name, nic in (("telephone network", seen.own.phone_nic), ("internal network", seen.own.internal_nic)):
        try:
            lit = Path(f"/sys/class/net/{nic}/carrier").read_text().strip() == "1"
        except OSError:
            lit = False
        if not lit:
            dark.append(f"no carrier at {nic} ({name})")
    if dark:
        return critical("; ".join(dark))
    if seen.peer is None:
        return ok("both interfaces have a carrier; there is no other node")
    code, said = program(["corosync-cfgtool", "-s"], 3.0)
    if code not in (0, 1):
        return unknown(f"Corosync does not tell its links: {said[:120]}")
    states = [line.split()[-1] for line in said.splitlines() if f"nodeid: {seen.peer.id}:" in " ".join(line.split())]
    states = states or [line.split()[-1] for line in said.splitlines() if line.strip().startswith("nodeid:")]
    down = [number for number, state in enumerate(states) if state == "disconnected"]
    if down:
        names = ("internal network", "telephone network")
        return warning(f"the link over the {' and the '.join(names[n % 2] for n in down)} is down")
    return ok("both links work")


CHECK = Check(
    "X1", "links", ("Links between the nodes", "Verbindungen der Knoten"), BOTH, probe,
    ("Check the cable or switch of the link named; nothing moves because of one link, but the second one would.",
     "Prüfen Sie Kabel oder Switch der genannten Verbindung; eine allein verlegt nichts, die zweite schon."),
    interval_s=10, retry_s=2,
)  # fmt: skip
