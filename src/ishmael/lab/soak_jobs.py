"""``script/soak jobs``: a work that joins a node is cut in each of its steps, and has to end as if it had not been.

The manager stands still (SIGSTOP) at the step, so that the cut falls into it: SIGKILL of the manager, a power cut of
either node, or the admin who cancels. Then either the job goes on to its end, or it is undone: both nodes are as before,
and the same command does it at the second try.
"""

from __future__ import annotations

import json
import select
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from ishmael.lab import trial
from ishmael.lab.cluster import Cluster
from ishmael.lab.faults.machine import switch_on
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault

WORKS = ("add-slave", "re-add")
KILL, CUT_MASTER, CUT_SLAVE, CANCEL = CUTS = ("kill-manager", "power-cut-master", "power-cut-slave", "cancel")
_MANAGER = "ishmael-manager.service"
_REACHED_TIMEOUT_S = 90.0
_ENDED_TIMEOUT_S = 240.0
_COMPLETE_TIMEOUT_S = 150.0
"""On a machine that does other things as well."""
_SETTLED_S = 60.0
_DARK_S = 3.0
"""How long a node is without power."""
_PYTHON = "/usr/lib/ishmael/venv/bin/python"
# Runs in the node: only there is the journal to be opened by its name.
_WATCH = """
import os, signal, sqlite3, subprocess, sys, time
step, name = int(sys.argv[1]), sys.argv[2]
pid = int(subprocess.check_output(["systemctl", "show", "-p", "MainPID", "--value", "ishmael-manager"]))
journal = sqlite3.connect("file:/var/lib/ishmael/jobs.sqlite?mode=ro", uri=True, isolation_level=None, timeout=5)
job = journal.execute("SELECT coalesce(max(id), 0) + 1 FROM jobs").fetchone()[0]
print("watching", flush=True)
while not journal.execute("SELECT 1 FROM steps WHERE job = ? AND number = ?", (job, step)).fetchone():
    ended = journal.execute("SELECT 1 FROM jobs WHERE id = ? AND ended_at != ''", (job,)).fetchone()
    if ended:
        sys.exit("the job has ended before")
    time.sleep(0.0003)
os.kill(pid, getattr(signal, name))
print("cut", job, flush=True)
"""
_ENDED = ("done", "failed", "refused", "dropped")
# What a work must put back when it is undone: the node's own files and what runs.
_LOOK = """
cd /
find etc/ishmael etc/corosync root/.ssh etc/sysctl.d/60-ishmael.conf var/lib/ishmael/before.json -type f \\
    ! -path 'etc/ishmael/services/*' ! -path 'etc/ishmael/web/*' -exec sha256sum {} + 2>/dev/null | sort -k 2
for unit in corosync ishmael-keeper ssh asterisk; do
    echo "$unit $(systemctl is-enabled $unit) $(systemctl is-active $unit)"
done
"""


@dataclass(frozen=True)
class Case:
    """One work, cut once.

    Args:
        work: ``add-slave`` or ``re-add``.
        step: number of the step, from 1.
        cut: one of ``CUTS``.
    """

    work: str
    step: int
    cut: str


@dataclass
class Seen:
    """What became of it.

    Args:
        step_name: of the step that was cut.
        ended: state of the job at its end.
        error: of a job that failed.
        changed: lines by which a node differs from before, by node, after a job that was undone.
        said: what the admin's own command ended with, where its machine kept its power.
        again: whether it had to be done a second time.
        ended_s: from the cut to the end of the job, in seconds.
        both_ms: time in which both nodes held the cluster IP.
        violations: what is not allowed, in words.
    """

    work: str
    step: int
    cut: str
    step_name: str = ""
    ended: str = ""
    error: dict[str, Any] = field(default_factory=dict)
    changed: dict[str, list[str]] = field(default_factory=dict)
    said: int | None = None
    again: bool = False
    ended_s: float = 0.0
    both_ms: float = 0.0
    violations: list[str] = field(default_factory=list)


def steps_of(lab: LabPlan, work: str) -> list[str]:
    """Names of the steps of a work, as its dry run tells them."""
    master, slave = _begin(lab, work)
    done = master.exec(["ishmael", *_words(work, slave), "--dry-run", "--json"], timeout_s=60)
    names = [str(name) for name in json.loads(done.stdout)["plan"]]
    Cluster(lab).ask(master, *_words(work, slave))
    Cluster(lab).wait_complete(_COMPLETE_TIMEOUT_S)
    return names


def cases(steps: dict[str, list[str]], cuts: Sequence[str]) -> Iterator[Case]:
    """Every step of every work, cut in each way: first one kill and one power cut of either node a step, then the rest."""
    rows = [(work, number) for work, names in steps.items() for number in range(1, len(names) + 1)]
    for of_odd, of_even in ((KILL, KILL), (CUT_MASTER, CUT_SLAVE), (CUT_SLAVE, CUT_MASTER), (CANCEL, CANCEL)):
        for work, number in rows:
            cut = of_odd if number % 2 else of_even
            if cut in cuts:
                yield Case(work, number, cut)


