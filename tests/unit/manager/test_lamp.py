"""What the status alone says against a green lamp."""

from __future__ import annotations

from typing import Any

import pytest

from ishmael.manager.watch.lamp import seen_at_once


def _complete(**more: Any) -> dict[str, Any]:
    nodes = [{"name": "pbx1", "role": "master", "online": True}, {"name": "pbx2", "role": "slave", "online": True}]
    links = {"phone": True, "internal": True}
    return {"state": "complete", "keeper": True, "failover_possible": True, "nodes": nodes, "links": links, **more}


def test_all_is_well() -> None:
    """No reason."""
    assert seen_at_once(_complete()) == []
    assert seen_at_once(_complete(links={"phone": None, "internal": None})) == []


@pytest.mark.parametrize("name", ["phone", "internal"])
def test_a_cut_link_is_a_warning(name: str) -> None:
    """The nodes still see each other over the other one: nothing fails yet, and the next fault would."""
    (found,) = seen_at_once(_complete(links={"phone": True, "internal": True, name: False}))
    assert (found["state"], found["hint"]) == ("warning", "Look at the cable, and at the switch.")
    assert found["title_de"].startswith("Das")


def test_a_node_that_is_gone_has_no_cut_cable() -> None:
    """Whoever is not heard at all is said to be gone, not to be unplugged."""
    status = _complete(links={"phone": False, "internal": False}, state="degraded", failover_possible=False)
    status["nodes"][1]["online"] = False
    assert [reason["id"] for reason in seen_at_once(status)] == ["X7"]


@pytest.mark.parametrize(
    ("more", "name", "state"),
    [
        ({"keeper": False}, "keeper", "critical"),
        ({"state": "standby", "links": {}}, "on-standby", "warning"),
        ({"failover_possible": False, "failover_blocked_by": ["the slave is not heard"]}, "X7", "warning"),
        (
            {"state": "degraded", "nodes": [{"name": "pbx2", "role": "waiting", "online": True}]},
            "no-master",
            "critical",
        ),
    ],
)
def test_each_has_both_languages(more: dict[str, Any], name: str, state: str) -> None:
    """And a hint in both."""
    (found,) = seen_at_once(_complete(**more))
    assert (found["id"], found["state"]) == (name, state)
    assert found["title"] != found["title_de"] and found["hint"] != found["hint_de"]
