"""Running programs in the client's namespace, as members of the lab's control group."""

from __future__ import annotations

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
    """The phones of the lab, in a process of their own on the client."""

    def __init__(self, lab: LabPlan) -> None:
        words = [sys.executable, "-m", "ishmael.lab.phone", plan.CLIENT_IP, plan.CLUSTER_IP]
        self._process = subprocess.Popen(
            command(lab, words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(json.loads(line))

    def __enter__(self) -> Phones:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process; calls that run are dropped without a word."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def order(self, *orders: dict[str, Any]) -> list[dict[str, Any]]:
        """Give orders, all at once, and return the results in the same order.

        Args:
            orders: each with ``do`` and ``phone``; at most one for each phone.

        Raises:
            HostFault: the phones' process does not answer.
        """
        assert self._process.stdin is not None
        for order in orders:
            full = {"password": asterisk_files.password(order["phone"]), **order}
            self._process.stdin.write(json.dumps(full) + "\n")
        found: dict[str, dict[str, Any]] = {}
        while len(found) < len(orders):
            try:
                result = self._said.get(timeout=ORDER_TIMEOUT_S)
            except queue.Empty as error:
                raise HostFault("phones-silent", "The lab's phones do not answer.", "Is the lab still up?") from error
            found[result["phone"]] = result
        return [found[order["phone"]] for order in orders]
