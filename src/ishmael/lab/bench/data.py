"""``script/bench data``: promotion, rejoin and first copy beside PostgreSQL's and rsync's own tools, commits, files.

Each run goes once around: measure commits; cut the master's power under write load and count every acknowledged row;
change a share of the rows on the new one; bring the old one back (timed); hand over in order; and on the node that has to
be joined then, by turns first or second, copy everything with the plain tools (timed) and with the product (timed).
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ishmael.lab import acknowledged, database, network
from ishmael.lab.acknowledged import master_of
from ishmael.lab.bench import files, lsyncd
from ishmael.lab.cluster import Cluster
from ishmael.lab.faults.machine import switch_on
from ishmael.lab.measure import spread
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault

METRICS = (
    "lost_acknowledged", "promotion_ms", "rejoin_ratio", "rejoin_bytes_ratio", "initial_sync_ratio", "commit_latency_ratio",
)  # fmt: skip
_ROW_BYTES = 2000
_ROLE_TIMEOUT_S = 60.0
_COPY_TIMEOUT_S = 600.0
_RECORDINGS = "/var/spool/asterisk/monitor/bench"
_RECORDING_BYTES = 400_000
_WRITING_S = 2.0
# The master's side of plain rsync: a server of its own, for the other node.
_SERVE = """\
printf 'uid = 0\\ngid = 0\\nuse chroot = no\\n[bench]\\npath = %s\\n' "$1" >/run/bench-rsyncd.conf
systemd-run --quiet --collect --unit=bench-rsyncd -- \\
  rsync --daemon --no-detach --port=8731 --config=/run/bench-rsyncd.conf