def run(lab: LabPlan, case: Case) -> Seen:
    """Cut one work once, and judge how it ended; begins and ends with a complete cluster.

    Raises:
        HostFault: the cluster was not complete before, or could not be made so afterwards.
    """
    seen = Seen(**asdict(case))
    master, slave = _begin(lab, case.work)
    before = {node.plan.name: _settled_look(node) for node in (master, slave)}
    with trial.Watch(lab) as watch:
        _cut_and_wait(case, seen, master, slave)
        _judge(lab, case, seen, master, slave, before)
    seen.both_ms = round(watch.both_ms, 1)
    if seen.both_ms:
        seen.violations.append(f"both held the cluster IP for {seen.both_ms} ms")
    return seen


def restore(lab: LabPlan) -> None:
    """Make the cluster complete, also when its slave was removed and not added again.

    Raises:
        HostFault: it did not become complete.
    """
    cluster = Cluster(lab)
    master = cluster.master()
    if master is not None and _nodes_in_settings(master) == 1:
        other = next(node for node in cluster.nodes if node is not master)
        if other.init_pid is None:
            switch_on(other)
        cluster.ask(master, *_words("add-slave", other))
    trial.restore(lab)


def _await_master(cluster: Cluster) -> Node:
    found: list[Node] = []

    def there() -> bool:
        found[:] = [node] if (node := cluster.master()) else []
        return bool(found)

    if not wait_until(there, _COMPLETE_TIMEOUT_S, 0.3):
        raise HostFault("no-master", "No node says that it is master.")
    return found[0]


def _nodes_in_settings(node: Node) -> int:
    found = node.exec(["grep", "-c", r"^\[\[nodes", "/etc/ishmael/settings.toml"]).stdout.strip()
    return int(found) if found else 0


def attempt(lab: LabPlan, case: Case, step_name: str) -> Seen:
    """A run; when the cluster cannot be made whole, that is its outcome, and not allowed either."""
    try:
        restore(lab)
        seen = run(lab, case)
    except HostFault as error:
        seen = Seen(**asdict(case), violations=[f"{error.code}: {error}"])
    seen.step_name = step_name
    return seen


def _begin(lab: LabPlan, work: str) -> tuple[Node, Node]:
    """A master, and a node that waits to be joined by this work."""
    cluster = Cluster(lab)
    cluster.wait_complete(_COMPLETE_TIMEOUT_S)
    old = _await_master(cluster)
    other = next(node for node in cluster.nodes if node is not old)
    if work == "add-slave":
        cluster.ask(old, "remove-slave")
        return old, other
    cluster.ask(old, "failover")
    cluster.wait_role(old, "standby")
    cluster.wait_role(other, "master")
    return other, old


def _words(work: str, slave: Node) -> list[str]:
    if work == "re-add":
        return [work]
    here = slave.plan
    return [work, "--name", here.name, "--phone-ip", here.phone_ip, "--internal-ip", here.internal_ip]


def _settled_look(node: Node) -> list[str]:
    """A hand-over starts Asterisk anew; the look waits until it runs, if it does."""
    wait_until(lambda: any(line.startswith("asterisk ") and line.endswith(" active") for line in _look(node)), 30, 0.5)
    return _look(node)


def _look(node: Node) -> list[str]:
    return node.exec(["sh", "-c", _LOOK]).stdout.splitlines()


def _cut_and_wait(case: Case, seen: Seen, master: Node, slave: Node) -> None:
    command = master.command(["ishmael", *_words(case.work, slave), "--yes", "--json"])
    with _Trap(master, case.step, "SIGKILL" if case.cut == KILL else "SIGSTOP") as trap:
        asked = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            job = trap.await_cut()
            begun_s = time.monotonic()
            if case.cut == CUT_MASTER:
                master.power_cut()
            elif case.cut == CUT_SLAVE:
                slave.power_cut()
                _go_on(master)
            elif case.cut == CANCEL:
                _go_on(master)
                # Refused where a job cannot be taken back, or has ended.
                master.exec(["ishmael", "jobs", "cancel", str(job)], timeout_s=30)
            _await_end(case, seen, job, master, slave)
            seen.ended_s = round(time.monotonic() - begun_s, 1)
            if case.cut != CUT_MASTER:
                seen.said = asked.wait(30)
        finally:
            asked.kill()
            asked.wait()


def _go_on(node: Node) -> None:
    """Let a manager that stands still go on."""
    node.exec(["systemctl", "kill", "--kill-whom=main", "--signal=SIGCONT", _MANAGER])


