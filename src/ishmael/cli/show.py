"""How things look on a terminal. Rich is imported by the functions that draw."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ishmael.words.errors import IshmaelError

if TYPE_CHECKING:
    from rich.console import Console

_STATES = {
    "complete": ("green", "cluster complete"),
    "master-ready": ("cyan", "master ready, no slave yet"),
    "slave-prepared": ("cyan", "slave prepared, waiting for the master to add it"),
    "alone": ("cyan", "not part of a cluster"),
    "degraded": ("yellow", "degraded: a failover is not possible"),
    "standby": ("yellow", "standby: out of service until it is re-added"),
}
_WIDTH = 160
"""Of tables that go to no terminal, in characters."""
_JOB_COLOURS = {
    "done": "green",
    "running": "cyan",
    "queued": "cyan",
    "pending": "yellow",
    "failed": "red",
    "refused": "red",
}


def console(*, stderr: bool = False) -> Console:
    """A terminal to draw on; plain text when it is none."""
    from rich.console import Console  # noqa: PLC0415 - drawing only

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else _WIDTH)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def error_object(error: IshmaelError) -> dict[str, Any]:
    """The error as ``--json`` shows it."""
    return {
        "schema": 1,
        "error": {
            "whose": error.whose,
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
            "findings": [asdict(finding) for finding in error.findings],
        },
    }


def complain(error: IshmaelError) -> None:
    """One clear sentence and what to do, on standard error; all findings when there are several."""
    print(f"ishmael: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  hint: {error.hint}", file=sys.stderr)
    for finding in error.findings:
        if finding.message == error.message:
            continue
        print(f"ishmael: {finding.message}", file=sys.stderr)
        if finding.hint:
            print(f"  hint: {finding.hint}", file=sys.stderr)


def bug(error: Exception) -> None:
    """Something that cannot happen did: say so, with what a maintainer needs."""
    traceback.print_exception(error, file=sys.stderr)
    print(f"ishmael: This is a bug in Ishmael: {type(error).__name__}: {error}", file=sys.stderr)
    print("  hint: Please report it with the lines above.", file=sys.stderr)


def findings(rows: Iterable[Mapping[str, Any]]) -> None:
    """A table of findings with their hints."""
    from rich.table import Table  # noqa: PLC0415

    table = Table("field", "finding", "what to do", "code", title="Findings", title_justify="left", show_lines=True)
    for row in rows:
        code = f"{row['code']}\n(--override)" if row.get("overridable") else str(row["code"])
        table.add_row(str(row["field"]), str(row["message"]), str(row["hint"]), code)
    console(stderr=True).print(table)


def status(seen: Mapping[str, Any]) -> None:
    """The cluster at a glance."""
    out = console()
    colour, words = _STATES.get(str(seen["state"]), ("white", str(seen["state"])))
    out.print(f"[bold {colour}]{seen['state']}[/]  {words}")
    if seen["cluster_ip"]:
        holder = "on this node" if seen["holds_cluster_ip"] else "not on this node"
        out.print(f"cluster IP  [bold]{seen['cluster_ip']}[/] ({holder})")
        out.print(f"master      [bold]{seen['master'] or 'nobody known'}[/]  epoch {seen['epoch'] or '-'}")
        if seen["grade"]:
            missing = f"  missing: {', '.join(seen['grade_missing'])}" if seen["grade_missing"] else ""
            out.print(f"safety      {seen['grade']}{missing}")
    if seen["out_because"]:
        out.print(f"[yellow]this node is out: {seen['out_because']}[/]")
    _nodes(seen)
    _versions(seen)
    for line in standing(seen):
        out.print(line)
    if seen["workload"]:
        out.print("workload    " + ", ".join(f"{unit} {state}" for unit, state in seen["workload"].items()))
    if seen.get("drift"):
        out.print(f"[yellow]changed outside Ishmael:[/] {', '.join(seen['drift'])}  (ishmael drift list)")
    if seen["failover_possible"]:
        out.print("[green]failover possible[/]")
    elif seen["cluster_ip"]:
        out.print("[yellow]failover not possible:[/] " + ("; ".join(seen["failover_blocked_by"]) or "unknown reason"))


def _nodes(seen: Mapping[str, Any]) -> None:
    from rich.table import Table  # noqa: PLC0415

    table = Table("node", "role", "online", "fit", "why not", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for node in seen["nodes"]:
        name = f"{node['name']} (this)" if node["name"] == seen["node"] else str(node["name"])
        table.add_row(
            name,
            str(node["role"] or "unknown"),
            "[green]yes[/]" if node["online"] else "[red]no[/]",
            "[green]yes[/]" if node["fit"] else "[yellow]no[/]",
            "; ".join(node["reasons"]),
        )
    console().print(table)


def standing(seen: Mapping[str, Any]) -> list[str]:
    """How far the slave's data is, and what was kept aside: a line each, none for what is not there."""
    sync, lines = seen.get("sync") or {}, list[str]()
    if sync.get("db_lag_bytes") is not None or sync.get("db_trouble"):
        lines.append(f"database    {_database(sync)}")
    if sync.get("files") and sync.get("file_lag_ms") is not None:
        lines.append(f"files       {_files(sync)}")
        lines.append(f"compared    {_compared(sync['files'])}")
    count = (seen.get("salvage") or {}).get("count")
    if count:
        lines.append(f"[yellow]salvage[/]     {count} kept aside from nodes that joined: ishmael salvage list")
    return lines