for turn in $(seq 100); do rsync "rsync://$2:8731/" >/dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1
"""
_PLAIN = """\
rm -rf /var/lib/postgresql/plain /var/spool/plain
source=$(sed -n "s/^primary_conninfo = '\\(.*\\)'$/\\1/p" /etc/postgresql/*/main/conf.d/zz-ishmael.conf)
begun=$(date +%s%N)
PGPASSFILE=/var/lib/postgresql/.ishmael-pgpass runuser -u postgres -- \\
  /usr/lib/postgresql/*/bin/pg_basebackup -D /var/lib/postgresql/plain -c fast -X stream -d "$source" >/dev/null
between=$(date +%s%N)
rsync -a "rsync://$1:8731/bench/" /var/spool/plain/
sync -f /var/spool/plain
ended=$(date +%s%N)
rm -rf /var/lib/postgresql/plain /var/spool/plain
echo $(((between - begun) / 1000000)) $(((ended - between) / 1000000))
"""
_PGBENCH = """\
cd /tmp
echo "INSERT INTO bench_commits DEFAULT VALUES;" >/tmp/one-row.sql
PGOPTIONS="-c synchronous_commit=$1" /usr/lib/postgresql/*/bin/pgbench -h /var/run/postgresql -U ishmael -n -c 1 \\
  -T "$2" -f /tmp/one-row.sql lab
"""


@dataclass(frozen=True)
class Sizes:
    """How much of everything.

    Args:
        runs: how often around.
        database_mb: of the database, in MB.
        files_mb: of the recordings, in MB.
        many: files for the watcher; 0 leaves that out.
        seconds: for each measurement of commits.
        beside: measure lsyncd, too.
        cable_mbit: what the cable carries each way, in megabits a second; 0: as much as this machine can.
    """

    runs: int = 5
    database_mb: int = 2000
    files_mb: int = 200
    many: int = 100_000
    seconds: float = 5
    beside: bool = True
    cable_mbit: int = 0


def many(lab: LabPlan, sizes: Sizes, keep: Path | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure, and sum up.

    Args:
        lab: with a complete cluster.
        sizes: how much.
        keep: directory for what each run saw, or None.
        say: gets a line a run.
    """
    cluster = Cluster(lab)
    cluster.wait_complete()
    master = master_of(cluster)
    slave = next(node for node in cluster.nodes if node.plan.name != master.plan.name)
    lags = files.lags_ms(master, slave)
    say(f"{len(lags)} voice mails: {json.dumps(spread(lags))} ms; load {_load()}")
    summary: dict[str, Any] = {"file_lag_ms": {**spread(lags), "runs": len(lags)}}
    if sizes.beside:
        summary["file_lag_ms_beside"] = lsyncd.measure(say)
    if sizes.many:
        summary["watcher"] = files.watcher(cluster, master, slave, sizes.many, 2 * sizes.seconds, say)
        say(f"watcher: {json.dumps(summary['watcher'])}")
    _fill(master, slave, sizes)
    seen: list[dict[str, Any]] = []
    try:
        for number in range(1, sizes.runs + 1):
            cluster.wait_complete()
            found = {**_around(lab, cluster, sizes, plain_first=bool(number % 2)), "load": _load()}
            seen.append(found)
            say(f"run {number}: {json.dumps(found)}")
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"data-{number}.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
    finally:
        for node in cluster.nodes:
            network.limit_cable(node.plan, 0)
    for metric in METRICS:
        values = [float(found[metric]) for found in seen]
        summary[metric] = {**_fine(values), "runs": len(values)}
    return summary


def _load() -> float:
    return round(os.getloadavg()[0], 1)


def _fine(values: list[float]) -> dict[str, float]:
    """Like ``spread``, but ratios near nought need more digits."""
    scaled = spread([value * 100 for value in values])
    return {name: round(value / 100, 3) for name, value in scaled.items()}


def _fill(master: Node, slave: Node, sizes: Sizes) -> None:
    rows = max(1, sizes.database_mb * 1_000_000 // _ROW_BYTES)
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
    # Nor is what both have written in this: log that either still keeps of it would be brought over by a rewind.
    database.psql(master, "CHECKPOINT", timeout_s=_COPY_TIMEOUT_S)
    behind = (
        "SELECT coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)), 1) > 1000000 FROM pg_stat_replication"
    )
    wait_until(lambda: database.psql(master, behind) == "f", _COPY_TIMEOUT_S, 0.5)
    for node in (slave, master):
        database.psql(node, "CHECKPOINT", timeout_s=_COPY_TIMEOUT_S)
    place = Path(f"/proc/{master.init_pid}/root{_RECORDINGS}")
    place.mkdir(parents=True, exist_ok=True)
    for number in range(sizes.files_mb * 1_000_000 // _RECORDING_BYTES):
        (place / f"{number:05}.wav").write_bytes(os.urandom(_RECORDING_BYTES))


def _around(lab: LabPlan, cluster: Cluster, sizes: Sizes, *, plain_first: bool) -> dict[str, Any]:
    first = master_of(cluster)
    second = next(node for node in cluster.nodes if node is not first)
    for node in cluster.nodes:
        network.limit_cable(node.plan, sizes.cable_mbit)
    alone_ms, waiting_ms = _commits_ms(first, sizes.seconds)
    lost, count, promotion_ms = _cut(lab, cluster, first, second)
    update = "UPDATE bench_rows SET turn = turn + 1 WHERE id % 100 = 7"
    database.psql(second, update, database.ROLE, timeout_s=_COPY_TIMEOUT_S)
    switch_on(first)
    network.limit_cable(first.plan, sizes.cable_mbit)
    rejoin = _re_add(cluster, second, first)
    cluster.ask(second, "failover")
    _promotion(cluster, first)
    cluster.wait_role(second, "standby", _ROLE_TIMEOUT_S)
    # A directory that a rewind left half done is copied anew: that is a first copy, with everything else in place.
    second.say(
        ["sh", "-euc", f"echo bench >$(echo /var/lib/postgresql/*/main)/ishmael-rewinding; rm -rf {_RECORDINGS}"]
    )
    plain = _plain(first, second) if plain_first else None
    copied = _re_add(cluster, first, second)
    if copied["rung"] != "copy" or copied["file_bytes_moved"] < sizes.files_mb * 900_000:
        raise HostFault(
            "wrong-rung", f"The node was joined by {copied['rung']}, {copied['file_bytes_moved']} bytes of files."
        )
    plain_base_ms, plain_files_ms = plain or _plain(first, second)
    return {
        "lost_acknowledged": lost, "acknowledged": count, "promotion_ms": promotion_ms,
        "rejoin_ratio": round(rejoin["data_took_ms"] / (plain_base_ms + plain_files_ms), 4),
        "rejoin_bytes_ratio": round(rejoin["bytes_moved"] / copied["bytes_moved"], 4),
        "initial_sync_ratio": round(copied["data_took_ms"] / (plain_base_ms + plain_files_ms), 3),
        "commit_latency_ratio": round(waiting_ms / alone_ms, 3), "commit_alone_ms": alone_ms,
        "commit_waiting_ms": waiting_ms, "rejoin_ms": rejoin["data_took_ms"],
        "rejoin_database_ms": rejoin["database"]["took_ms"], "copy_ms": copied["data_took_ms"],
        "copy_database_ms": copied["database"]["took_ms"], "plain_base_ms": plain_base_ms, "plain_files_ms": plain_files_ms,
        "rejoin_bytes": rejoin["database"]["bytes_moved"], "copy_bytes": copied["bytes_moved"],
        "rejoin_rung": rejoin["rung"],
    }  # fmt: skip


