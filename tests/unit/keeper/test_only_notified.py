"""Failover checks that only notify: a fact with an expiry."""

from __future__ import annotations

from typing import Any

import pytest

from ishmael.keeper.only_notified import OnlyNotifiedChecks


class _World:
    def __init__(self) -> None:
        self.now_ms = 0
        self.told: list[frozenset[str]] = []
        self.checks = OnlyNotifiedChecks(lambda: self.now_ms, self.told.append)

    def ask(self, checks: Any, expires_ms: Any = 1000) -> dict[str, Any]:
        return self.checks.take({"ask": "only-notify", "checks": checks, "expires_ms": expires_ms})


def test_it_holds_until_it_expires_and_is_told_once() -> None:
    world = _World()
    assert world.ask(["F1", "F4"])["ok"]
    world.now_ms = 900
    assert world.ask(["F4", "F1"])["ok"]
    world.now_ms = 1500
    world.checks.expire()
    assert world.told == [{"F1", "F4"}]
    world.now_ms = 1900
    world.checks.expire()
    assert world.told == [{"F1", "F4"}, frozenset()]


def test_it_is_taken_back() -> None:
    world = _World()
    world.ask(["F2"])
    world.ask([])
    assert world.told == [{"F2"}, frozenset()]


@pytest.mark.parametrize("checks", [None, "F1", ["F3"], ["N1"], [1], [["F1"]]])
def test_only_checks_of_the_keeper_are_taken(checks: Any) -> None:
    world = _World()
    assert world.ask(checks)["error"]["code"] == "bad-only-notify"
    assert world.told == []


@pytest.mark.parametrize("expires_ms", [None, 0, -1, 600_001, "5", True])
def test_it_needs_an_end(expires_ms: Any) -> None:
    assert _World().ask(["F1"], expires_ms)["error"]["code"] == "bad-only-notify"
