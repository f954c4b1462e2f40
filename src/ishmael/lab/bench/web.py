"""``web``: how big and how quick pages are, what the web process takes, how soon a page shows a new master."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ishmael.lab import web, web_visitor
from ishmael.lab.bench.systems import Product
from ishmael.lab.build import Say
from ishmael.lab.cluster import Cluster
from ishmael.lab.faults.causing import heal, inject, named
from ishmael.lab.idle import processes
from ishmael.lab.measure import settle, spread
from ishmael.lab.plan import LabPlan
from ishmael.words.errors import HostFault

_PAGES = 120
_LIMIT_S = 30
_REST_S = 4.0
"""The slave needs a moment to have users and certificate."""
_UNIT = "ishmael-web.service"


def _visit(lab: LabPlan, what: str, number: int) -> subprocess.Popen[str]:
    access = web.access(lab)
    if access is None:
        raise HostFault("no-web-user", "The lab has no web user.", "Form it: ishmael lab form")
    program = str(Path(web_visitor.__file__))
    words = [sys.executable, "-I", program, access["url"], access["user"], access["password_file"], what, str(number)]
    return subprocess.Popen(["ip", "netns", "exec", lab.client_netns, *words], stdout=subprocess.PIPE, text=True)


def _lines(visit: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert visit.stdout is not None
    for line in visit.stdout:
        yield json.loads(line)


def once(lab: LabPlan) -> dict[str, Any]:
    """One run: pages, memory, then a power cut of the master while a page is open."""
    found = list(_lines(_visit(lab, "pages", _PAGES)))
    times = [row["ms"] for row in found if "ms" in row]
    master = Cluster(lab).master()
    if master is None or not times or any(row.get("status", 200) != 200 for row in found):
        raise HostFault("no-pages", "The pages did not answer.", "See: journalctl -u ishmael-web")
    memory = [usage.pss_kb / 1024 for usage in processes(master).values() if usage.unit == _UNIT]
    visit = _visit(lab, "takeover", _LIMIT_S)
    rows = _lines(visit)
    next(rows)
    begun_s = time.monotonic()
    inject(lab, named("power-cut"), master)
    shown = next((row for row in rows if "at_s" in row), None)
    visit.wait(_LIMIT_S)
    return {
        "first_page_bytes": found[0]["first_page_bytes"],
        "page_ms": times,
        "web_pss_mb": round(sum(memory), 1),
        "takeover_shown_ms": round((shown["at_s"] - begun_s) * 1000, 1) if shown else None,
        "login_kept": bool(shown and shown["signed_in"]),
    }


def many(system: Product, runs: int, say: Say, *, print_runs: bool) -> dict[str, Any]:
    """Run it several times; the summary by figure."""
    rows = []
    for run in range(1, runs + 1):
        row = once(system.lab)
        rows.append(row)
        say(
            f"web {run}: page {spread(row['page_ms'])['median']:.1f} ms, new master shown after {row['takeover_shown_ms']} ms"
        )
        if print_runs:
            print(json.dumps({"run": run, **row}))
        heal(system.lab)
        Cluster(system.lab).re_add_standby()
        Cluster(system.lab).wait_complete()
        settle(_REST_S)
    shown = [row["takeover_shown_ms"] for row in rows if row["takeover_shown_ms"] is not None]
    return {
        "first_page_bytes": spread([row["first_page_bytes"] for row in rows]),
        "page_ms": spread([ms for row in rows for ms in row["page_ms"]]),
        "web_pss_mb": spread([row["web_pss_mb"] for row in rows]),
        "takeover_shown_ms": spread(shown),
        "logins_kept": sum(row["login_kept"] for row in rows),
        "runs": len(rows),
    }
