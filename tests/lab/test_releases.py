"""Each release of Debian: the package installs, starts alone, and two such nodes make a cluster that survives a power cut.

On every run with Debian 12; ISHMAEL_TEST_FULL=1 takes Debian 13 as well, whose package must lie in dist/
(script/package --release 13).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from tests.lab.conftest import Lab

pytestmark = pytest.mark.lab
RELEASES = ("12", "13") if os.environ.get("ISHMAEL_TEST_FULL") == "1" else ("12",)


@pytest.fixture(scope="module", params=RELEASES)
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Lab, str]]:
    """Two nodes of a release with the package, not set up."""
    lab = Lab("testrelease")
    lab.run("down")
    try:
        lab.json("up", "--release", request.param)
        yield lab, request.param
    finally:
        lab.run("down")


def _failed_units(lab: Lab, node: str) -> str:
    return lab.sh(node, "systemctl list-units --failed --plain --no-legend")


def test_it_starts_alone(pair: tuple[Lab, str]) -> None:
    """Nothing asked, nothing failed, no part in any cluster."""
    lab, release = pair
    for node in ("node1", "node2"):
        assert lab.sh(node, "cat /etc/debian_version").startswith(release)
        assert json.loads(lab.sh(node, "ishmael status --json"))["state"] == "alone"
        assert _failed_units(lab, node) == ""


@pytest.mark.timeout(300)
def test_a_cluster_of_two_survives_a_power_cut(pair: tuple[Lab, str]) -> None:
    """Set up, prepare, add; the master loses its power; re-add; remove: the removed node has a database that runs."""
    lab, _ = pair
    lab.json("form")
    # A call is refused with 404 as long as Asterisk still reads its dial plan.
    lab.sh("node1", "asterisk -rx 'core waitfullybooted'")
    lab.json("call")
    lab.json("fault", "power-cut", "node1")
    lab.cluster.wait_role(lab.cluster.nodes[1], "master")
    lab.json("call")
    lab.json("heal")
    lab.cluster.re_add_standby()
    lab.cluster.wait_complete()
    lab.cluster.ask(lab.cluster.nodes[1], "remove-slave")
    assert "online" in lab.sh("node1", "pg_lsclusters --no-header")
    assert [_failed_units(lab, node) for node in ("node1", "node2")] == ["", ""]


_WEB = (
    "import ssl, urllib.request; "
    "print(urllib.request.urlopen('https://10.77.0.12/', context=ssl._create_unverified_context()).status)"
)


@pytest.mark.timeout(120)
def test_an_emergency_reset_survives_a_reboot(pair: tuple[Lab, str]) -> None:
    """The node that went on alone, with neither keeper nor manager left, takes the cluster IP as its own and boots again:
    alone, serving, nothing failed."""
    lab, _ = pair
    lab.sh("node2", "systemctl mask --now ishmael-keeper && systemctl stop ishmael-manager")
    lab.sh("node2", "ishmael-reset-cluster --take-cluster-ip --yes")
    assert "10.77.0.10/" in lab.sh("node2", "ip -4 addr")
    assert lab.sh("node2", "systemctl is-active asterisk ishmael-manager").split() == ["active", "active"]
    lab.sh("node2", "systemctl unmask ishmael-keeper")
    lab.json("reboot", "node2")
    status = json.loads(lab.sh("node2", "ishmael status --json"))
    assert (status["state"], status["role"]) == ("alone", "out")
    assert "10.77.0.10/" in lab.sh("node2", "ip -4 addr")
    assert "online" in lab.sh("node2", "pg_lsclusters --no-header")
    assert _failed_units(lab, "node2") == ""
    assert lab.sh("node2", f'python3 -c "{_WEB}"') == "200"
    lab.sh("node2", "ishmael-reset-cluster --give-up-cluster-ip")
    assert "10.77.0.10/" not in lab.sh("node2", "ip -4 addr")


@pytest.mark.timeout(60)
def test_a_reset_in_peace_survives_a_reboot(pair: tuple[Lab, str]) -> None:
    """The removed node is reset and boots again: alone, without the cluster IP, with its data."""
    lab, _ = pair
    lab.cluster.ask(lab.cluster.nodes[0], "reset")
    lab.json("reboot", "node1")
    status = json.loads(lab.sh("node1", "ishmael status --json"))
    assert (status["state"], status["role"]) == ("alone", "out")
    assert "10.77.0.10/" not in lab.sh("node1", "ip -4 addr")
    assert "online" in lab.sh("node1", "pg_lsclusters --no-header")
