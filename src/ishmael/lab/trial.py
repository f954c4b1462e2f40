"""One trial of a fault: cause it in a complete cluster, look from outside, heal it, and judge what was seen by the table."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

from ishmael.lab import faults
from ishmael.lab.cluster import COMPLETE_TIMEOUT_S, Cluster
from ishmael.lab.faults import Fault, Moves
from ishmael.lab.lifecycle import nodes_of
from ishmael.lab.measure import Measured, Measurement, settle
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.lab.status import holds_cluster_ip
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault

_MOVE_TIMEOUT_S = 20.0
_TOLD_TIMEOUT_S = 10.0
_MASTER_TIMEOUT_S = 15.0
_OUT_OF_SERVICE = ("standby", "out")


@dataclass
class Watch:
    """Asks both kernels every 20 ms who holds the cluster IP, on nodes that may boot meanwhile; for a ``with`` block.

    ``holders``: everyone who was seen alone, in order, each once in a row. ``both_ms``: time in which both held it.
    """

    lab: LabPlan
    holders: list[str] = field(default_factory=list)
    both_ms: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _value: object, _trace: TracebackType | None) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _look(self) -> None:
        before_s = time.monotonic()
        while not self._stop.wait(0.02):
            now_s = time.monotonic()
            holding = [node.plan.name for node in nodes_of(self.lab) if holds_cluster_ip(node)]
            if len(holding) > 1:
                # Counted from the look before: rather too long than too short.
                self.both_ms += (now_s - before_s) * 1000
            before_s = now_s
            if len(holding) == 1 and self.holders[-1:] != holding:
                self.holders.append(holding[0])


@dataclass(frozen=True)
class Trial:
    """What was seen of one fault. Times in milliseconds.

    Args:
        fault: which one.
        node: the node it befell.
        master: who served before it.
        measured: what a client saw, until the fault was healed.
        served_by: who held the address before healing; empty for nobody.
        after: who held it in turn since healing began.
        both_after_ms: time in which both held it since then.
        one_master_ms: from the end of healing to exactly one master; none when there was not one in time.
        roles: of both nodes then.
        epochs: of the cluster, before and at the end.
        told: kinds of the events that came meanwhile.
        rules: the rules that fired meanwhile, each as "time node rule: why", oldest first.
        re_added: how the re-adding ended; empty when nobody had to be.
        complete: whether the cluster was complete again at the end.
        violations: what is not allowed, in words; empty when all is well.
    """

    fault: str
    node: str
    master: str
    measured: Measured
    served_by: str
    after: list[str]
    both_after_ms: float
    one_master_ms: float | None
    roles: dict[str, str]
    epochs: tuple[str, str]
    told: list[str]
    rules: list[str]
    re_added: str
    complete: bool
    took_s: float
    violations: tuple[str, ...] = ()

    def to_mapping(self) -> dict[str, Any]:
        """The trial as plain JSON values."""
        return asdict(self)


def restore(lab: LabPlan) -> None:
    """Make the cluster complete, whatever befell it; also where a slave stays that does not become fit.

    Raises:
        HostFault: it did not become complete.
    """
    try:
        _undo(lab)
    except HostFault:
        cluster = Cluster(lab)
        master = cluster.master()
        if master is None:
            raise
        cluster.ask(master, "re-add")
        cluster.wait_complete()


def _undo(lab: LabPlan) -> str:
    """Heal, boot, and re-add whoever has fallen out: what an admin has to do after a fault, and no more.

    Returns:
        How the re-adding ended; empty when nobody had to be re-added.

    Raises:
        HostFault: it did not become complete.
    """
    cluster = Cluster(lab)
    faults.heal(lab)
    for node in cluster.nodes:
        if node.supervisor_pid is None:
            node.boot()
            node.wait_running()
    ended = ""
    wait_until(lambda: cluster.is_complete() or _has_fallen_out(cluster), COMPLETE_TIMEOUT_S, 0.2)
    if _has_fallen_out(cluster):
        master = cluster.master()
        assert master is not None
        ended = str(cluster.ask(master, "re-add").get("state"))
    cluster.wait_complete()
    return ended


def _roles(cluster: Cluster) -> dict[str, str]:
    return {node.plan.name: str((cluster.status(node) or {}).get("role", "")) for node in cluster.nodes}


def _has_fallen_out(cluster: Cluster) -> bool:
    """One is master, and the other waits for an admin."""
    roles = list(_roles(cluster).values())
    return roles.count("master") == 1 and any(role in _OUT_OF_SERVICE for role in roles)


def _events(cluster: Cluster, begun_at: datetime, fault: Fault) -> list[dict[str, Any]]:
    """The events since then; what the other node told while nothing passed between them gets to the master a moment later."""
    found: list[dict[str, Any]] = []

    def told() -> bool:
        found[:] = cluster.events_since(begun_at)
        return not fault.tells or any(event["kind"] in fault.tells for event in found)

    wait_until(told, _TOLD_TIMEOUT_S, 0.5)
    return found


def _epoch(cluster: Cluster, node: Node | None) -> str:
    return str((cluster.status(node) or {}).get("epoch", "")) if node is not None else ""


def _holder(lab: LabPlan) -> str:
    return " ".join(node.plan.name for node in nodes_of(lab) if holds_cluster_ip(node))


def run(lab: LabPlan, fault: Fault, keep: Path | None = None) -> Trial:
    """Try one fault on a cluster that is complete, and make it complete again.

    Args:
        lab: up and formed.
        fault: which one.
        keep: file for the raw samples, or none.

    Raises:
        HostFault: the cluster was not complete before, or something of the lab itself failed.
    """
    begun, begun_at = time.monotonic(), datetime.now(UTC)
    cluster = Cluster(lab)
    cluster.wait_complete()
    node, master = faults.target(lab, None, fault), faults.target(lab, None)
    epoch = _epoch(cluster, master)
    try:
        measured, served_by = _cause(lab, fault, node, master, keep)
        with Watch(lab) as watch:
            faults.heal(lab)
            one_master_ms, roles = _await_one_master(cluster)
            settle(fault.after_s)
    finally:
        re_added = _undo(lab)
    events = _events(cluster, begun_at, fault)
    seen = Trial(
        fault=fault.name,
        node=node.plan.name,
        master=master.plan.name,
        measured=measured,
        served_by=served_by,
        after=watch.holders,
        both_after_ms=round(watch.both_ms, 1),
        one_master_ms=one_master_ms,
        roles=roles,
        epochs=(epoch, _epoch(cluster, cluster.master())),
        told=sorted({str(event["kind"]) for event in events}),
        rules=[f"{one['at'][11:23]} {one['node']} {one['rule']}: {one['why']}" for one in events if one["rule"]],
        re_added=re_added,
        complete=wait_until(cluster.is_complete, _TOLD_TIMEOUT_S, 0.2),
        took_s=round(time.monotonic() - begun, 1),
    )
    return Trial(**{**vars(seen), "violations": tuple(judge(fault, seen))})


def _cause(lab: LabPlan, fault: Fault, node: Node, master: Node, keep: Path | None) -> tuple[Measured, str]:
    """Cause a fault and watch until its outcome has shown; what was measured, and who holds the address then."""
    other = next(name for name in (node.plan.name for node in nodes_of(lab)) if name != master.plan.name)
    with tempfile.TemporaryDirectory() as scratch:
        raw = keep or Path(scratch, "raw.json")
        with Measurement(lab, raw) as measurement:
            settle(0.5)
            done = faults.inject(lab, fault, node)
            if fault.moves is Moves.MUST:
                wait_until(lambda: other in _holder(lab).split(), _MOVE_TIMEOUT_S, 0.05)
            settle(max(1.5, fault.watch_s - (time.monotonic() - done.done_s)))
            served_by = _holder(lab)
        measured = measurement.result()
        if fault.deaf:
            served_by = json.loads(raw.read_text())["probe"]["echo"]["answered"][-1][2]
    return measured, served_by


def _await_one_master(cluster: Cluster) -> tuple[float | None, dict[str, str]]:
    begun = time.monotonic()
    roles: dict[str, str] = {}

    def there() -> bool:
        nonlocal roles
        roles = _roles(cluster)
        return list(roles.values()).count("master") == 1

    found = wait_until(there, _MASTER_TIMEOUT_S, 0.1)
    return (round((time.monotonic() - begun) * 1000) if found else None), roles


def judge(fault: Fault, seen: Trial) -> list[str]:
    """What of a trial the table does not allow, in words."""
    moved, measured, wrong = seen.measured.last_node != seen.master, seen.measured, []
    most = 0 if fault.moves is Moves.NEVER else 1
    if measured.changes > most:
        wrong.append(f"moved {measured.changes} times, allowed is {fault.moves.value}")
    if fault.moves is Moves.MUST and not moved:
        wrong.append("the other node did not take over")
    if measured.dual_ms > 0 and not fault.deaf:
        wrong.append(f"both held the address for {measured.dual_ms} ms")
    if seen.both_after_ms > fault.both_after_ms:
        wrong.append(f"both held the address for {seen.both_after_ms} ms after healing")
    if fault.serves and seen.served_by != measured.last_node:
        wrong.append(f"before healing '{seen.served_by}' held the address, {measured.last_node} answered last")
    # How late the probe itself was is this machine's fault.
    silence_ms = round(measured.gap_ms - measured.late_ms, 1)
    if fault.gap_ms_max is not None and silence_ms > fault.gap_ms_max:
        wrong.append(f"silence of {silence_ms} ms, allowed are {fault.gap_ms_max}")
    if fault.tells and not set(fault.tells).intersection(seen.told):
        wrong.append(f"not told: {' or '.join(fault.tells)}")
    if seen.one_master_ms is None:
        wrong.append(f"no single master after healing: {seen.roles}")
    moved_after = sum(a != b for a, b in pairwise([measured.last_node, *seen.after]))
    if moved_after > (fault.reboots and not moved):
        wrong.append(f"moved after healing: {seen.after}")
    if seen.epochs[0] == seen.epochs[1] and moved:
        wrong.append(f"moved without a new epoch: {seen.epochs[0]}")
    # A master that let go and resumed serves under a new epoch as well; where nothing may move, nobody lets go.
    resumed = seen.epochs[0] != seen.epochs[1] and not moved
    if resumed and fault.serves and fault.moves is Moves.NEVER:
        wrong.append(f"the epoch went from {seen.epochs[0]} to {seen.epochs[1]}, though nothing moved: {seen.rules}")
    if not seen.complete:
        wrong.append("the cluster did not become complete again")
    return wrong
