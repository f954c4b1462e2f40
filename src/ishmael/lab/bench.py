"""Benchmarks: figures from a command that anyone can run. ``failover``: how long a client waits after a fault."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ishmael.lab import faults, lifecycle
from ishmael.lab.build import Say
from ishmael.lab.cluster import Cluster
from ishmael.lab.measure import Measured, Measurement, as_json, settle, spread
from ishmael.lab.plan import LabPlan
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault

BENCHMARKS = ("failover",)
_BEFORE_S = 0.6
_AFTER_S = 1.0
_TAKEOVER_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Run:
    """One fault, measured."""

    fault: str
    node: str
    measured: Measured


class FailoverBench:
    """Repeats faults on a formed cluster and heals after each.

    Args:
        lab: which one; must be up and formed.
        say: gets a line of progress for each run.
        keep: directory for raw samples, or none.
    """

    def __init__(self, lab: LabPlan, say: Say, keep: Path | None) -> None:
        self._lab = lab
        self._cluster = Cluster(lab)
        self._say = say
        self._keep = keep

    def once(self, fault_name: str, number: int) -> Run:
        """Cause one fault on the master, measure it, heal, and re-add the former master.

        Args:
            fault_name: of the table of faults.
            number: for the file of raw samples.

        Raises:
            HostFault: the cluster was not complete before, or did not become so after.
        """
        self._cluster.wait_complete()
        row = faults.named(fault_name)
        keep = self._keep / f"{fault_name}-{number}.json" if self._keep else None
        with Measurement(self._lab, keep) as measurement:
            settle(_BEFORE_S)
            done = faults.inject(self._lab, row, faults.target(self._lab, None))
            # In vain, when nobody takes over: then the silence lasts to the end of the measurement, and shows.
            wait_until(lambda: self._served_by_other(done.node), _TAKEOVER_TIMEOUT_S, 0.05)
            settle(_AFTER_S)
        measured = measurement.result()
        if (measured.first_node, measured.last_node == done.node) != (done.node, False):
            raise HostFault(
                "no-takeover",
                f"{fault_name} {number}: asked of {done.node}, {measured.first_node} answered first, "
                f"{measured.last_node} last, after a silence of {measured.gap_ms} ms.",
            )
        faults.heal(self._lab)
        self._cluster.re_add_standby()
        self._cluster.wait_complete()
        self._say(
            f"{fault_name} {number}: gap {measured.gap_ms} ms, SIP {measured.sip_gap_ms} ms, "
            f"both holding {measured.dual_ms} ms, {done.node} -> {measured.last_node}"
        )
        return Run(fault_name, done.node, measured)

    def _served_by_other(self, node: str) -> bool:
        serving = faults.serving_node(self._lab)
        return serving is not None and serving.plan.name != node

    def many(self, fault_names: tuple[str, ...], runs: int) -> dict[str, Any]:
        """Run each fault several times.

        Returns:
            The summary (contract.md, "Benchmarks").
        """
        by_fault: dict[str, list[Run]] = {}
        for name in fault_names:
            for number in range(1, runs + 1):
                run = self.once(name, number)
                by_fault.setdefault(name, []).append(run)
                line = {"system": "ishmael", "fault": name, "run": number, "node": run.node, **as_json(run.measured)}
                sys.stdout.write(json.dumps(line) + "\n")
                sys.stdout.flush()
        return {"ishmael": {name: _summary(rows) for name, rows in by_fault.items()}}


def _summary(rows: list[Run]) -> dict[str, Any]:
    sip = [row.measured.sip_gap_ms for row in rows if row.measured.sip_gap_ms is not None]
    return {
        "gap_ms": spread([row.measured.gap_ms for row in rows]),
        "sip_gap_ms": spread(sip) if sip else None,
        "dual_ms": spread([row.measured.dual_ms for row in rows]),
        "late_ms": spread([row.measured.late_ms for row in rows]),
        "runs": len(rows),
        # More than the one move that the fault asks for.
        "false_failovers": sum(max(0, row.measured.changes - 1) for row in rows),
    }


def failover(lab: LabPlan, fault_names: tuple[str, ...], runs: int, keep: Path | None, say: Say) -> dict[str, Any]:
    """``script/bench failover`` on a lab that is up and formed.

    Raises:
        RequestRefused: the lab is not up.
        HostFault: the cluster is not complete.
    """
    lifecycle.require_up(lab)
    begun = time.monotonic()
    summary = FailoverBench(lab, say, keep).many(fault_names, runs)
    say(f"done in {time.monotonic() - begun:.0f} s")
    return summary
