"""The lab's control groups: every process of the lab is in one, so none is ever lost.

Works on hosts with the unified hierarchy alone and on hybrid ones, where systemd-nspawn also uses ``name=systemd``.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault

KILL_TIMEOUT_S = 10.0


def hierarchies() -> tuple[Path, ...]:
    """Mount points of the hierarchies a container takes part in: the unified one first.

    Raises:
        HostFault: the host has no unified hierarchy.
    """
    unified: list[Path] = []
    named: list[Path] = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        left, _, right = line.partition(" - ")
        point = Path(left.split()[4])
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup2":
            unified.append(point)
        elif kind == "cgroup" and "name=systemd" in options.split(" ")[-1].split(","):
            named.append(point)
    if not unified:
        raise HostFault(
            "no-cgroup2",
            "This machine has no unified control group hierarchy.",
            "Mount one: mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified",
        )
    return (unified[0], *named[:1])


def directories(name: str) -> tuple[Path, ...]:
    """The group of this name in each hierarchy, the unified one first."""
    return tuple(root / name for root in hierarchies())


def create(name: str) -> None:
    """Make the group in each hierarchy."""
    for directory in directories(name):
        directory.mkdir(parents=True, exist_ok=True)


def join(name: str, pid: int = 0) -> None:
    """Move a process into the group in each hierarchy.

    Args:
        name: the group.
        pid: the process; 0 for the caller.
    """
    for directory in directories(name):
        (directory / "cgroup.procs").write_text(str(pid), encoding="ascii")


def _groups(directory: Path) -> Iterator[Path]:
    """The group and all below it, the innermost first."""
    if directory.is_dir():
        for parent, _, _ in os.walk(directory, topdown=False):
            yield Path(parent)


def processes(name: str) -> list[int]:
    """All processes in the group and below."""
    pids: set[int] = set()
    for directory in directories(name):
        for group in _groups(directory):
            with suppress(OSError):
                pids.update(int(word) for word in (group / "cgroup.procs").read_text(encoding="ascii").split())
    return sorted(pids)


def freeze(name: str, *, frozen: bool) -> None:
    """Freeze or thaw every process of the group (cgroups(7), cgroup.freeze)."""
    (directories(name)[0] / "cgroup.freeze").write_text("1" if frozen else "0", encoding="ascii")


def kill(name: str) -> None:
    """Send SIGKILL to every process of the group; returns before they are gone."""
    switch = directories(name)[0] / "cgroup.kill"
    try:
        switch.write_text("1", encoding="ascii")
    except OSError:
        # Kernels before 5.14 have no such switch.
        for pid in processes(name):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def remove(name: str) -> None:
    """Kill what is in the group and take the group away.

    Raises:
        HostFault: a process did not die, or a group did not go.
    """
    if not any(directory.is_dir() for directory in directories(name)):
        return
    if not empty(name, KILL_TIMEOUT_S):
        left = ", ".join(str(pid) for pid in processes(name))
        raise HostFault("processes-left", f"Processes of the lab did not die: {left}.", "See ps; they may hang in I/O.")
    for directory in directories(name):
        # A dead process's group lingers for a moment in the kernel.
        if not wait_until(lambda directory=directory: _rmdir(directory), KILL_TIMEOUT_S, 0.01):  # type: ignore[misc]
            raise HostFault("cgroup-left", f"The control group {directory} cannot be removed.")


def empty(name: str, timeout_s: float) -> bool:
    """Kill everything in the group until nothing is left; whether that worked in time."""
    deadline = time.monotonic() + timeout_s
    while processes(name):
        kill(name)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _rmdir(directory: Path) -> bool:
    for group in _groups(directory):
        with suppress(OSError):
            group.rmdir()
    return not directory.exists()
