"""What a listener is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ishmael.manager.api.stream import Teller
from ishmael.manager.jobs.journal import Journal
from ishmael.manager.look import Look
from manager.world import World


class _Growing:
    """An event list that grows."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = [{"id": "1", "at": "a", "kind": "old"}]

    def newest(self, limit: int) -> list[dict[str, Any]]:
        return self.rows[-limit:]


def _read(piece: str) -> tuple[str, Any]:
    kind, data = piece.removesuffix("\n\n").split("\n")
    return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def test_tells_what_changes_once(tmp_path: Path) -> None:
    """The status at once, then only changes; events and jobs from before are no news."""
    journal, events = Journal(str(tmp_path / "jobs.sqlite")), _Growing()
    machine = World().machines[0]
    journal.add("reset", {}, ())
    teller = Teller(journal, Look(machine.hands, events))
    assert [_read(piece)[0] for piece in teller.status()] == ["status"]
    assert teller.status() == []
    assert teller.events() == []
    assert teller.jobs() == []
    events.rows.append({"id": "2", "at": "b", "kind": "new"})
    assert [_read(piece) for piece in teller.events()] == [("event", {"id": "2", "at": "b", "kind": "new"})]
    job = journal.add("failover", {}, ())
    journal.count(job.id, 5, 10, "files")
    ((kind, told),) = [_read(piece) for piece in teller.jobs()]
    assert (kind, told["id"], told["amount"]["done"]) == ("job", job.id, 5)
    assert teller.jobs() == []
    journal.close()


def test_an_amount_wakes_and_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a job sees it counting; the next step begins without an amount."""
    journal = Journal(str(tmp_path / "jobs.sqlite"))
    job = journal.add("reset", {}, ())
    now = [100.0]
    monkeypatch.setattr("ishmael.manager.jobs.journal.time.monotonic", lambda: now[0])
    journal.count(job.id, 0, 1000, "bytes")
    now[0] += 2
    journal.count(job.id, 500, 1000, "bytes")
    amount = journal.job(job.id).amount
    assert amount is not None
    assert (amount.done, amount.rate, amount.remaining_s) == (500, 250.0, 2.0)
    assert journal.jobs(1)[0].amount == amount
    now[0] += 0.1
    journal.count(job.id, 520, 1000, "bytes")
    assert journal.job(job.id).amount == amount
    journal.change(job.id, "step", step=2)
    assert journal.job(job.id).amount is None
    journal.close()
