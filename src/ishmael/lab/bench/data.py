"""``script/bench data``, the database's part: promotion, rejoin and first copy beside pg_basebackup, commits with a slave.

Each run goes once around: measure commits, cut the master's power, change a share of the rows on the new one, bring the
old one back (timed), copy everything with plain pg_basebackup on the same wires (timed), hand over in order, and have the
product copy everything (timed).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ishmael.lab import database
from ishmael.lab.acknowledged import master_of
from ishmael.lab.bench import files
from ishmael.lab.cluster import Cluster
from ishmael.lab.faults.machine import switch_on
from ishmael.lab.measure import spread
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault

METRICS = ("promotion_ms", "rejoin_ratio", "initial_sync_ratio", "commit_latency_ratio")
_ROW_BYTES = 2000
_ROLE_TIMEOUT_S = 60.0
_COPY_TIMEOUT_S = 600.0
_PLAIN = """\
rm -rf /var/lib/postgresql/plain
source=$(sed -n "s/^primary_conninfo = '\\(.*\\)'$/\\1/p" /etc/postgresql/*/main/conf.d/zz-ishmael.conf)
begun=$(date +%s%N)
PGPASSFILE=/var/lib/postgresql/.ishmael-pgpass runuser -u postgres -- \\
  /usr/lib/postgresql/*/bin/pg_basebackup -D /var/lib/postgresql/plain -c fast -X stream -d "$source" >/dev/null
ended=$(date +%s%N)
rm -rf /var/lib/postgresql/plain
echo $(((ended - begun) / 1000000))
"""
_PGBENCH = """\
cd /tmp
echo "INSERT INTO bench_commits DEFAULT VALUES;" >/tmp/one-row.sql
PGOPTIONS="-c synchronous_commit=$1" /usr/lib/postgresql/*/bin/pgbench -h /var/run/postgresql -U ishmael -n -c 1 \\
  -T "$2" -f /tmp/one-row.sql lab
"""


def many(
    lab: LabPlan, runs: int, size_mb: int, seconds: float, keep: Path | None, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure, and sum up.

    Args:
        lab: with a complete cluster.
        runs: how often around.
        size_mb: of the database.
        seconds: for each measurement of commits.
        keep: directory for what each run saw, or None.
        say: gets a line a run.
    """
    cluster = Cluster(lab)
    cluster.wait_complete()
    master = master_of(cluster)
    slave = next(node for node in cluster.nodes if node.plan.name != master.plan.name)
    lags = files.lags_ms(master, slave)
    say(f"{len(lags)} voice mails: {json.dumps(spread(lags))} ms")
    _fill(master, size_mb)
    seen: list[dict[str, float]] = []
    for number in range(1, runs + 1):
        cluster.wait_complete()
        found = _around(cluster, seconds)
        seen.append(found)
        say(f"run {number}: {json.dumps(found)}")
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"data-{number}.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
    summary: dict[str, Any] = {}
    for metric in METRICS:
        values = [found[metric] for found in seen]
        summary[metric] = {**_fine(values), "runs": len(values)}
    summary["file_lag_ms"] = {**spread(lags), "runs": len(lags)}
    return summary


def _fine(values: list[float]) -> dict[str, float]:
    """Like ``spread``, but ratios near nought need more digits."""
    scaled = spread([value * 100 for value in values])
    return {name: round(value / 100, 3) for name, value in scaled.items()}


def _fill(master: Node, size_mb: int) -> None:
    rows = max(1, size_mb * 1_000_000 // _ROW_BYTES)
    database.psql(
        master, "DROP TABLE IF EXISTS bench_rows, bench_commits; "
        "CREATE TABLE bench_commits (id bigserial PRIMARY KEY, at timestamptz DEFAULT now()); "
        "CREATE TABLE bench_rows (id bigint PRIMARY KEY, filler text, turn int DEFAULT 0) WITH (fillfactor = 95); "
        "ALTER TABLE bench_rows ALTER filler SET STORAGE PLAIN", database.ROLE,
    )  # fmt: skip
    filler = "(SELECT string_agg(md5((g * 64 + i)::text), '') FROM generate_series(1, 58) i)"
    insert = f"INSERT INTO bench_rows (id, filler) SELECT g, {filler} FROM generate_series(1, {rows}) g"  # noqa: S608
    database.psql(master, insert, database.ROLE, timeout_s=_COPY_TIMEOUT_S)
    # With checksums the first reader of a page logs it as a whole: not to be counted as a change.
    database.psql(master, "VACUUM (FREEZE) bench_rows", database.ROLE, timeout_s=_COPY_TIMEOUT_S)
    database.psql(master, "CHECKPOINT")


def _around(cluster: Cluster, seconds: float) -> dict[str, float]:
    first = master_of(cluster)
    second = next(node for node in cluster.nodes if node is not first)
    alone_ms, waiting_ms = _commit_ms(first, "local", seconds), _commit_ms(first, "on", seconds)
    first.power_cut()
    promotion_ms = _promotion(cluster, second)
    database.psql(
        second, "UPDATE bench_rows SET turn = turn + 1 WHERE id % 100 = 7", database.ROLE, timeout_s=_COPY_TIMEOUT_S
    )
    switch_on(first)
    rejoin = _re_add(cluster, second, first)
    plain_ms = float(first.say(["sh", "-euc", _PLAIN], timeout_s=_COPY_TIMEOUT_S).strip())
    cluster.ask(second, "failover")
    _promotion(cluster, first)
    # A directory that a rewind left half done is copied anew: that is a first copy, with everything else in place.
    second.say(["sh", "-euc", "echo bench >$(echo /var/lib/postgresql/*/main)/ishmael-rewinding"])
    copied = _re_add(cluster, first, second)
    if copied["rung"] != "copy":
        raise HostFault("wrong-rung", f"The node was joined by {copied['rung']}, not by a copy.")
    return {
        "promotion_ms": promotion_ms, "rejoin_ratio": round(rejoin["took_ms"] / plain_ms, 4),
        "initial_sync_ratio": round(copied["took_ms"] / plain_ms, 3),
        "commit_latency_ratio": round(waiting_ms / alone_ms, 3), "commit_alone_ms": alone_ms,
        "commit_waiting_ms": waiting_ms, "rejoin_ms": rejoin["took_ms"], "copy_ms": copied["took_ms"],
        "plain_ms": plain_ms, "rejoin_bytes": rejoin["bytes_moved"], "copy_bytes": copied["bytes_moved"],
        "rejoin_rung": rejoin["rung"],
    }  # fmt: skip


