"""Running long builds: in namespaces that end with them, with progress, leaving nothing half-made."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ishmael.lab.plan import CACHE
from ishmael.lab.tools import clean_environment
from ishmael.words.errors import HostFault

LINES_KEPT = 400


@dataclass(frozen=True)
class Build:
    """One thing to be built into the cache.

    Args:
        title: what a person sees.
        target: directory in the cache that it becomes, all at once.
        script: shell script; ``$1`` is the directory to fill.
        lines: lines of output it usually makes, for the progress.
    """

    title: str
    target: Path
    script: str
    lines: int


Say = Callable[[str], None]


def isolated(script: str, *arguments: str) -> list[str]:
    """A command line for a shell script whose mounts and processes end with it, and with its parent.

    Mounts are made in an own mount namespace, processes in an own PID namespace: whatever kills the script, or the
    program that started it, leaves neither behind (unshare(1), prctl(2) PR_SET_PDEATHSIG).
    """
    return [
        *("setpriv", "--pdeathsig", "KILL"),
        *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"),
        *("sh", "-euc", script, "lab-build", *arguments),
    ]


@contextmanager
def cache_lock(say: Say) -> Iterator[None]:
    """Only one builds at a time; what a killed one left is removed."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another build of the base")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in CACHE.glob("*.building"):
            shutil.rmtree(left)
        yield


def build_all(builds: Sequence[Build], say: Say) -> None:
    """Build what is missing, side by side.

    Args:
        builds: what must exist in the end.
        say: gets a line for a person now and then.

    Raises:
        HostFault: a build failed; the others are stopped and nothing half-made stays.
    """
    missing = [build for build in builds if not build.target.exists()]
    if not missing:
        return
    with cache_lock(say):
        workers = [_Worker(build) for build in missing if not build.target.exists()]
        try:
            _watch(workers, say)
        finally:
            for worker in workers:
                worker.stop()


class _Worker:
    """A build that runs: its process, and the lines it said."""

    def __init__(self, build: Build) -> None:
        self.build = build
        self.lines: list[str] = []
        self.count = 0
        self.place = build.target.with_name(build.target.name + ".building")
        self.place.mkdir(parents=True)
        self.process = subprocess.Popen(
            isolated(build.script, str(self.place)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=clean_environment() | {"DEBIAN_FRONTEND": "noninteractive"},
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.count += 1
            self.lines = [*self.lines[-LINES_KEPT:], line.rstrip()]

    @property
    def percent(self) -> int:
        return min(99, self.count * 100 // self.build.lines)

    def finish(self) -> None:
        """Move the result to its place, or say why there is none."""
        self.reader.join(timeout=5)
        if self.process.returncode != 0:
            log = CACHE / f"{self.build.target.name}.log"
            log.write_text("\n".join(self.lines) + "\n", encoding="utf-8")
            last = next((line for line in reversed(self.lines) if line.startswith(("E:", "W:"))), "")
            said = last or (self.lines[-1] if self.lines else "no output")
            raise HostFault("build-failed", f"Building the {self.build.title} failed: {said}", f"The end of it: {log}")
        self.place.rename(self.build.target)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.place.exists():
            shutil.rmtree(self.place)


def _watch(workers: list[_Worker], say: Say) -> None:
    begun = time.monotonic()
    running = list(workers)
    while running:
        try:
            running[0].process.wait(timeout=1 if sys.stderr.isatty() else 5)
        except subprocess.TimeoutExpired:
            parts = [f"{worker.build.title} {worker.percent} %" for worker in running]
            say(f"building (once): {', '.join(parts)}, {time.monotonic() - begun:.0f} s")
        for worker in [worker for worker in running if worker.process.poll() is not None]:
            running.remove(worker)
            worker.finish()
            say(f"{worker.build.title} ready after {time.monotonic() - begun:.0f} s")
