"""Files that follow: how long a voice mail takes to the other node, and what the watcher costs with very many files.

Voice mails are files of 30 kB, written one after the other, seen by the clock that both nodes share.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ishmael.lab.cluster import Cluster
from ishmael.lab.measure import spread
from ishmael.lab.node import Node
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault

COUNT = 100
BOX = "var/spool/asterisk/voicemail/bench"
MANY = "var/spool/asterisk/monitor/many"
_BYTES = 30_000
_LIMIT_S = 30.0
_MANY_LIMIT_S = 600.0
_IN_A_DIRECTORY = 500
_TICKS = os.sysconf("SC_CLK_TCK")


def lags_ms(master: Node, slave: Node, count: int = COUNT, box: str = BOX, limit_s: float = _LIMIT_S) -> list[float]:
    """From the closing of each file on the master until it is there, whole, on the slave.

    Args:
        master, slave: where they are written, and looked for.
        count: how many.
        box: directory, the same on both.
        limit_s: how long one may take, in seconds.

    Raises:
        HostFault: one does not get there.
    """
    here, there = (Path(f"/proc/{node.init_pid}/root") / box for node in (master, slave))
    here.mkdir(parents=True, exist_ok=True)
    lags = []
    for number in range(count):
        name = f"msg{number:04}-{time.monotonic_ns()}.wav"
        (here / name).write_bytes(os.urandom(_BYTES))
        begun = time.monotonic()
        if not wait_until((there / name).exists, limit_s, 0.001):
            raise HostFault("file-not-there", f"{box}/{name} did not get to {slave.plan.name}.", "ishmael status")
        lags.append((time.monotonic() - begun) * 1000)
    for path in here.glob("msg*"):
        path.unlink()
    return lags


def watcher(
    cluster: Cluster, master: Node, slave: Node, count: int, seconds: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """What watching costs with so many files: memory, processor time at rest, and the lag beside them.

    Args:
        cluster: complete.
        master, slave: of it.
        count: of the files, 1 kB each.
        seconds: to measure the processor at rest for, each time.
        say: gets a line of progress.

    Raises:
        HostFault: they do not get to the slave.
    """
    before = _cost(master, seconds)
    place = Path(f"/proc/{master.init_pid}/root") / MANY
    say(f"{count} files are made")
    for number in range(count):
        if number % _IN_A_DIRECTORY == 0:
            directory = place / f"{number // _IN_A_DIRECTORY:05}"
            directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{number:06}.wav").write_bytes(b"x" * 1000)
    begun_s = time.monotonic()
    _in_step(cluster, master)
    took_s = time.monotonic() - begun_s
    last = Path(f"/proc/{slave.init_pid}/root") / MANY / directory.name / f"{count - 1:06}.wav"
    if not last.exists():
        raise HostFault("file-not-there", f"{last} did not get to {slave.plan.name}.", "ishmael status")
    during = _cost(master, seconds)
    lags = lags_ms(master, slave, COUNT // 2)
    shutil.rmtree(place)
    _in_step(cluster, master)
    return {
        "files": count, "memory_mb_before": before[0], "memory_mb": during[0], "cpu_percent_before": before[1],
        "cpu_percent": during[1], "brought_s": round(took_s, 1), "file_lag_ms": {**spread(lags), "runs": len(lags)},
    }  # fmt: skip


def _in_step(cluster: Cluster, master: Node) -> None:
    def calm() -> bool:
        files = ((cluster.status(master) or {}).get("sync") or {}).get("files") or {}
        return bool(files.get("in_step")) and files.get("waiting") == 0 and not files.get("trouble")

    # A change needs a moment to be seen.
    time.sleep(1.0)
    if not wait_until(calm, _MANY_LIMIT_S, 0.5):
        raise HostFault("files-not-in-step", "The files do not get in step.", "ishmael status")


def _cost(node: Node, seconds: float) -> tuple[float, float]:
    """The manager's memory in MB (proportional set), and its processor time at rest in percent of a core."""
    pid = int(node.say(["systemctl", "show", "--property=MainPID", "--value", "ishmael-manager"]).strip())
    proc = Path(f"/proc/{node.init_pid}/root/proc/{pid}")
    begun, begun_s = _ticks(proc), time.monotonic()
    time.sleep(seconds)
    used = (_ticks(proc) - begun) / _TICKS / (time.monotonic() - begun_s)
    rollup = (proc / "smaps_rollup").read_text(encoding="ascii")
    pss_kb = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return round(pss_kb / 1000, 1), round(100 * used, 2)


def _ticks(proc: Path) -> int:
    """Of the process itself and of its children that have ended, as rsync (proc(5), stat)."""
    fields = (proc / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(int(fields[number]) for number in (11, 12, 13, 14))
