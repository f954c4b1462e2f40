"""Running programs, waiting with a deadline, and knowing a process again."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ishmael.words.errors import HostFault

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def clean_environment() -> dict[str, str]:
    """What programs of the lab see: nothing of the caller's locale or Python, so that output can be read."""
    kept = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    return kept | {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": "/root"}


def run(
    command: Sequence[str],
    *,
    stdin: str = "",
    check: bool = True,
    timeout_s: float = 60.0,
) -> subprocess.CompletedProcess[str]:
    """Run a program of the host and return what it said.

    Args:
        command: program and arguments.
        stdin: text for its standard input.
        check: whether an exit code other than 0 is an error.
        timeout_s: seconds it may take.

    Raises:
        HostFault: it is missing, failed, or took too long.
    """
    try:
        done = subprocess.run(
            list(command),
            input=stdin,
            text=True,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            env=clean_environment(),
            errors="replace",
        )
    except FileNotFoundError as error:
        raise HostFault("program-missing", f"{command[0]} is not installed.", "Run script/setup as root.") from error
    except subprocess.TimeoutExpired as error:
        raise HostFault("program-hangs", f"'{' '.join(command)}' took more than {timeout_s:.0f} s.") from error
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise HostFault(
            "program-failed",
            f"'{' '.join(command)}' failed with {done.returncode}: {said[-1] if said else 'no output'}",
        )
    return done


def wait_until(condition: Callable[[], bool], timeout_s: float, interval_s: float = 0.05) -> bool:
    """Ask until the condition holds or the time is over.

    Args:
        condition: asked again and again.
        timeout_s: seconds to go on asking.
        interval_s: seconds between two questions.

    Returns:
        Whether it held in time.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval_s)
    return True


def started_at(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot (proc(5), field 22 of stat); None when there is none.

    A process id together with its start time names one process for good.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses and may itself contain spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def children_of(pid: int) -> list[int]:
    """Process ids of the direct children, oldest first (proc(5), task/TID/children)."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(word) for word in text.split()]