def _commit_ms(node: Node, synchronous_commit: str, seconds: float) -> float:
    """Mean time of a commit of one row, one session, on the master itself (pgbench(1))."""
    said = node.say(
        ["sh", "-euc", _PGBENCH, "bench", synchronous_commit, str(max(1, int(seconds)))], timeout_s=seconds + 60
    )
    found = re.search(r"latency average = ([0-9.]+) ms", said)
    if found is None:
        raise HostFault("command-failed", "pgbench did not say how long a commit took.")
    return float(found[1])


def _promotion(cluster: Cluster, node: Node) -> float:
    """Wait until a node is master; how long its database took."""
    cluster.wait_role(node, "master", _ROLE_TIMEOUT_S)

    def said() -> bool:
        return (((cluster.status(node) or {}).get("sync") or {}).get("promotion_ms")) is not None

    if not wait_until(said, _ROLE_TIMEOUT_S, 0.1):
        raise HostFault("not-promoted", f"The database of {node.plan.name} was not promoted.")
    return float((cluster.status(node) or {})["sync"]["promotion_ms"])


def _re_add(cluster: Cluster, master: Node, other: Node) -> dict[str, Any]:
    """Bring the other node back; how its database was."""
    cluster.wait_role(other, "standby", _ROLE_TIMEOUT_S)
    time.sleep(1.0)
    result = dict(cluster.ask(master, "re-add").get("result") or {})
    cluster.wait_complete()
    return dict(result["database"])


def table(summary: dict[str, Any]) -> list[str]:
    """For a person."""
    return [
        f"{metric:22} median {of['median']:>9}  p95 {of['p95']:>9}  max {of['max']:>9}  ({of['runs']} runs)"
        for metric, of in summary.items()
    ]
