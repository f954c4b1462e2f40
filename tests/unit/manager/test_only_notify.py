"""The manager tells its keeper which failover checks only notify."""

from __future__ import annotations

import threading
from typing import Any

from ishmael.manager.watch.only_notify import OnlyNotify
from ishmael.words.monitoring import Monitoring


class _Keeper:
    def __init__(self) -> None:
        self.knows: list[str] = []
        self.told: list[list[str]] = []

    def status(self, _max_age_s: float = 0.0) -> dict[str, Any]:
        return {"only_notified": self.knows}

    def only_notify(self, checks: list[str], expires_ms: int) -> None:
        assert expires_ms > 60_000
        self.knows = list(checks)
        self.told.append(self.knows)


class _Cluster:
    def __init__(self, *checks: str) -> None:
        self.checks = checks
        self.known = self
        self.bringing = threading.Lock()

    def monitoring(self) -> Monitoring:
        assert self.bringing.locked()
        return Monitoring(notify_only=self.checks)


def _task(keeper: _Keeper, cluster: _Cluster) -> OnlyNotify:
    return OnlyNotify(keeper, cluster)  # type: ignore[arg-type]


def test_said_once_a_minute_and_at_once_to_a_keeper_that_does_not_know() -> None:
    keeper = _Keeper()
    task = _task(keeper, _Cluster("F3", "F1"))
    for now_s in range(50):
        task.look(now_s)
    assert keeper.told == [["F1"]]
    keeper.knows = []  # it was restarted
    task.look(51)
    task.look(52)
    task.look(112)
    assert keeper.told == [["F1"]] * 3


def test_nothing_is_said_where_every_check_moves() -> None:
    keeper, known = _Keeper(), _Cluster("F3")
    task = _task(keeper, known)
    task.look(0)
    assert keeper.told == []
    known.checks = ("F2",)
    task.look(1)
    known.checks = ()
    task.look(2)
    assert keeper.told == [["F2"], []]
