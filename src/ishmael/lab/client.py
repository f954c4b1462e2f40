"""Running programs in the client's namespace, as members of the lab's control group."""

from __future__ import annotations

import importlib.util
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from ishmael.lab import asterisk_files, cgroups, plan
from ishmael.lab.plan import LabPlan
from ishmael.words.errors import HostFault

ORDER_TIMEOUT_S = 20.0
PHONES_A_PROCESS = 2
"""The library is built for four calls a process, and a phone may have one that is not over yet beside the one it makes."""


def member(lab: LabPlan, words: Sequence[str]) -> list[str]:
    """The command line that runs a command on the host, but as one of the lab, so that `lab down` ends it."""
    cgroups.create(f"{lab.cgroup}/client")
    groups = " ".join(str(directory) for directory in cgroups.directories(f"{lab.cgroup}/client"))
    enter = 'for g in $1; do echo $$ >"$g/cgroup.procs"; done; shift; exec "$@"'
    return ["sh", "-euc", enter, "lab-client", groups, *words]


def command(lab: LabPlan, words: Sequence[str]) -> list[str]:
    """The command line, on the host, that runs a command on the client."""
    return member(lab, ["ip", "netns", "exec", lab.client_netns, *words])


class Phones:
    """The phones of the lab, in processes of their own on the client, a few in each."""

    def __init__(self, lab: LabPlan) -> None:
        """Start nothing yet.

        Raises:
            HostFault: the library that the phones are made of is not there.
        """
        if importlib.util.find_spec("pjsua2") is None:
            raise HostFault(
                "phones-missing",
                f"The lab's phones need the Python package pjsua2-python, which {sys.executable} does not have.",
                "Run script/setup; there are builds of it for Python 3.11 and 3.12 on x86-64 only.",
            )
        self._lab = lab
        self._processes: list[subprocess.Popen[str]] = []
        self._homes: dict[str, subprocess.Popen[str]] = {}
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()

    def _home(self, phone: str) -> subprocess.Popen[str]:
        """The process a phone lives in, for as long as this object does."""
        if phone not in self._homes:
            if len(self._homes) == PHONES_A_PROCESS * len(self._processes):
                words = [sys.executable, "-m", "ishmael.lab.phone", plan.CLIENT_IP, plan.CLUSTER_IP]
                process = subprocess.Popen(
                    command(self._lab, words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
                )
                self._processes.append(process)
                threading.Thread(target=self._listen, args=(process,), daemon=True).start()
            self._homes[phone] = self._processes[-1]
        return self._homes[phone]

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._said.put(json.loads(line))

    def __enter__(self) -> Phones:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes; they hang up what calls run."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self._processes:
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def order(self, *orders: dict[str, Any]) -> list[dict[str, Any]]:
        """Give orders, all at once, and return the results in the same order.

        Args:
            orders: each with ``do`` and ``phone``; at most one for each phone.

        Raises:
            HostFault: a phones' process does not answer.
        """
        for order in orders:
            process = self._home(order["phone"])
            assert process.stdin is not None
            full = {"password": asterisk_files.password(order["phone"]), **order}
            process.stdin.write(json.dumps(full) + "\n")
        found: dict[str, dict[str, Any]] = {}
        while len(found) < len(orders):
            try:
                result = self._said.get(timeout=ORDER_TIMEOUT_S)
            except queue.Empty as error:
                raise HostFault("phones-silent", "The lab's phones do not answer.", "Is the lab still up?") from error
            found[result["phone"]] = result
        return [found[order["phone"]] for order in orders]
