"""The main job on real nodes: a cluster formed by an admin survives what it promises to survive, and says why."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ishmael.lab import faults, trial
from ishmael.lab.measure import Measured, Measurement, settle
from ishmael.lab.node import Node
from ishmael.lab.status import holds_cluster_ip
from ishmael.lab.tools import wait_until
from tests.lab.conftest import Lab

pytestmark = pytest.mark.lab
_ROLE_TIMEOUT_S = 15
LATE_MS = 20.0


def _master(lab: Lab) -> Node:
    master = lab.cluster.master()
    assert master is not None
    return master


def _other(lab: Lab, node: Node) -> Node:
    return next(other for other in lab.cluster.nodes if other.plan.name != node.plan.name)


def _events(node: Node) -> list[dict[str, Any]]:
    found = json.loads(node.say(["ishmael", "events", "--json"]))
    return list(found["events"])


def _epoch(node: Node) -> str:
    return str(json.loads(node.say(["ishmael", "status", "--json"]))["epoch"])


def _calls(lab: Lab) -> bool:
    return lab.run("call").returncode == 0


def _measured(lab: Lab, fault: str, node: Node, moves_to: Node | None = None) -> Measured:
    with Measurement(lab.plan) as measurement:
        settle(0.5)
        faults.inject(lab.plan, faults.named(fault), node)
        if moves_to is not None:
            wait_until(lambda: holds_cluster_ip(moves_to), _ROLE_TIMEOUT_S, 0.05)
        settle(2.0)
    return measurement.result()


def test_phones_call_over_the_cluster_ip(complete: Lab) -> None:
    """Two phones register and talk; Asterisk itself has seen the audio both ways."""
    calls = complete.json("call", "--count", "2")["calls"]
    assert [call["verified"] for call in calls] == [True, True]
    assert {call["node"] for call in calls} == {_master(complete).plan.name}


def test_the_slave_takes_over_when_the_master_loses_its_power(complete: Lab) -> None:
    """Power cut: one move, never two holders, the phones call again; the old master is standby until re-added."""
    old = _master(complete)
    new = _other(complete, old)
    measured = _measured(complete, "power-cut", old, new)
    assert (measured.last_node, measured.changes, measured.dual_ms) == (new.plan.name, 1, 0.0)
    complete.cluster.wait_role(new, "master", _ROLE_TIMEOUT_S)
    took = [event for event in _events(new) if event["kind"] == "became-master"][-1]
    assert took["rule"] == "3a"
    assert took["why"]
    # The role comes before the services are open.
    assert wait_until(lambda: _calls(complete), 30, 1)

    complete.json("heal")
    complete.cluster.wait_role(old, "standby")
    epoch = _epoch(new)
    assert _epoch(old) == epoch
    job = complete.cluster.re_add_standby()
    assert job["state"] == "done"
    complete.cluster.wait_complete()
    assert _epoch(new) == epoch, "re-adding must not move anything"


def test_a_planned_switch_moves_in_order(complete: Lab) -> None:
    """`ishmael failover` hands over without two holders; the former master is standby and can be re-added."""
    old = _master(complete)
    new = _other(complete, old)
    measured = _measured(complete, "planned", old, new)
    assert (measured.last_node, measured.changes, measured.dual_ms) == (new.plan.name, 1, 0.0)
    complete.cluster.wait_role(old, "standby", _ROLE_TIMEOUT_S)
    # The role comes before the services are open.
    assert wait_until(lambda: _calls(complete), 30, 1)
    complete.cluster.re_add_standby()
    complete.cluster.wait_complete()


def test_a_slave_without_power_moves_nothing(complete: Lab) -> None:
    """The master goes on, records that it is alone, and takes the slave back by itself when it returns."""
    master = _master(complete)
    slave = _other(complete, master)
    epoch = _epoch(master)
    measured = _measured(complete, "power-cut", slave)
    assert (measured.last_node, measured.changes) == (master.plan.name, 0)

    def alone() -> bool:
        return any(event["kind"] == "works-alone" for event in _events(master))

    assert wait_until(alone, _ROLE_TIMEOUT_S)
    complete.json("heal")
    complete.cluster.wait_complete()
    assert _epoch(master) == epoch


def test_a_killed_keeper_keeps_its_role(complete: Lab) -> None:
    """systemd restarts the keeper within the lease; nothing moves."""

    def killed() -> tuple[Measured, bool]:
        master = _master(complete)
        epoch = _epoch(master)
        with Measurement(complete.plan) as measurement:
            settle(0.3)
            master.say(["systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", "ishmael-keeper"])
            settle(2.5)
        measured = measurement.result()
        stays = (measured.last_node, measured.changes) == (master.plan.name, 0) and _epoch(master) == epoch
        return measured, stays and complete.cluster.is_complete()

    measured, stays = killed()
    if not stays and measured.late_ms > LATE_MS:
        # It has to be back within the lease of a second, and the machine was late for everything: once more.
        trial.restore(complete.plan)
        measured, stays = killed()
    assert (stays, measured.dual_ms) == (True, 0.0), measured


def test_a_master_that_reboots_hands_over_first(complete: Lab) -> None:
    """An orderly shutdown is a planned switch: the slave serves before the master is gone."""
    old = _master(complete)
    new = _other(complete, old)
    complete.json("reboot", old.plan.name)
    complete.cluster.wait_role(new, "master", _ROLE_TIMEOUT_S)
    took = [event for event in _events(new) if event["kind"] == "became-master"][-1]
    assert took["rule"] == "3c"
    complete.cluster.wait_role(old, "standby")


def test_both_nodes_booting_find_their_roles_again(complete: Lab) -> None:
    """Power lost on both: together again, the recorded master resumes with its peer; nobody serves twice."""
    master = _master(complete)
    slave = _other(complete, master)
    with ThreadPoolExecutor(2) as both:
        list(both.map(Node.power_cut, (master, slave)))
    for node in (master, slave):
        node.boot()
    for node in (master, slave):
        node.wait_running()
    complete.cluster.wait_complete()
    assert _master(complete).plan.name == master.plan.name


def test_the_keeper_is_small(complete: Lab) -> None:
    """The keeper's proportional memory stays below 40 MB on the master."""
    script = "cat /proc/$(systemctl show -p MainPID --value ishmael-keeper)/smaps_rollup | awk '/^Pss:/ {print $2}'"
    assert int(complete.sh(_master(complete).plan.name, script)) <= 40 * 1024