class _Trap:
    """Stops or kills a node's manager the moment its next job comes to a step.

    Args:
        node: whose.
        step: number, from 1.
        name: of the signal.
    """

    def __init__(self, node: Node, step: int, name: str) -> None:
        self._node, self._step = node, step
        self._process = subprocess.Popen(
            node.command([_PYTHON, "-I", "-c", _WATCH, str(step), name]), stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> _Trap:
        self._line("watching")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        if self._node.init_pid is not None:
            # A run that was broken off leaves no manager behind that stands still.
            _go_on(self._node)

    def await_cut(self) -> int:
        """Wait until it has happened; the number of the job."""
        return int(self._line("cut"))

    def _line(self, wanted: str) -> str:
        assert self._process.stdout is not None
        there, _, _ = select.select([self._process.stdout], [], [], _REACHED_TIMEOUT_S)
        word, _, rest = (self._process.stdout.readline() if there else "").strip().partition(" ")
        if word != wanted:
            raise HostFault("step-not-reached", f"The job on {self._node.plan.name} did not come to step {self._step}.")
        return rest


def _await_end(case: Case, seen: Seen, job: int, master: Node, slave: Node) -> None:
    """Give the power back after a while, and wait for the job's end."""
    dark = {CUT_MASTER: master, CUT_SLAVE: slave}.get(case.cut)
    if dark is not None:
        time.sleep(_DARK_S)
        switch_on(dark)
    found: dict[str, Any] = {}

    def ended() -> bool:
        nonlocal found
        found = _job(master, job)
        return found.get("state") in _ENDED

    if not wait_until(ended, _ENDED_TIMEOUT_S, 0.3):
        raise HostFault("job-hangs", f"Job {job} has not ended: {found.get('state')}, {found.get('progress')}.")
    seen.ended, seen.error = str(found["state"]), dict(found.get("error") or {})


def _judge(lab: LabPlan, case: Case, seen: Seen, master: Node, slave: Node, before: dict[str, list[str]]) -> None:
    cluster = Cluster(lab)
    if seen.ended != "done":
        if seen.error.get("code") == "bug":
            seen.violations.append(f"a bug: {seen.error.get('message')}")

        def settled() -> bool:
            # After a power cut Asterisk comes up when its keeper has heard the master, not with the boot.
            looks = {node.plan.name: _differing(before[node.plan.name], _look(node)) for node in (master, slave)}
            seen.changed = {name: changed for name, changed in looks.items() if changed}
            return not seen.changed

        wait_until(settled, _SETTLED_S, 1.0)
        told = "Not undone" in str(seen.error.get("hint"))
        if seen.changed and not told:
            seen.violations.append(f"not as before, and not told: {seen.changed}")
    _await_master(cluster)
    if seen.ended == "done":
        with suppress(HostFault):
            cluster.wait_complete(_COMPLETE_TIMEOUT_S)
        if not cluster.is_complete():
            seen.violations.append("done, and not complete")
    if not cluster.is_complete():
        _again(cluster, case, seen)


def _again(cluster: Cluster, case: Case, seen: Seen) -> None:
    """The same command once more; after a takeover meanwhile, the new master's way."""
    now = _await_master(cluster)
    other = next(node for node in cluster.nodes if node is not now)
    words = _words("re-add" if _nodes_in_settings(now) > 1 else case.work, other)
    seen.again = True
    try:
        cluster.ask(now, *words)
        cluster.wait_complete(_COMPLETE_TIMEOUT_S)
    except HostFault as error:
        seen.violations.append(f"{words[0]} again: {error}")


def _differing(before: Sequence[str], after: Sequence[str]) -> list[str]:
    return sorted(
        {*(f"- {line}" for line in set(before) - set(after)), *(f"+ {line}" for line in set(after) - set(before))}
    )


# The job, as the node's own journal has it


def _job(node: Node, job: int) -> dict[str, Any]:
    done = node.exec(["ishmael", "jobs", str(job), "--json"], timeout_s=15)
    with suppress(json.JSONDecodeError):
        return dict(json.loads(done.stdout))
    return {}


def line(seen: Seen) -> str:
    """One run for a person."""
    how = f"{seen.ended}, done at the second try" if seen.again else seen.ended
    wrong = "; ".join(seen.violations) or "allowed"
    return f"{seen.work} {seen.step} ({seen.step_name}), {seen.cut}: {how} after {seen.ended_s} s: {wrong}"


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """By work and cut: how often, how it ended, and what was not allowed."""
    found: dict[str, Any] = {}
    for row in rows:
        of = found.setdefault(f"{row['work']} {row['cut']}", {"runs": 0, "done": 0, "undone": 0, "not_allowed": 0})
        of["runs"] += 1
        of["done" if row["ended"] == "done" else "undone"] += 1
        of["not_allowed"] += bool(row["violations"])
    return found