def _commits_ms(node: Node, seconds: float) -> tuple[float, float]:
    """Mean time of a commit without and with a slave: by turns, so that noise befalls both."""
    alone, waiting = [], []
    for _ in range(2):
        alone.append(_commit_ms(node, "local", seconds / 2))
        waiting.append(_commit_ms(node, "on", seconds / 2))
    return round(sum(alone) / 2, 3), round(sum(waiting) / 2, 3)


def _cut(lab: LabPlan, cluster: Cluster, first: Node, second: Node) -> tuple[int, int, float]:
    """Cut the master's power under write load: acknowledged and lost, acknowledged in all, and how long the promotion took."""
    with acknowledged.writing(lab, first) as book:
        time.sleep(_WRITING_S)
        first.power_cut()
        promotion_ms = _promotion(cluster, second)
        before = book.count()
        wait_until(lambda: book.count() > before + acknowledged.WORKERS, _ROLE_TIMEOUT_S, 0.1)
        book.stop()
        return len(acknowledged.lost(second, book)), book.count(), promotion_ms


def _plain(source: Node, target: Node) -> tuple[float, float]:
    """pg_basebackup, then rsync, into empty directories of the same disk, over the same cable; each in ms."""
    ip = source.plan.internal_ip
    source.say(["sh", "-euc", _SERVE, "bench", _RECORDINGS, ip])
    try:
        said = target.say(["sh", "-euc", _PLAIN, "bench", ip], timeout_s=_COPY_TIMEOUT_S).split()
    finally:
        source.exec(["systemctl", "stop", "bench-rsyncd"], timeout_s=20)
    return float(said[-2]), float(said[-1])


def _commit_ms(node: Node, synchronous_commit: str, seconds: float) -> float:
    """Mean time of a commit of one row, one session, on the master itself (pgbench(1))."""
    said = node.say(
        ["sh", "-euc", _PGBENCH, "bench", synchronous_commit, str(max(1, round(seconds)))], timeout_s=seconds + 60
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
    """Bring the other node back; how its data was."""
    cluster.wait_role(other, "standby", _ROLE_TIMEOUT_S)
    time.sleep(1.0)
    result = dict(cluster.ask(master, "re-add").get("result") or {})
    cluster.wait_complete()
    return result


def table(summary: dict[str, Any]) -> list[str]:
    """For a person."""
    rows = {**summary, **summary.get("file_lag_ms_beside", {})}
    watched = summary.get("watcher", {})
    return [
        *(
            f"{metric:22} median {of['median']:>9}  p95 {of['p95']:>9}  max {of['max']:>9}  ({of['runs']} runs)"
            for metric, of in rows.items() if "median" in of
        ),
        *(f"watcher {name:22} {value}" for name, value in watched.items()),
    ]  # fmt: skip
