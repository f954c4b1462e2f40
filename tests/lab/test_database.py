"""The replicated database on two real nodes: nothing acknowledged is lost.

The shared lab's writer inserts over the cluster IP, as a phone system would.
"""

from __future__ import annotations

from typing import Any

import pytest

from ishmael.lab import acknowledged, soak_data
from ishmael.lab.cluster import Cluster
from ishmael.lab.node import Node
from ishmael.lab.tools import wait_until
from tests.lab.conftest import Lab

pytestmark = pytest.mark.lab


def _pair(cluster: Cluster) -> tuple[Node, Node]:
    """Master and slave of a complete cluster."""
    master = acknowledged.master_of(cluster)
    return master, next(node for node in cluster.nodes if node is not master)


def _sync(cluster: Cluster, node: Node) -> dict[str, Any]:
    return dict((cluster.status(node) or {}).get("sync") or {})


def _re_add(cluster: Cluster, master: Node) -> dict[str, Any]:
    found = dict(cluster.ask(master, "re-add")["result"])
    cluster.wait_complete()
    return found


def test_a_power_cut_loses_no_acknowledged_row(complete: Lab) -> None:
    """The master dies under write load: every acknowledged row is on the new one, and the old one comes back as slave."""
    (seen,) = soak_data.Soak(complete.plan, 7).runs(1, set())
    assert "failed" not in seen, seen
    assert seen["lost"] == 0
    assert seen["acknowledged"] > 20
    assert seen["moved"] and seen["files_missing"] == []
    assert "ishmael_" in seen["promised"]
    assert seen["rung"] in ("follow", "rewind")


def test_a_planned_switch_loses_nothing_and_needs_no_rewind(complete: Lab) -> None:
    """Handing over sends the log to its last byte: the former master follows at once."""
    cluster = complete.cluster
    master, slave = _pair(cluster)
    with acknowledged.writing(complete.plan, master) as book:
        cluster.ask(master, "failover")
        before = book.count()
        assert wait_until(lambda: book.count() > before + 20, 20, 0.1)
        book.stop()
        assert acknowledged.lost(slave, book) == []
    cluster.wait_role(master, "standby")
    assert _re_add(cluster, slave)["rung"] == "follow"


def test_status_tells_how_far_the_slave_is(complete: Lab) -> None:
    """Lag in bytes, and a canary row that is at most a second old while the slave is fit."""
    cluster = complete.cluster
    master, _ = _pair(cluster)

    def in_step() -> bool:
        seen = _sync(cluster, master)
        near = (seen.get("canary_age_ms") or 99999) < 1000 and seen["db_lag_bytes"] < 4_000_000
        return near and seen["synchronous"] is True

    assert wait_until(in_step, 20, 0.1), _sync(cluster, master)
