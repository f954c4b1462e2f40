"""Times of the services after a takeover, from what a client was answered."""

from __future__ import annotations

import pytest

from ishmael.lab.answers import Answers, after_takeover_ms


def _found(**more: list[tuple[float, str]]) -> Answers:
    node = [(at / 10, "node1") for at in range(11)] + [(1.3, "node2"), (1.4, "node2")]
    return {"node": node, "dns": [(0.9, "x"), (1.3, "x")], "mail": [(0.5, "250"), (2.05, "250")], **more}


def test_times_begin_with_the_new_masters_first_answer() -> None:
    """What was answered before counts for nothing; what comes with the first answer, or between two, took no time."""
    found = after_takeover_ms(_found(ntp=[(1.0, "1"), (1.25, "2")]), "node1", "node2")
    assert found == {"silence": 300.0, "dns": 0.0, "mail": 750.0, "ntp": 0.0}


@pytest.mark.parametrize("more", [{"dns": [(0.9, "x")]}, {"mail": []}, {"node": [(0.1, "node1")]}])
def test_who_does_not_answer_again_is_named(more: Answers) -> None:
    """A service that stays silent has no time at all."""
    with pytest.raises(ValueError, match="did not answer"):
        after_takeover_ms(_found(**more), "node1", "node2")