def _database(sync: Mapping[str, Any]) -> str:
    parts = []
    if sync.get("db_lag_bytes") is not None:
        parts.append(f"{sync['db_lag_bytes']} bytes of log not applied on the slave")
    if sync.get("canary_age_ms") is not None:
        parts.append(f"canary {sync['canary_age_ms']} ms old")
    if sync.get("synchronous") is not None:
        parts.append(
            "commits wait for the slave" if sync["synchronous"] else "[yellow]commits do not wait for a slave[/]"
        )
    if sync.get("db_trouble"):
        parts.append(f"[yellow]{_plain(sync['db_trouble'])}[/]")
    return ", ".join(parts)


def _files(sync: Mapping[str, Any]) -> str:
    files = sync["files"]
    parts = [f"{sync['file_lag_ms']} ms behind, {files['waiting']} names wait"]
    if not files["in_step"]:
        parts.append("[yellow]being brought in step[/]")
    if files["trouble"]:
        parts.append(f"[yellow]{_plain(files['trouble'])}[/]")
    differing = sync.get("differing") or []
    if differing:
        parts.append(f"[yellow]{_differ(len(differing), differing)}[/]")
    return ", ".join(parts)


def _compared(files: Mapping[str, Any]) -> str:
    """The last reconciliation by name."""
    from datetime import UTC, datetime  # noqa: PLC0415

    if files.get("compared_at") is None:
        return "not yet"
    at = datetime.fromtimestamp(float(files["compared_at"]), UTC).isoformat(timespec="seconds")
    if not files["differed"]:
        return f"{_clock(at, 19)} UTC: nothing differed"
    return f"{_clock(at, 19)} UTC: {_differ(int(files['differed']), files['names'])}; brought over since"


def _differ(count: int, names: Sequence[str]) -> str:
    """``2 files differ: /a, /b``, three names at most."""
    shown = ", ".join(_plain(str(name)) for name in names[:3]) + (", ..." if count > min(3, len(names)) else "")
    return f"{count} file{'s differ' if count != 1 else ' differs'}: {shown}"


def _plain(text: str) -> str:
    """Names come from anywhere: nothing in them may draw on the terminal."""
    from rich.markup import escape  # noqa: PLC0415

    return escape("".join(sign if sign.isprintable() else "?" for sign in text))


def _versions(seen: Mapping[str, Any]) -> None:
    """Side by side; packages that no node has are left out, and so is all of it when nothing is known."""
    told = {str(node["name"]): dict(node.get("versions") or {}) for node in seen["nodes"]}
    for name in dict.fromkeys(package for versions in told.values() for package in versions):
        each = {node: versions.get(name) for node, versions in told.items() if versions}
        if any(each.values()):
            text = ", ".join(f"{version or 'not installed'} ({node})" for node, version in each.items())
            same = len(each) == 1 or len(set(each.values())) == 1
            console().print(f"{name:11} " + (str(next(iter(each.values()))) if same else f"[yellow]{text}[/]"))


def events(rows: Iterable[Mapping[str, Any]]) -> None:
    """The event list, oldest first."""
    out = console()
    for row in rows:
        rule = f" (rule {row['rule']})" if row.get("rule") else ""
        out.print(
            f"{row.get('at', '?')}  {row.get('node', '?')}  [bold]{row.get('kind', '?')}[/]{rule}  {row.get('why', '')}"
        )


def stories(told: Sequence[Mapping[str, Any]]) -> None:
    """Each outage as one readable timeline."""
    out = console()
    if not told:
        out.print("The master's role has not moved yet.")
    for story in told:
        rule = f" (rule {story['rule']})" if story.get("rule") else ""
        out.print(f"[bold]{_clock(story['at'], 19)}  {story['node']} became master{rule}[/]: {story['why']}")
        for line in story["lines"]:
            out.print(f"  {_clock(line['at'], 23)[11:]}  {line['node']}  {line['text']}")
        if story.get("unheard_ms") is not None:
            out.print(
                f"  The former master had not been heard for {story['unheard_ms']} ms when the other held the cluster IP."
            )


def _clock(at: Any, length: int) -> str:
    """Date and time of day (UTC) as people write them, cut to a length."""
    return str(at).replace("T", " ")[:length]


def jobs(rows: Iterable[Mapping[str, Any]]) -> None:
    """All jobs, one line each."""
    from rich.table import Table  # noqa: PLC0415

    table = Table(
        "id", "work", "state", "progress", "begun", "what came of it", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for row in rows:
        colour = _JOB_COLOURS.get(str(row["state"]), "white")
        error = row.get("error") or {}
        table.add_row(
            str(row["id"]),
            str(row["work"]),
            f"[{colour}]{row['state']}[/]",
            str(row["progress"]),
            str(row.get("created_at") or ""),
            str(error.get("message") or ""),
        )
    console().print(table)


def job_result(job: Mapping[str, Any]) -> None:
    """What a finished job says."""
    out = console()
    if job["state"] != "done":
        return
    out.print(f"[green]{job['work']} done[/] (job {job['id']}, {job['steps']} steps)")
    for name, value in (job.get("result") or {}).items():
        out.print(f"  {name.replace('_', ' ')}: {value}", soft_wrap=True)


def amount(raw: Mapping[str, Any]) -> str:
    """``12.0 of 80.0 MB (15 %), 4.1 MB/s, 17 s left``; numbers alone for what is not bytes."""
    done, total, unit = int(raw["done"]), int(raw["total"]), str(raw["unit"])
    scale, name = (1e6, "MB") if unit == "bytes" else (1, unit)
    digits = 1 if unit == "bytes" else 0
    text = f"{done / scale:.{digits}f}"
    text += f" of {total / scale:.{digits}f} {name} ({100 * done // total} %)" if total else f" {name}"
    if raw.get("rate"):
        text += f", {raw['rate'] / scale:.{digits}f} {name}/s"
    if raw.get("remaining_s") is not None:
        text += f", {raw['remaining_s']:.0f} s left"
    return text
