"""``script/soak data``: power cuts (or faults of many kinds) while rows and voice mails are written; each that counts is looked for."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ishmael.lab import acknowledged, faults
from ishmael.lab.cluster import Cluster
from ishmael.lab.faults.machine import switch_on
from ishmael.lab.mails import Mails
from ishmael.lab.measure import spread
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault

_PHASES = ("in step", "in step", "in step", "while the slave catches up", "slave first")
"""What the slave is doing at the cut, in turn."""
MIXED = (
    "power-cut", "planned", "userland-frozen", "isolated-master", "power-cut", "phone-link-down", "internal-cut", "keeper-frozen",
    "kernel-hung", "corosync-failing", "power-cut", "loss",
)  # fmt: skip
"""Faults of a mixed soak, in turn; each befalls the master."""
_MOVE_TIMEOUT_S = 60.0
_SETTLE_S = 1.0
_LASTED_S = 6.0


@dataclass
class Soak:
    """Everything that the runs of one soak share.

    Args:
        lab: with a complete cluster.
        seed: draws the moments.
        mixed: faults of many kinds instead of power cuts alone.
    """

    lab: LabPlan
    seed: int
    mixed: bool = False
    mails: Mails = field(default_factory=Mails)
    rows: dict[int, list[int]] = field(default_factory=dict)

    def runs(self, count: int, done: set[int]) -> Iterator[dict[str, Any]]:
        """Do the runs that are not done; each begins and ends with a complete cluster.

        Args:
            count: how many in all.
            done: numbers of runs that are not to be done again.
        """
        kinds = MIXED if self.mixed else _PHASES
        for number in (number for number in range(1, count + 1) if number not in done):
            draw = random.Random(f"{self.seed}/{number}")  # noqa: S311 - chance for a test, not for a secret
            phase = kinds[(number - 1) % len(kinds)]
            begun_s = time.monotonic()
            try:
                seen = self._run(draw, phase)
            except HostFault as error:
                seen = {"failed": f"{error.code}: {error.message}"}
            yield {"run": number, "phase": phase, **seen, "took_s": round(time.monotonic() - begun_s, 1)}

    def _run(self, draw: random.Random, phase: str) -> dict[str, Any]:
        cluster = Cluster(self.lab)
        faults.heal(self.lab)
        # A fault that was only noticed after its run, as a Corosync that keeps failing, has moved the role since.
        _make_whole(cluster)
        cluster.wait_complete()
        master = acknowledged.master_of(cluster)
        other = next(node for node in cluster.nodes if node is not master)
        with (
            acknowledged.writing(self.lab, master, first=len(self.rows)) as book,
            self.mails.dropping(master, other) as box,
        ):
            time.sleep(draw.uniform(0.2, 2.0))
            if phase == "while the slave catches up":
                _make_slave_lag(other)
                time.sleep(draw.uniform(0.0, 2.5))
            elif phase == "slave first":
                _make_slave_lag(other)
                cluster.wait_complete()
                time.sleep(draw.uniform(0.0, 1.0))
            promised, before = acknowledged.promised(master), book.count()
            box.stop()
            # Right after the return of a slave its files are further behind than at other times, and the product says so.
            told_ms = ((cluster.status(master) or {}).get("sync") or {}).get("file_lag_ms")
            box.lag_ms = max(box.lag_ms, float(told_ms or 0))
            cut_s = time.monotonic()
            self._befall(phase, master)
            gap_s = _served_again(cluster, book, master, other, cut_s)
            # Some faults move the role only when they have lasted.
            time.sleep(_LASTED_S if self.mixed else _SETTLE_S)
            book.stop()
            served = acknowledged.master_of(cluster)
            lost, count = acknowledged.lost(served, book), book.count()
            self.rows |= {worker: [number for number, _ in rows] for worker, rows in book.entries().items()}
        moved = served is not master
        due, missing = box.judge(served, cut_s) if moved else (0, [])
        promotion = (cluster.status(served) or {}).get("sync", {}).get("promotion_ms") if moved else None
        faults.heal(self.lab)
        rejoin = _make_whole(cluster)
        return {
            "promised": promised, "acknowledged_before": before, "acknowledged": count, "lost": len(lost),
            "lost_rows": lost[:10], "moved": moved, "files": box.count, "files_due": due, "files_lag_ms": box.lag_ms,
            "files_missing": missing[:10], "write_gap_s": gap_s, "promotion_ms": promotion, "rung": rejoin.get("rung"),
            "bytes_moved": rejoin.get("bytes_moved"), "salvage": rejoin.get("salvage"),
        }  # fmt: skip

    def _befall(self, phase: str, master: Node) -> None:
        if self.mixed and phase != "power-cut":
            faults.inject(self.lab, faults.named(phase), master)
        else:
            master.power_cut()

    def missing_in_the_end(self) -> tuple[list[str], int]:
        """Files that were on a new master once and are not on the last one, and how many acknowledged rows of all runs are not there."""
        last = acknowledged.master_of(Cluster(self.lab))
        return self.mails.missing(last), len(acknowledged.missing(last, self.rows)) if self.rows else 0


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
        if master.init_pid is None:
            switch_on(master)
        else:
            faults.heal(master.lab)
        if not wait_until(again, _MOVE_TIMEOUT_S, 0.1):
            raise HostFault("writes-hang", "Nothing is acknowledged after the power came back.")
    return round(time.monotonic() - cut_s, 2)


def _make_whole(cluster: Cluster) -> dict[str, Any]:
    """Both nodes on, one of them slave and fit; re-added where that is needed."""
    for node in cluster.nodes:
        if node.init_pid is None:
            switch_on(node)
        node.wait_running()

    def settled() -> bool:
        return cluster.is_complete() or any(
            (cluster.status(node) or {}).get("role") == "standby" for node in cluster.nodes
        )

    wait_until(settled, _MOVE_TIMEOUT_S, 0.2)
    if cluster.is_complete():
        return {}
    job = cluster.ask(acknowledged.master_of(cluster), "re-add")
    cluster.wait_complete()
    return dict(job.get("result") or {})


def line(seen: dict[str, Any]) -> str:
    """One run for a person."""
    if "failed" in seen:
        return f"run {seen['run']} ({seen['phase']}): {seen['failed']}"
    return (
        f"run {seen['run']} ({seen['phase']}): {seen['acknowledged']} acknowledged, {seen['lost']} lost, "
        f"{seen['files_due']} files due, {len(seen['files_missing'])} missing; promised: "
        f"{seen['promised']}; writes again after {seen['write_gap_s']} s; rejoined by {seen['rung']}"
    )


def summary(done: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Over all runs."""
    whole = [seen for seen in done if "failed" not in seen]
    promotions = [seen["promotion_ms"] for seen in whole if (seen["promotion_ms"] or -1) >= 0]
    return {
        "lost_acknowledged": {**spread([float(seen["lost"]) for seen in whole] or [0.0]), "runs": len(whole)},
        "acknowledged": sum(seen["acknowledged"] for seen in whole),
        "files_due": sum(seen["files_due"] for seen in whole),
        "files_missing": sum(len(seen["files_missing"]) for seen in whole),
        "promotion_ms": {**spread([float(one) for one in promotions] or [0.0]), "runs": len(promotions)},
        "write_gap_s": {**spread([seen["write_gap_s"] for seen in whole] or [0.0]), "runs": len(whole)},
        "rungs": {
            rung: sum(seen["rung"] == rung for seen in whole) for rung in {seen["rung"] for seen in whole} if rung
        },
        "failed": [seen["failed"] for seen in done if "failed" in seen],
    }
