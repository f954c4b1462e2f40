"""X1: do both links between the nodes work, and have both interfaces a carrier?"""

from __future__ import annotations

from pathlib import Path

from ishmael.checks.base import BOTH, Check, Result, Seen, critical, ok, program, unknown, warning


def probe(seen: Seen) -> Result:
    """The carriers, a master's way to the telephones, and what Corosync says about its two links."""
    if seen.own is None:
        return unknown("this node is not part of a cluster")
    wrong = _unreached(seen)
    if wrong:
        return critical(wrong)
    if seen.peer is None:
        return ok("both interfaces have a carrier; there is no other node")
    return _links(seen.peer.id)


def _unreached(seen: Seen) -> str:
    """What this node does not reach, in words."""
    assert seen.own is not None
    serves = seen.side == "master"
    phones = "telephone network: phones do not reach this master" if serves else "telephone network"
    nics = ((phones, seen.own.phone_nic), ("internal network", seen.own.internal_nic))
    dark = [f"no carrier at {nic} ({name})" for name, nic in nics if not _has_carrier(nic)]
    if not dark and serves and seen.keeper and not seen.keeper.get("sees_reference"):
        return "no reference answers on the telephone network: probably phones do not reach this master either"
    return "; ".join(dark)


def _has_carrier(nic: str) -> bool:
    try:
        return Path(f"/sys/class/net/{nic}/carrier").read_text().strip() == "1"
    except OSError:
        return False


def _links(peer: int) -> Result:
    code, said = program(["corosync-cfgtool", "-s"], 3.0)
    if code not in (0, 1):
        return unknown(f"Corosync does not tell its links: {said[:120]}")
    states = [line.split()[-1] for line in said.splitlines() if f"nodeid: {peer}:" in " ".join(line.split())]
    states = states or [line.split()[-1] for line in said.splitlines() if line.strip().startswith("nodeid:")]
    down = [number for number, state in enumerate(states) if state == "disconnected"]
    if down:
        names = ("internal network", "telephone network")
        return warning(f"the link over the {' and the '.join(names[n % 2] for n in down)} is down")
    return ok("both links work")


CHECK = Check(
    "X1", "links", ("Links between the nodes", "Verbindungen der Knoten"), BOTH, probe,
    ("Check the cable and the switch of the link named. The internal network alone moves nothing; a master without the telephone "
     "network hands over, if its slave is fit.",
     "Prüfen Sie Kabel und Switch der genannten Verbindung. Das interne Netz allein verlegt nichts; ein Master ohne Telefonnetz "
     "übergibt, wenn sein Slave fit ist."),
    interval_s=10, retry_s=2,
)  # fmt: skip
