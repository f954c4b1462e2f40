"""An outage as one story: what led to it, the move, what followed; nothing of another move."""

from __future__ import annotations

from typing import Any

from ishmael.manager.story import stories


def _event(second: int, node: str, kind: str, **more: Any) -> dict[str, Any]:
    at = f"2026-01-01T03:{second // 60:02}:{second % 60:02}.000+00:00"
    return {
        "id": f"{node}-{second}",
        "at": at,
        "node": node,
        "kind": kind,
        "rule": "",
        "why": f"{kind}.",
        "facts": {},
    } | more


_POWER_CUT = [
    _event(10, "node2", "link-changed", why="The link of the internal network was lost."),
    _event(11, "node2", "taking", rule="3a", why="The master is silent."),
    _event(
        12, "node2", "became-master", rule="3a", why="The master is silent.", facts={"epoch": "2.2", "unheard_ms": 324}
    ),
    _event(13, "node2", "workload-open", why="All services are open."),
    _event(40, "node1", "became-standby"),
]


def test_a_power_cut_is_told_from_cause_to_outcome() -> None:
    """The lines come in order, from both nodes, with how long the master had not been heard."""
    [story] = stories(list(reversed(_POWER_CUT)))
    assert [line["text"] for line in story["lines"]] == [
        "The link of the internal network was lost.",
        "It decides to become master: the master is silent.",
        "It holds the cluster IP now and is master.",
        "All services are open.",
        "It is out of service now and waits to be re-added.",
    ]
    assert (story["node"], story["rule"], story["epoch"], story["unheard_ms"]) == ("node2", "3a", "2.2", 324)


def test_two_moves_are_two_stories() -> None:
    """What belongs to the first move is not told again with the second."""
    later = [
        _event(300, "node2", "offered"),
        _event(301, "node1", "became-master", rule="3c", facts={"epoch": "3.1", "unheard_ms": 1}),
    ]
    first, second = stories([*_POWER_CUT, *later])
    assert len(first["lines"]) == len(_POWER_CUT)
    assert [line["node"] for line in second["lines"]] == ["node2", "node1"]


def test_what_is_old_belongs_to_no_story() -> None:
    """A link lost minutes before explains nothing."""
    [story] = stories([_event(0, "node1", "link-changed"), _event(100, "node2", "became-master", rule="3a")])
    assert len(story["lines"]) == 1


def test_the_first_master_had_nobody_before() -> None:
    """Setting up is a move without a former master."""
    [story] = stories([_event(1, "node1", "became-master", rule="form", facts={"unheard_ms": 9})])
    assert story["unheard_ms"] is None


def test_an_event_without_a_time_is_left_out() -> None:
    """A torn line does no harm."""
    assert stories([{"kind": "became-master"}, {"at": "yesterday", "kind": "became-master"}]) == []
