"""``script/soak data``: power cuts under write load, at random moments, and every acknowledged row counted."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

from ishmael.lab import acknowledged
from ishmael.lab.cluster import Cluster
from ishmael.lab.faults.machine import switch_on
from ishmael.lab.measure import spread
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault

_PHASES = ("in step", "in step", "in step", "while the slave catches up", "slave first")
"""What the slave is doing at the cut, in turn."""
_MOVE_TIMEOUT_S = 60.0
_SETTLE_S = 1.0


def runs(lab: LabPlan, count: int, seed: int, done: set[int]) -> Iterator[dict[str, Any]]:
    """Do the runs that are not done; each begins and ends with a complete cluster.

    Args:
        lab: with a complete cluster.
        count: how many in all.
        seed: draws the moments.
        done: numbers of runs that are not to be done again.
    """
    cluster = Cluster(lab)
    for number in range(1, count + 1):
        if number in done:
            continue
        draw = random.Random(f"{seed}/{number}")  # noqa: S311 - chance for a test, not for a secret
        phase = _PHASES[(number - 1) % len(_PHASES)]
        begun_s = time.monotonic()
        try:
            seen = _run(lab, cluster, draw, phase)
        except HostFault as error:
            seen = {"failed": f"{error.code}: {error}"}
        yield {"run": number, "phase": phase, **seen, "took_s": round(time.monotonic() - begun_s, 1)}


def _run(lab: LabPlan, cluster: Cluster, draw: random.Random, phase: str) -> dict[str, Any]:
    cluster.wait_complete()
    master = acknowledged.master_of(cluster)
    other = next(node for node in cluster.nodes if node is not master)
    with acknowledged.writing(lab, master) as book:
        time.sleep(draw.uniform(0.2, 2.0))
        if phase != "in step":
            _make_slave_lag(other)
        if phase == "while the slave catches up":
            time.sleep(draw.uniform(0.0, 2.5))
        elif phase == "slave first":
            cluster.wait_complete()
            time.sleep(draw.uniform(0.0, 1.0))
        promised, before = acknowledged.promised(master), book.count()
        cut_s = time.monotonic()
        master.power_cut()
        gap_s = _served_again(cluster, book, master, other, cut_s)
        time.sleep(_SETTLE_S)
        book.stop()
        served = acknowledged.master_of(cluster)
        lost, count = acknowledged.lost(served, book), book.count()
    promotion = (cluster.status(served) or {}).get("sync", {}).get("promotion_ms")
    rejoin = _make_whole(cluster, served)
    return {
        "promised": promised, "acknowledged_before": before, "acknowledged": count, "lost": len(lost),
        "lost_rows": lost[:10], "write_gap_s": gap_s, "promotion_ms": promotion, "rung": rejoin.get("rung"),
        "bytes_moved": rejoin.get("bytes_moved"), "salvage": rejoin.get("salvage"),
    }  # fmt: skip


def _make_slave_lag(slave: Node) -> None:
    """The slave loses its power and comes back: it has to catch up under load."""
    slave.power_cut()
    time.sleep(4.0)
    switch_on(slave)
    slave.wait_running()


def _served_again(cluster: Cluster, book: acknowledged.Book, master: Node, other: Node, cut_s: float) -> float:
    """Seconds until rows are acknowledged again; where nobody may take over, the old master gets its power back.

    A slave that was still catching up must not take over: that is what keeps acknowledged rows from being lost.
    """
    before = book.count()

    def again() -> bool:
        return book.count() > before + acknowledged.WORKERS

    if not wait_until(again, 15, 0.05):
        if (cluster.status(other) or {}).get("role") == "master":
            raise HostFault("writes-hang", "The new master acknowledges nothing.")
        switch_on(master)
        if not wait_until(again, _MOVE_TIMEOUT_S, 0.1):
            raise HostFault("writes-hang", "Nothing is acknowledged after the power came back.")
    return round(time.monotonic() - cut_s, 2)


def _make_whole(cluster: Cluster, served: Node) -> dict[str, Any]:
    """Both nodes on, the other one slave and fit; re-added where that is needed."""
    other = next(node for node in cluster.nodes if node is not served)
    if other.init_pid is None:
        switch_on(other)
    other.wait_running()

    def settled() -> bool:
        return cluster.is_complete() or (cluster.status(other) or {}).get("role") == "standby"

    wait_until(settled, _MOVE_TIMEOUT_S, 0.2)
    if cluster.is_complete():
        return {}
    job = cluster.ask(served, "re-add")
    cluster.wait_complete()
    return dict(job.get("result") or {})


def line(seen: dict[str, Any]) -> str:
    """One run for a person."""
    if "failed" in seen:
        return f"run {seen['run']} ({seen['phase']}): {seen['failed']}"
    return (
        f"run {seen['run']} ({seen['phase']}): {seen['acknowledged']} acknowledged, {seen['lost']} lost; promised: "
        f"{seen['promised']}; writes again after {seen['write_gap_s']} s; rejoined by {seen['rung']}"
    )


def summary(done: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Over all runs."""
    whole = [seen for seen in done if "failed" not in seen]
    promotions = [seen["promotion_ms"] for seen in whole if (seen["promotion_ms"] or -1) >= 0]
    return {
        "lost_acknowledged": {**spread([float(seen["lost"]) for seen in whole] or [0.0]), "runs": len(whole)},
        "acknowledged": sum(seen["acknowledged"] for seen in whole),
        "promotion_ms": {**spread([float(one) for one in promotions] or [0.0]), "runs": len(promotions)},
        "write_gap_s": {**spread([seen["write_gap_s"] for seen in whole] or [0.0]), "runs": len(whole)},
        "rungs": {
            rung: sum(seen["rung"] == rung for seen in whole) for rung in {seen["rung"] for seen in whole} if rung
        },
        "failed": [seen["failed"] for seen in done if "failed" in seen],
    }
