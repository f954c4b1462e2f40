"""The status lamp: links."""

from __future__ import annotations

from typing import Any

import pytest

from ishmael.web.lamp import GREEN, RED, YELLOW, lamp


def _complete(**more: Any) -> dict[str, Any]:
    nodes = [{"name": "pbx1", "role": "master", "online": True}, {"name": "pbx2", "role": "slave", "online": True}]
    links = {"phone": True, "internal": True}
    return {"state": "complete", "keeper": True, "failover_possible": True, "nodes": nodes, "links": links, **more}


def test_all_is_well() -> None:
    """Green, without a reason."""
    assert lamp(_complete()).state == GREEN
    assert lamp(_complete(links={"phone": None, "internal": None})).state == GREEN


@pytest.mark.parametrize("name", ["phone", "internal"])
def test_a_cut_link_is_a_warning(name: str) -> None:
    """The nodes still see each other over the other one: nothing fails yet, and the next fault would."""
    found = lamp(_complete(links={"phone": True, "internal": True, name: False}))
    assert found.state == YELLOW
    assert [reason.hint for reason in found.reasons] == ["Look at the cable, and at the switch."]


def test_a_node_that_is_gone_has_no_cut_cable() -> None:
    """Whoever is not heard at all is said to be gone, not to be unplugged."""
    status = _complete(links={"phone": False, "internal": False}, state="degraded", failover_possible=False)
    status["nodes"][1]["online"] = False
    assert all("cable" not in reason.hint for reason in lamp(status).reasons)


def test_the_worst_comes_first() -> None:
    """Red before yellow."""
    found = lamp(_complete(keeper=False, links={"phone": True, "internal": False}))
    assert found.state == RED
    assert [reason.state for reason in found.reasons] == [RED, YELLOW]
