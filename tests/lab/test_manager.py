"""The manager on real nodes: confined, and aware of what is changed behind its back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from ishmael.lab.node import Node
from ishmael.lab.tools import wait_until
from tests.lab.conftest import Lab

pytestmark = pytest.mark.lab
_TOLD_TIMEOUT_S = 45


@pytest.mark.parametrize(("unit", "most"), [("ishmael-manager", 5.0), ("ishmael-web", 2.0)])
def test_units_are_confined_as_they_run(complete: Lab, unit: str, most: float) -> None:
    """The exposure of the running units, as systemd on the node computes it."""
    said = complete.sh("node1", f"systemd-analyze security --no-pager {unit} | tail -n 1")
    found = re.search(r"([0-9.]+) ", said)
    assert found is not None
    assert float(found[1]) <= most, said


def test_the_manual_page_and_the_completion_are_installed(complete: Lab) -> None:
    """`man ishmael` has a page to show, and bash finds what completes commands."""
    assert complete.sh("node1", "zcat /usr/share/man/man1/ishmael.1.gz | grep -c 'add..slave'") != "0"
    script = (
        ". /usr/share/bash-completion/completions/ishmael; COMP_WORDS=(ishmael dr); COMP_CWORD=1; "
        "_ishmael_completion ishmael; echo ${COMPREPLY[@]}"
    )
    assert complete.sh("node1", f"bash -c '{script}'") == "drift"


def test_what_needs_more_than_the_manager_may_works_all_the_same(complete: Lab) -> None:
    """A RAID controller's tool makes its device node, the disks are looked at, and APT's lists are no change that is locked."""
    node = complete.cluster.nodes[0]
    plug_in = "/usr/lib/nagios/plugins/check_raid"
    script = (
        f"cp -p {plug_in} /root/check_raid; ln -s /bin/true /usr/sbin/storcli64; "
        f"printf '#!/bin/sh\\nmknod /dev/controller c 1 3 && rm /dev/controller && echo OK: asked\\n' > {plug_in}"
    )
    node.say(["sh", "-c", script])
    try:
        raid = json.loads(node.say(["ishmael", "check", "raid", "--json"]))
    finally:
        node.say(["sh", "-c", f"cp -p /root/check_raid {plug_in}; rm /usr/sbin/storcli64 /root/check_raid"])
    assert (raid["state"], raid["output"]) == ("ok", "OK: asked")
    disk = json.loads(node.say(["ishmael", "check", "N5", "--json"]))
    assert disk["state"] in ("ok", "warning"), disk
    node.say(["sh", "-c", "apt-get -q update -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=/dev/null"])


def _drift(node: Node) -> list[str]:
    return [each["path"] for each in json.loads(node.say(["ishmael", "drift", "list", "--json"]))["changes"]]


def _check(node: Node) -> dict[str, Any]:
    rows = json.loads(node.say(["ishmael", "checks", "--json"]))["checks"]
    return next((row for row in rows if row["id"] == "X8" and row["node"] == node.plan.name), {})


def _event_names(node: Node, path: str) -> bool:
    events = json.loads(node.say(["ishmael", "events", "--json", "--limit", "200"]))["events"]
    return any(event["kind"] == "check-changed" and path in event["why"] for event in events)


@pytest.fixture
def changed(complete: Lab) -> Iterator[dict[Node, list[str]]]:
    """What is to be changed on each node, the master first; after a failure it is again what it was."""
    cluster = complete.cluster
    master = cluster.master()
    assert master is not None
    slave = next(node for node in cluster.nodes if node is not master)
    meant = {
        master: ["/etc/corosync/corosync.conf", "/etc/ishmael/profile.toml"],
        slave: ["/etc/network/interfaces.d/more", "/etc/sysctl.d/60-ishmael.conf"],
    }
    yield meant
    slave.say(["rm", "-f", meant[slave].pop(0)])
    for node, paths in meant.items():
        node.say(["sed", "-i", "/^# x$/d", *paths])


def test_what_is_changed_outside_is_told_by_name_on_both_nodes(complete: Lab, changed: dict[Node, list[str]]) -> None:
    """Corosync's configuration, the profile, the interfaces: status, check and event name them; both ways out work."""
    master, slave = changed
    assert (_drift(master), _drift(slave)) == ([], [])
    for node, paths in changed.items():
        node.say(["sh", "-c", "mkdir -p /etc/network/interfaces.d; " + "; ".join(f"echo '# x' >>{p}" for p in paths)])
    for node, paths in changed.items():

        def told(node: Node = node, paths: list[str] = paths) -> bool:
            return _check(node).get("state") == "warning" and all(path in _check(node)["output"] for path in paths)

        assert wait_until(told, _TOLD_TIMEOUT_S, 0.5), _check(node)
        assert [path.split(" ")[0] for path in json.loads(node.say(["ishmael", "status", "--json"]))["drift"]] == paths
        assert wait_until(partial(_event_names, node, paths[0]), _TOLD_TIMEOUT_S, 0.5)
    assert master.exec(["ishmael", "drift", "take-over", changed[master][0]]).returncode == 3
    master.say(["ishmael", "drift", "put-back", changed[master][0]])
    assert "# x" in master.say(["ishmael", "drift", "show", changed[master][1]])
    master.say(["ishmael", "drift", "put-back", changed[master][1]])
    slave.say(["ishmael", "drift", "take-over", changed[slave][0]])
    slave.say(["ishmael", "drift", "put-back", changed[slave][1]])
    assert (_drift(master), _drift(slave)) == ([], [])
    slave.say(["rm", changed[slave][0]])
    slave.say(["ishmael", "drift", "take-over", changed[slave][0]])
    assert _drift(slave) == []
    complete.cluster.wait_complete()
