"""Each release of Debian: the package installs, starts alone, and two such nodes make a cluster that survives a power cut.

Only with ISHMAEL_TEST_FULL=1: all other tests are about Debian 12 in any case. The package of 13 must lie in dist/
(script/package --release 13).
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.lab import resets
from tests.lab.conftest import Lab

pytestmark = pytest.mark.lab
RELEASES = ("12", "13")


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


def test_it_starts_alone(pair: tuple[Lab, str]) -> None:
    """Nothing asked, nothing failed, no part in any cluster."""
    lab, release = pair
    for node in ("node1", "node2"):
        assert lab.sh(node, "cat /etc/debian_version").startswith(release)
        assert json.loads(lab.sh(node, "ishmael status --json"))["state"] == "alone"
        assert resets.failed_units(lab, node) == ""


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
    assert [resets.failed_units(lab, node) for node in ("node1", "node2")] == ["", ""]


@pytest.mark.timeout(120)
def test_an_emergency_reset_survives_a_reboot(pair: tuple[Lab, str]) -> None:
    """Of the node that went on alone."""
    resets.emergency(pair[0], "node2")


@pytest.mark.timeout(60)
def test_a_reset_in_peace_survives_a_reboot(pair: tuple[Lab, str]) -> None:
    """Of the removed node; its database runs."""
    resets.in_peace(pair[0], "node1")
    assert "online" in pair[0].sh("node1", "pg_lsclusters --no-header")
