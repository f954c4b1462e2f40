"""``life``: how long each work of a cluster's life takes, how quickly the manager answers, and what it weighs.

Each run goes once through a life, from two machines that belong to no cluster: set up, prepare, add, switch by hand and
bring back, power cut and bring back, remove, reset. Seconds are those of the admin's command, from its start to its end.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from ishmael.lab import idle, plan
from ishmael.lab.bench import figures
from ishmael.lab.build import Say
from ishmael.lab.cluster import Cluster
from ishmael.lab.faults.machine import switch_on
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault

LIMITS: Mapping[str, float] = {
    "setup_master_s": 10, "prepare_slave_s": 5, "add_slave_s": 30, "remove_slave_s": 3, "re_add_after_cut_s": 20,
    "api_read_ms": 20, "manager_pss_mb": 120,
}  # fmt: skip
"""What each figure shall not exceed: of the reads the 95th percentile, of all others the median."""
_UNIT = "ishmael-manager.service"
_TURNS = 40
_PYTHON = "/usr/lib/ishmael/venv/bin/python"
_ROUTES = ("status", "events", "jobs", "checks", "lamp", "nics")
# Runs in the node: one connection a question, as the command line does.
_READ = """
import http.client, json, socket, sys, time
class Api(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/ishmael/api.sock")
found = []
for turn in range(int(sys.argv[1])):
    for route in sys.argv[2:]:
        begun = time.perf_counter()
        wire = Api("ishmael")
        wire.request("GET", "/api/v1/" + route)
        answer = wire.getresponse()
        answer.read()
        found.append([route, round((time.perf_counter() - begun) * 1000, 2), answer.status])
print(json.dumps(found))
"""


def once(lab: LabPlan) -> dict[str, Any]:
    """One life; begins and ends with two machines of no cluster."""
    cluster = Cluster(lab)
    first, second = cluster.nodes
    _to_bare(cluster)
    row: dict[str, Any] = {}

    def timed(name: str, act: Callable[[], Any]) -> Any:
        begun_s = time.monotonic()
        found = act()
        row[name] = round(time.monotonic() - begun_s, 2)
        return found

    references = ("--reference", plan.GATEWAY_IP, "--reference", plan.REFERENCE_IP)
    nics = ("--phone-nic", plan.PHONE_NIC, "--internal-nic", plan.CABLE_NIC)
    timed(
        "setup_master_s",
        lambda: cluster.ask(first, "setup-master", "--cluster-ip", plan.CLUSTER_IP, *nics, *references),
    )
    key = json.loads(first.say(["ishmael", "setup-master", "--show-key", "--json"]))["ssh_public_key"]
    timed("prepare_slave_s", lambda: cluster.ask(second, "prepare-slave", "--key", key))
    timed("add_slave_s", lambda: cluster.ask(first, "add-slave", *_named(second)))
    cluster.wait_complete()
    row["api_read_ms"] = _reads(first)
    row["manager_pss_mb"] = _weight(first)
    timed("switch_s", lambda: cluster.ask(first, "failover"))
    cluster.wait_role(first, "standby")
    timed("re_add_after_switch_s", lambda: cluster.ask(second, "re-add"))
    cluster.wait_complete()
    second.power_cut()
    cluster.wait_role(first, "master")
    switch_on(second)
    cluster.wait_role(second, "standby")
    timed("re_add_after_cut_s", lambda: cluster.ask(first, "re-add"))
    cluster.wait_complete()
    timed("remove_slave_s", lambda: cluster.ask(first, "remove-slave"))
    timed("reset_s", lambda: cluster.ask(first, "reset"))
    _to_bare(cluster)
    return row


def _named(node: Node) -> tuple[str, ...]:
    here = node.plan
    return ("--name", here.name, "--phone-ip", here.phone_ip, "--internal-ip", here.internal_ip)


def _to_bare(cluster: Cluster) -> None:
    """Both machines belong to no cluster; the slave goes first, so that nothing moves."""
    states = {node.plan.name: cluster.status(node) or {} for node in cluster.nodes}
    rank = {"master": 1}
    for node in sorted(cluster.nodes, key=lambda each: rank.get(str(states[each.plan.name].get("role")), 0)):
        if (cluster.status(node) or {}).get("state") == "alone":
            continue
        cluster.ask(node, "reset", "--override", "master-alive", "--override", "slave-alive")

    def alone() -> bool:
        return all((cluster.status(node) or {}).get("state") == "alone" for node in cluster.nodes)

    if not wait_until(alone, 30, 0.2):
        raise HostFault("not-that-role", "The nodes did not become machines of no cluster.", "ishmael status, on both")


def _reads(node: Node) -> list[float]:
    said = node.say([_PYTHON, "-I", "-c", _READ, str(_TURNS), *_ROUTES])
    rows = json.loads(said)
    wrong = [row for row in rows if row[2] != 200]
    if wrong:
        raise HostFault(
            "work-failed", f"The manager answered {wrong[0][2]} to {wrong[0][0]}.", "journalctl -u ishmael-manager"
        )
    return [float(row[1]) for row in rows]


def _weight(node: Node) -> float:
    return round(sum(use.pss_kb for use in idle.processes(node).values() if use.unit == _UNIT) / 1024, 1)


def many(lab: LabPlan, runs: int, say: Say, *, print_runs: bool) -> dict[str, Any]:
    """Run it several times; the summary by figure, with what it shall not exceed."""
    rows = []
    for run in range(1, runs + 1):
        row = once(lab)
        rows.append(row)
        say(
            f"life {run}: " + ", ".join(f"{name} {value}" for name, value in row.items() if not isinstance(value, list))
        )
        if print_runs:
            print(json.dumps({"run": run, **row}), flush=True)
    return figures.summary(rows, LIMITS, {"api_read_ms": "p95"})
