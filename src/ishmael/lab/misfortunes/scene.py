"""The stage of one misfortune: both nodes by role, what was said of it where an admin looks, and what a client saw."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ishmael.lab import acknowledged, database
from ishmael.lab.cluster import Cluster
from ishmael.lab.faults.machine import switch_on
from ishmael.lab.measure import Measured, Measurement
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault

DATA = "/var/lib/postgresql/15/main"
SILENCE_MS_MAX = 2000.0
"""Of the cluster IP while no role moves; a busy host is late itself, and that is taken off."""
_ALONE_S = 60.0
_NAMED_S = 45.0


@dataclass
class Seen:
    """What came of a misfortune.

    Args:
        said: where it was named, and the words.
        rung: how the database was joined again; empty when nobody had to be re-added.
        bytes_moved: by that.
        gap_ms: longest silence of the cluster IP while nothing should move; None when that was not measured.
        more: other findings.
    """

    said: dict[str, str] = field(default_factory=dict)
    rung: str = ""
    bytes_moved: int | None = None
    gap_ms: float | None = None
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Misfortune:
    """One row of the table.

    Args:
        name: in one word.
        mechanism: what is done.
        ends: the state it ends in, and the way back.
        cause: does it, from a complete cluster to a complete cluster.
        rungs: the rungs that are allowed; empty when nobody has to be re-added.
    """

    name: str
    mechanism: str
    ends: str
    cause: Callable[[Scene], None]
    rungs: tuple[str, ...] = ()


class Scene:
    """Begins with a complete cluster.

    Args:
        lab: up and formed.
    """

    def __init__(self, lab: LabPlan) -> None:
        self.lab, self.cluster, self.seen = lab, Cluster(lab), Seen()
        self.cluster.wait_complete()
        self.master = acknowledged.master_of(self.cluster)
        self.slave = next(node for node in self.cluster.nodes if node is not self.master)

    # What is said

    def status(self, node: Node) -> dict[str, Any]:
        """What a node says of the cluster; empty when it does not."""
        return self.cluster.status(node) or {}

    def sync(self, node: Node) -> dict[str, Any]:
        """How far the data is, as a node says."""
        return dict(self.status(node).get("sync") or {})

    def named(self, where: str, words: Callable[[], str], part: str, limit_s: float = _NAMED_S) -> None:
        """Wait until it is named, and note the words.

        Raises:
            HostFault: it is not; with what is said instead.
        """
        said = ""

        def there() -> bool:
            nonlocal said
            # Lines are broken where the terminal ends.
            said = " ".join(words().split())
            return part in said

        if not wait_until(there, limit_s, 0.2):
            raise HostFault("misfortune", f"{where} does not say {part!r} but {said[-900:]!r}.")
        at = said.index(part)
        self.seen.said[where] = said[max(0, at - 120) : at + 180]

    def shown(self, node: Node, part: str) -> None:
        """``ishmael status`` on a node names it, for people."""
        where = f"ishmael status on the {'master' if node is self.master else 'other node'}"
        self.named(where, lambda: node.exec(["ishmael", "status"], timeout_s=20).stdout, part)

    def told(self, node: Node, part: str) -> None:
        """The event list names it."""
        self.named("ishmael events", lambda: node.exec(["ishmael", "events"], timeout_s=20).stdout, part)

    # What becomes of it

    def works_alone(self) -> None:
        """Wait until the master commits without its slave, and says so."""

        def alone() -> bool:
            said = self.status(self.master)
            sync = said.get("sync") or {}
            return (
                said.get("role") == "master" and not said.get("failover_possible") and sync.get("synchronous") is False
            )

        if not wait_until(alone, _ALONE_S, 0.2):
            raise HostFault("misfortune", f"The master does not work alone: {self.status(self.master)}.")
        write_commits(self.master, 5)

    def take_over(self) -> None:
        """The master loses its power, the slave takes over, and the old master is back on standby."""
        self.master.power_cut()
        self.cluster.wait_role(self.slave, "master")
        switch_on(self.master)
        self.cluster.wait_role(self.master, "standby")
        self.master, self.slave = self.slave, self.master

    def re_add(self) -> dict[str, Any]:
        """Bring the other node back; how that went is noted."""
        found = dict(self.cluster.ask(self.master, "re-add")["result"])
        self.seen.rung, self.seen.bytes_moved = str(found["rung"]), int(found["bytes_moved"])
        self.cluster.wait_complete()
        return found

    def whole(self) -> None:
        """Wait until the cluster is complete by itself, and commits wait for the slave again."""
        self.cluster.wait_complete(90)
        master = acknowledged.master_of(self.cluster)
        if not wait_until(lambda: self.sync(master).get("synchronous") is True, 20, 0.2):
            raise HostFault("misfortune", f"Commits do not wait for the slave: {self.sync(master)}.")

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """While this lasts no role may move, and a client that asks the cluster IP every 2 ms is always answered.

        Raises:
            HostFault: it was not so.
        """
        with Measurement(self.lab) as measurement:
            yield
        measured = measurement.result()
        self.seen.gap_ms = max(self.seen.gap_ms or 0.0, measured.gap_ms)
        if measured.changes or measured.dual_ms or _silence_ms(measured) > SILENCE_MS_MAX:
            raise HostFault("misfortune", f"The telephones noticed: {measured}.")


def _silence_ms(measured: Measured) -> float:
    return measured.gap_ms - measured.late_ms


def write_commits(node: Node, count: int) -> None:
    """Insert rows on a node, in the database of an admin's own programs."""
    database.psql(node, "CREATE TABLE IF NOT EXISTS kept (id bigserial, t text)", database.ROLE)
    insert = f"INSERT INTO kept (t) SELECT 'x' FROM generate_series(1, {count:d})"  # noqa: S608 - a number
    database.psql(node, insert, database.ROLE, timeout_s=120)


def sh(node: Node, script: str, timeout_s: float = 60.0) -> str:
    """A shell script in a node, which must succeed."""
    return node.say(["sh", "-euc", script], timeout_s=timeout_s)


def inside(node: Node, path: str) -> Path:
    """A file of a node, seen from the host."""
    return Path(f"/proc/{node.init_pid}/root") / path.lstrip("/")


def finished_jobs(node: Node) -> bool:
    """No job of this node runs or waits."""
    said = node.exec(["ishmael", "jobs", "--json"], timeout_s=20).stdout
    try:
        return {job["state"] for job in json.loads(said)["jobs"]} <= {"done", "failed", "refused"}
    except (ValueError, KeyError):
        return False
