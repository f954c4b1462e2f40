"""F2: does the cluster management report an error on the master?"""

from __future__ import annotations

from ishmael.checks.base import MASTER, Check, Result, Seen, critical, ok, warning


def probe(seen: Seen) -> Result:
    """What the keeper says about its Corosync and the other node."""
    if not seen.keeper:
        return critical("the keeper of this node does not answer")
    if not seen.keeper.get("corosync") and seen.peer is not None:
        return critical("Corosync on this node does not answer")
    peer = seen.keeper.get("peer") or {}
    if seen.peer is not None and not peer.get("online"):
        return warning(f"{seen.peer.name} is not in the cluster now")
    return ok("keeper and Corosync work")


CHECK = Check(
    "F2", "cluster", ("Cluster status", "Cluster-Status"), MASTER, probe,
    ("See: journalctl -u ishmael-keeper -u corosync; and whether the other node runs.",
     "Siehe: journalctl -u ishmael-keeper -u corosync; und ob der andere Knoten läuft."),
    interval_s=5, attempts=2, retry_s=2,
)  # fmt: skip
