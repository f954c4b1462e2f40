"""Figures of several runs beside what they shall not exceed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ishmael.lab.measure import spread


def summary(
    rows: Sequence[Mapping[str, Any]], limits: Mapping[str, float], by: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """By figure: median, 95th percentile, longest, the limit, and whether it was kept.

    Args:
        rows: one a run; a figure is a number, or a list of them.
        limits: what a figure shall not exceed, in its own unit.
        by: by figure, which of ``median``, ``p95`` and ``max`` shall not; else the median.
    """
    found = {}
    for name in rows[0]:
        values = [value for row in rows for value in (row[name] if isinstance(row[name], list) else [row[name]])]
        of: dict[str, Any] = {**spread(values), "runs": len(rows)}
        if name in limits:
            of |= {"limit": limits[name], "kept": of[by.get(name, "median")] <= limits[name]}
        found[name] = of
    return found


def table(found: Mapping[str, Any]) -> list[str]:
    """For a person."""
    lines = [f"{'':24}{'median':>9}{'p95':>9}{'max':>9}{'limit':>9}"]
    for name, of in found.items():
        kept = "" if of.get("kept", True) else "  not kept"
        lines.append(f"{name:24}{of['median']:9}{of['p95']:9}{of['max']:9}{of.get('limit', ''):>9}{kept}")
    return lines
