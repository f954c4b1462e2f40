"""Failover checks that only notify, on real nodes: nothing moves, both nodes know it, and the admin is told."""

from __future__ import annotations

import json
import time

import pytest

from ishmael.lab.node import Node
from ishmael.lab.tools import wait_until
from tests.lab.conftest import Lab

pytestmark = pytest.mark.lab


def _two(lab: Lab) -> tuple[Node, Node]:
    master = lab.cluster.master()
    assert master is not None
    return master, next(node for node in lab.cluster.nodes if node.plan != master.plan)


def _known(node: Node) -> list[str]:
    """What the keeper of a node says."""
    ask = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/ishmael/keeper.sock'); " \
          "s.sendall(b'{\"ask\": \"status\"}\\n'); print(s.makefile().readline())"  # fmt: skip
    return list(json.loads(node.say(["python3", "-c", ask]))["status"]["only_notified"])


def _withheld(node: Node, check: str) -> int:
    events = json.loads(node.say(["ishmael", "events", "--limit", "100", "--json"]))["events"]
    return sum(1 for event in events if event["kind"] == "failover-withheld" and event["facts"]["check"] == check)


def _role(lab: Lab, node: Node) -> str:
    return str((lab.cluster.status(node) or {}).get("role"))


def test_f4_only_notifies_until_the_admin_lets_it_move(complete: Lab) -> None:
    """The master serves on without its telephone network, once told; switched back, F4 hands over at once."""
    master, slave = _two(complete)
    refused = slave.exec(["ishmael", "notify-only", "F4", "--json"])
    assert "not-master" in refused.stdout + refused.stderr
    master.say(["ishmael", "notify-only", "f4"])
    assert wait_until(lambda: _known(master) == _known(slave) == ["F4"], 15, 0.2)
    before = _withheld(slave, "F4")
    complete.json("fault", "phone-link-down")
    assert wait_until(lambda: _withheld(slave, "F4") == before + 1, 10, 0.2)
    time.sleep(3)
    assert _role(complete, master) == "master"
    assert _withheld(slave, "F4") == before + 1
    master.say(["ishmael", "notify-only", "--none"])
    assert wait_until(lambda: _role(complete, slave) == "master", 15, 0.2)
    complete.json("heal")
    assert json.loads(slave.say(["ishmael", "notify-only", "--json"]))["notify_only"] == []


def test_f1_only_notifies_until_the_admin_lets_it_move(complete: Lab) -> None:
    """Nobody takes over from a dead master; X7 has warned of that; the slave takes over when the admin lets it."""
    master, slave = _two(complete)
    master.say(["ishmael", "notify-only", "F1"])
    assert wait_until(lambda: _known(master) == _known(slave) == ["F1"], 15, 0.2)
    # What a check is told of the keeper may be half a second old.
    assert wait_until(
        lambda: "F1 only notifies" in master.exec(["ishmael", "check", "failover-possible"]).stdout, 5, 0.2
    )
    before = _withheld(slave, "F1")
    complete.json("fault", "power-cut")
    assert wait_until(lambda: _withheld(slave, "F1") == before + 1, 10, 0.2)
    time.sleep(5)
    assert _role(complete, slave) == "slave"
    slave.say(["ishmael", "notify-only", "--none"])
    # Rule 8: dial tone first, after 30 s.
    assert wait_until(lambda: _role(complete, slave) == "master", 60, 0.5)
    complete.json("heal")
