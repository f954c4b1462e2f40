"""Running other programs: no shell, a time limit, the C locale."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from ishmael.words.errors import HostFault

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": os.environ.get("HOME", "/root")}


def run(
    argv: Sequence[str], *, limit_s: float = 20.0, given: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a program and wait for its end, whatever its exit code.

    Args:
        argv: program and arguments.
        limit_s: after which it is killed, in seconds.
        given: its standard input.

    Raises:
        HostFault: it is not installed, or did not end in time.
    """
    try:
        return subprocess.run(
            list(argv), input=given or b"", capture_output=True, timeout=limit_s, env=ENVIRONMENT, check=False
        )
    except FileNotFoundError as error:
        raise HostFault(
            "program-missing", f"The program {argv[0]} is not installed.", "Install Ishmael again."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise HostFault(
            "program-slow", f"{' '.join(argv[:3])} did not end within {limit_s:.0f} s.", "Is the machine overloaded?"
        ) from error


def words_of(done: subprocess.CompletedProcess[bytes]) -> str:
    """The last line a program said, for an error message."""
    said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
    return said[-1].rstrip(".\r") if said else f"exit code {done.returncode}"
