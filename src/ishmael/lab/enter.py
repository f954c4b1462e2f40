"""Run a command inside a node, as ``python -I -S enter.py PID GROUPS -- COMMAND ...``: imports the standard library only.

nsenter(1) is not up to it: it stops itself when its child is stopped, and a system that shuts down stops everything
first. Its child then stays a zombie, and the kernel waits with the end of the container until somebody reaps it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

NAMESPACES = ("cgroup", "ipc", "uts", "net", "pid", "mnt")
PR_SET_PDEATHSIG = 1
NOT_FOUND = 127
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": os.environ.get("TERM", "dumb"),
}


def enter(pid: int, groups: list[str]) -> None:
    """Move this process into a container's control groups and namespaces (setns(2)); children are wholly inside."""
    libc = ctypes.CDLL(None, use_errno=True)
    places = [os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY) for name in NAMESPACES]
    for group in groups:
        # systemd sweeps away groups it does not know once they are empty, so the group is made for each command.
        Path(group).mkdir(parents=True, exist_ok=True)
        Path(group, "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
    for place in places:
        if libc.setns(place, 0) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.close(place)
    os.chdir("/root")


def wait(child: int) -> int:
    """Wait for the command's end, passing on what would end us, and return the exit code a shell would give."""

    def pass_on(number: int, _frame: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(child, number)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGHUP, pass_on)
    # Ctrl-C reaches the command by itself; it decides what to do about it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return 128 - code if code < 0 else code


def main(arguments: list[str]) -> int:
    """Enter, run the command, return its exit code."""
    pid, groups, _, *command = arguments
    enter(int(pid), groups.split())
    child = os.fork()
    if child:
        return wait(child)
    # When the waiting process is killed, the command goes too.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        os.execvpe(command[0], command, ENVIRONMENT)  # noqa: S606 - running a given command is the purpose
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        os._exit(NOT_FOUND)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
