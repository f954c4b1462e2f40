"""``failover``: how long a client waits after a fault, with the product and with its peers, by turns."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ishmael.lab import faults
from ishmael.lab.bench import cuts
from ishmael.lab.bench.systems import System
from ishmael.lab.build import Say
from ishmael.lab.measure import Measured, Measurement, as_json, settle, spread
from ishmael.lab.node import Node
from ishmael.lab.status import holds_cluster_ip
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault

PLANNED = "planned"
PEER_FAULTS = (
    *("power-cut", "phone-link-down", PLANNED, "internal-cut", "isolated-master", "isolated-slave"),
    *("kernel-hung", "userland-frozen", *(cut.name for cut in cuts.CUTS)),
)
"""Faults of the machine and the wires, which can befall any software."""
_BEFORE_S = 0.6
_AFTER_S = 1.0
_STAY_S = 5.0
# Clients of a peer were seen to stay with the loser's MAC for 5.9 s after a time of two holders.
_AFTER_CUT_S = 7.0
_TAKEOVER_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Run:
    """One fault of one system, measured.

    Args:
        system: whose.
        fault: which.
        node: the node that served before.
        moves: how many moves the fault may cause.
        served: that node served afterwards if nothing should move, else the other.
        measured: what a client saw.
    """

    system: str
    fault: str
    node: str
    moves: int
    served: bool
    measured: Measured

    @property
    def false_failovers(self) -> int:
        """Moves beyond those that the fault may cause."""
        return max(0, self.measured.changes - self.moves)


def known_faults() -> tuple[str, ...]:
    """Names of all faults the benchmark can cause."""
    return (*(row.name for row in faults.FAULTS), *(cut.name for cut in cuts.CUTS))


def once(system: System, fault: str, keep: Path | None) -> Run:
    """Cause one fault, on the serving node unless it is meant for the other, measure it, heal it, and make the pair whole again.

    Args:
        system: which one.
        fault: one of ``known_faults``.
        keep: file for the raw samples, or none.

    Raises:
        HostFault: the pair was not whole before, or did not become so after.
    """
    system.prepare()
    node = faults.target(system.lab, None)
    cut = cuts.named(fault)
    row = faults.named(fault) if cut is None else None
    served = True
    try:
        with Measurement(system.lab, keep) as measurement:
            settle(_BEFORE_S)
            if row is not None:
                served = _cause(system, row, node)
            elif cut is not None:
                cut.make(system.lab)
                settle(_STAY_S)
                cut.mend(system.lab)
                settle(_AFTER_CUT_S)
    finally:
        if cut is not None:
            cut.mend(system.lab)
        else:
            faults.heal(system.lab)
    measured = measurement.result()
    if measured.first_node != node.plan.name:
        raise HostFault("probe-failed", f"{measured.first_node} answered, though {node.plan.name} held the cluster IP.")
    system.restore(node, planned=fault == PLANNED)
    moves = int(row is not None and row.moves is not faults.Moves.NEVER)
    return Run(system.name, fault, node.plan.name, moves, served, measured)


def _cause(system: System, fault: faults.Fault, node: Node) -> bool:
    """Cause a fault and wait for its outcome; whether that is what should be."""
    if fault.name == PLANNED:
        system.hand_over(node)
    else:
        faults.inject(system.lab, fault, faults.target(system.lab, None, fault))
    if fault.moves is not faults.Moves.MUST:
        settle(max(fault.watch_s, _STAY_S))
        return fault.moves is faults.Moves.MAY or not fault.serves or holds_cluster_ip(node)
    # In vain, when nobody takes over: then the silence lasts to the end of the measurement, and shows.
    found = wait_until(lambda: _served_by_other(system, node), _TAKEOVER_TIMEOUT_S, 0.05)
    settle(_AFTER_S)
    return found


def _served_by_other(system: System, node: Node) -> bool:
    others = (Node(system.lab, other) for other in system.lab.nodes if other.name != node.plan.name)
    return any(holds_cluster_ip(other) for other in others)


def many(
    systems: Sequence[System],
    fault_names: Sequence[str],
    runs: int,
    keep: Path | None,
    say: Say,
    *,
    print_runs: bool,
) -> dict[str, Any]:
    """Run every fault on every system several times, the systems by turns, so that noise befalls all alike.

    Args:
        systems: at least one.
        fault_names: of ``known_faults``.
        runs: how often each.
        keep: directory for raw samples, or none.
        say: gets a line of progress for each run.
        print_runs: whether each run is a JSON object on standard output.

    Returns:
        The summary (contract.md, "Benchmarks").
    """
    rows: dict[str, dict[str, list[Run]]] = {}
    begun = time.monotonic()
    for number in range(1, runs + 1):
        for system in systems:
            for fault in fault_names:
                file = keep / f"{system.name}-{fault}-{number}.json" if keep else None
                run = once(system, fault, file)
                rows.setdefault(system.name, {}).setdefault(fault, []).append(run)
                _report(run, number, say, print_runs=print_runs)
    say(f"done in {time.monotonic() - begun:.0f} s")
    return {name: {fault: _summary(found) for fault, found in by.items()} for name, by in rows.items()}


def _report(run: Run, number: int, say: Say, *, print_runs: bool) -> None:
    seen = run.measured
    say(
        f"{run.system} {run.fault} {number}: gap {seen.gap_ms} ms, SIP {seen.sip_gap_ms} ms, "
        f"both holding {seen.dual_ms} ms, {run.node} -> {seen.last_node}"
    )
    if print_runs:
        head = {"system": run.system, "fault": run.fault, "run": number, "node": run.node, "served": run.served}
        sys.stdout.write(json.dumps({**head, "false_failovers": run.false_failovers, **as_json(seen)}) + "\n")
        sys.stdout.flush()


def _summary(rows: list[Run]) -> dict[str, Any]:
    sip = [row.measured.sip_gap_ms for row in rows if row.measured.sip_gap_ms is not None]
    return {
        "gap_ms": spread([row.measured.gap_ms for row in rows]),
        "sip_gap_ms": spread(sip) if sip else None,
        "dual_ms": spread([row.measured.dual_ms for row in rows]),
        "late_ms": spread([row.measured.late_ms for row in rows]),
        "runs": len(rows),
        "unserved": sum(not row.served for row in rows),
        "false_failovers": sum(row.false_failovers for row in rows),
    }


def table(summary: dict[str, Any]) -> list[str]:
    """The summary for a person: one line for each fault of each system, times in ms."""
    head = (
        f"{'fault':<18}{'system':<20}{'gap':>18}{'SIP gap':>18}{'both hold':>18}{'runs':>6}{'unserved':>10}{'false':>7}"
    )
    lines = ["median (p95) in ms", head]
    for fault in dict.fromkeys(fault for by in summary.values() for fault in by):
        for system, by in summary.items():
            row = by.get(fault)
            if row is not None:
                cells = "".join(f"{_cell(row[key]):>18}" for key in ("gap_ms", "sip_gap_ms", "dual_ms"))
                counts = f"{row['runs']:>6}{row['unserved']:>10}{row['false_failovers']:>7}"
                lines.append(f"{fault:<18}{system:<20}{cells}{counts}")
    return lines


def _cell(figures: dict[str, float] | None) -> str:
    return f"{figures['median']:.0f} ({figures['p95']:.0f})" if figures else "-"
