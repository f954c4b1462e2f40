"""``idle``: what the cluster costs while nothing happens: processor, memory and packets, on both nodes."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ishmael.lab import cgroups, faults
from ishmael.lab.bench.systems import System
from ishmael.lab.build import Say
from ishmael.lab.lifecycle import nodes_of
from ishmael.lab.measure import settle, spread
from ishmael.lab.node import Node
from ishmael.lab.wire import Tap, owners

UNITS = ("ishmael-", "corosync", "postgresql", "keepalived", "pacemaker")
"""What a cluster consists of: units whose names begin so."""
TOTAL = "total without postgresql"
_TICK_HZ = os.sysconf("SC_CLK_TCK")
_SETTLE_S = 3.0


@dataclass(frozen=True)
class Usage:
    """One process at one time.

    Args:
        unit: the unit it belongs to.
        name: its program, or the module that Python runs.
        ticks: processor time since it began, in clock ticks.
        pss_kb: its share of memory (proc(5), smaps_rollup).
    """

    unit: str
    name: str
    ticks: int
    pss_kb: int


def processes(node: Node) -> dict[int, Usage]:
    """Every process of the cluster's units on a node, by process id on the host."""
    found = {}
    for unit, pid in _members(node):
        with suppress(OSError, StopIteration):
            found[pid] = _usage(unit, pid)
    return found


def _members(node: Node) -> Iterator[tuple[str, int]]:
    slices = cgroups.directories(node.cgroup)[0] / "payload" / "system.slice"
    for listing in slices.rglob("cgroup.procs"):
        # A unit may have groups of its own below it; a template's unit lies in a slice of the template.
        parts = listing.parent.relative_to(slices).parts
        unit = next((part for part in parts if part.endswith(".service")), "")
        if unit.startswith(UNITS):
            with suppress(OSError):
                yield from ((unit, int(word)) for word in listing.read_text(encoding="ascii").split())


def _usage(unit: str, pid: int) -> Usage:
    here = Path("/proc", str(pid))
    head, _, rest = (here / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
    fields = rest.split()
    rollup = (here / "smaps_rollup").read_text(encoding="ascii").splitlines()
    pss_kb = next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    words = (here / "cmdline").read_bytes().decode(errors="replace").split("\0")
    name = words[words.index("-m") + 1] if "-m" in words else head.partition("(")[2]
    return Usage(unit, name, int(fields[11]) + int(fields[12]), pss_kb)


def once(system: System, seconds: float) -> dict[str, Any]:
    """Watch both nodes for a while.

    Args:
        system: what runs on them.
        seconds: how long.

    Returns:
        By role (``master``, ``slave``): ``units`` with CPU in percent of one core and PSS in MB, the same for each
        process, and packets a second by the program that owns the port.
    """
    system.prepare()
    settle(_SETTLE_S)
    serving = faults.target(system.lab, None)
    nodes = nodes_of(system.lab)
    before = {node.plan.name: processes(node) for node in nodes}
    taps = {node.plan.name: Tap(node.plan.netns) for node in nodes}
    try:
        settle(seconds)
    finally:
        counted = {name: tap.stop() for name, tap in taps.items()}
    result = {}
    for node in nodes:
        role = "master" if node.plan.name == serving.plan.name else "slave"
        name = node.plan.name
        result[role] = {
            "node": name,
            **_costs(before[name], processes(node), seconds),
            "packets_per_s": _rates(counted[name], owners(node), seconds),
        }
    return result


def _costs(before: dict[int, Usage], after: dict[int, Usage], seconds: float) -> dict[str, Any]:
    rows = []
    units: dict[str, dict[str, float]] = defaultdict(lambda: {"cpu_percent": 0.0, "pss_mb": 0.0})
    for pid, now in sorted(after.items()):
        then = before.get(pid)
        cpu = (now.ticks - (then.ticks if then else 0)) * 100 / _TICK_HZ / seconds
        rows.append({"unit": now.unit, "name": now.name, "cpu_percent": round(cpu, 2), "pss_mb": _mb(now.pss_kb)})
        for key in (now.unit, *(() if now.unit.startswith("postgresql") else (TOTAL,))):
            units[key]["cpu_percent"] += cpu
            units[key]["pss_mb"] += now.pss_kb / 1024
    rounded = {unit: {key: round(value, 2) for key, value in row.items()} for unit, row in units.items()}
    return {"units": rounded, "processes": rows}


def _mb(kb: int) -> float:
    return round(kb / 1024, 2)


def _rates(counted: Counter[tuple[str, str]], names: dict[str, str], seconds: float) -> dict[str, dict[str, float]]:
    rates: dict[str, dict[str, float]] = {}
    for (kind, direction), number in sorted(counted.items()):
        row = rates.setdefault(names.get(kind, kind.partition(":")[0]), {"out": 0.0, "in": 0.0})
        row[direction] = round(row[direction] + number / seconds, 2)
    return rates


def many(
    systems: Sequence[System], runs: int, seconds: float, keep: Path | None, say: Say, *, print_runs: bool
) -> dict[str, Any]:
    """Watch every system several times, by turns.

    Returns:
        SYSTEM -> ``idle`` -> role -> unit -> ``cpu_percent``, ``pss_mb``; and packets by role.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for number in range(1, runs + 1):
        for system in systems:
            say(f"watching {system.name} for {seconds:.0f} s")
            seen = once(system, seconds)
            found.setdefault(system.name, []).append(seen)
            line = json.dumps({"system": system.name, "run": number, "seconds": seconds, **seen})
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{system.name}-idle-{number}.json").write_text(line + "\n", encoding="utf-8")
            if print_runs:
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
    return {name: {"idle": _summary(rows)} for name, rows in found.items()}


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    roles = {}
    for role in ("master", "slave"):
        units = {unit: _spreads([row[role]["units"].get(unit) for row in rows]) for unit in rows[0][role]["units"]}
        owners_seen = rows[0][role]["packets_per_s"]
        packets = {owner: _spreads([row[role]["packets_per_s"].get(owner) for row in rows]) for owner in owners_seen}
        roles[role] = {"units": units, "packets_per_s": packets}
    return {**roles, "runs": len(rows)}


def _spreads(rows: list[dict[str, float] | None]) -> dict[str, Any]:
    there = [row for row in rows if row is not None]
    return {key: spread([row[key] for row in there]) for key in there[0]}


def table(summary: dict[str, Any]) -> list[str]:
    """The summary for a person."""
    lines = ["medians; CPU in percent of one core"]
    for system, by in summary.items():
        for role in ("master", "slave"):
            lines.append(f"{system}, {role}")
            for unit, row in sorted(by["idle"][role]["units"].items()):
                cpu, pss = row["cpu_percent"]["median"], row["pss_mb"]["median"]
                lines.append(f"  {unit:<34}{cpu:>7.2f} % CPU{pss:>9.1f} MB")
            for owner, row in sorted(by["idle"][role]["packets_per_s"].items()):
                lines.append(f"  {owner:<34}{row['out']['median']:>7.1f}/s out{row['in']['median']:>8.1f}/s in")
    return lines
