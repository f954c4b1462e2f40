"""``stress``: both nodes busy, and nothing may move."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ishmael.lab.build import Say
from ishmael.lab.cluster import Cluster
from ishmael.lab.lifecycle import nodes_of
from ishmael.lab.measure import Measurement, as_json, settle, spread
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.lab.probe import SECONDS_MAX

_LOOP = "while :; do :; done"
_VIEWS = "stats.srp.operational_entered"
_LINK_LOSSES = ".down_count"
_AFTER_S = 1.0
_END_TIMEOUT_S = 20.0


def counters(node: Node) -> dict[str, int]:
    """What Corosync has counted since it began: views formed, links lost, messages sent again (corosync-cmapctl(8))."""
    found = {"views": 0, "link_losses": 0}
    for line in node.say(["corosync-cmapctl", "-m", "stats"]).splitlines():
        key, _, value = line.partition(" = ")
        name = key.partition(" ")[0]
        if name == _VIEWS:
            found["views"] = int(value)
        elif name.endswith(_LINK_LOSSES):
            found["link_losses"] += int(value)
    return found


def _roles(cluster: Cluster) -> dict[str, Any]:
    said = {node.plan.name: cluster.status(node) or {} for node in cluster.nodes}
    return {name: {"role": status.get("role"), "epoch": status.get("epoch")} for name, status in said.items()}


def once(lab: LabPlan, loops: int, seconds: float, keep: Path | None) -> dict[str, Any]:
    """Let busy loops run in both nodes for a while.

    Args:
        lab: up and formed.
        loops: busy loops inside each node.
        seconds: how long.
        keep: file for the raw samples, or none.

    Returns:
        Views formed and links lost on each node, roles and epochs before and after, and what a client saw (in pieces
        of at most ten minutes, the longest gap of all).
    """
    cluster = Cluster(lab)
    cluster.wait_complete()
    before, counted = _roles(cluster), {node.plan.name: counters(node) for node in nodes_of(lab)}
    command = ["timeout", str(seconds + _AFTER_S), "sh", "-c", _LOOP]
    busy = [subprocess.Popen(node.command(command)) for node in nodes_of(lab) for _ in range(loops)]
    seen = []
    try:
        left = seconds
        while left > 0:
            # The probe ends by itself after its longest time; a little earlier it is asked to.
            piece = min(left, SECONDS_MAX - 10)
            with Measurement(lab, keep) as measurement:
                settle(piece)
            seen.append(measurement.result())
            left -= piece
    finally:
        for process in busy:
            process.terminate()
        for process in busy:
            _end(process)
    after = {node.plan.name: counters(node) for node in nodes_of(lab)}
    roles = _roles(cluster)
    moved = sum(one.changes for one in seen)
    return {
        "loops": loops,
        "seconds": seconds,
        "view_changes": {name: after[name]["views"] - counted[name]["views"] for name in after},
        "link_losses": {name: after[name]["link_losses"] - counted[name]["link_losses"] for name in after},
        "before": before,
        "after": roles,
        "role_changes": max(moved, int(roles != before)),
        **as_json(max(seen, key=lambda one: one.gap_ms)),
        "dual_ms": sum(one.dual_ms for one in seen),
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def many(
    lab: LabPlan, runs: int, loops: int, seconds: float, keep: Path | None, say: Say, *, print_runs: bool
) -> dict[str, Any]:
    """Repeat it.

    Returns:
        ``ishmael`` -> ``stress`` -> view changes and gaps, and ``false_failovers``: changes of roles, of which each is
        one too many.
    """
    rows = []
    for number in range(1, runs + 1):
        say(f"{loops} busy loops in each node for {seconds:.0f} s")
        row = once(lab, loops, seconds, keep / f"stress-{number}.json" if keep else None)
        rows.append(row)
        if print_runs:
            sys.stdout.write(json.dumps({"system": "ishmael", "fault": "stress", "run": number, **row}) + "\n")
            sys.stdout.flush()
    summary = {
        "gap_ms": spread([row["gap_ms"] for row in rows]),
        "sip_gap_ms": spread([row["sip_gap_ms"] for row in rows if row["sip_gap_ms"] is not None] or [0.0]),
        "dual_ms": spread([row["dual_ms"] for row in rows]),
        "view_changes": spread([max(row["view_changes"].values()) for row in rows]),
        "link_losses": spread([max(row["link_losses"].values()) for row in rows]),
        "runs": len(rows),
        "false_failovers": sum(row["role_changes"] for row in rows),
    }
    return {"ishmael": {"stress": summary}}


def table(summary: dict[str, Any]) -> list[str]:
    """The summary for a person."""
    row = summary["ishmael"]["stress"]
    return [
        f"runs {row['runs']}, changes of roles {row['false_failovers']}, "
        f"views formed {row['view_changes']['max']:.0f} at most, links lost {row['link_losses']['max']:.0f} at most",
        f"longest gap {row['gap_ms']['max']} ms, both nodes holding the address {row['dual_ms']['max']} ms",
    ]
