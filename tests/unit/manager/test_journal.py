"""The journal: on disk before the next thing is done, and telling everyone who waits."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ishmael.manager.jobs.journal import Journal
from ishmael.manager.jobs.model import JobState, StepState
from ishmael.words.errors import Finding, HostFault


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(str(tmp_path / "jobs.sqlite"))
    yield opened
    opened.close()


def test_survives_being_closed(tmp_path: Path) -> None:
    """What was journalled is there when the manager comes back, notes and step marks included."""
    path = str(tmp_path / "jobs.sqlite")
    first = Journal(path)
    job = first.add("reset", {"a": 1}, ("code",))
    found = Finding("f", "c", "m", "h", True, "peer")
    first.change(job.id, "step", state=JobState.RUNNING, step=2, step_name="x", steps=3, findings=(found,))
    first.mark(job.id, 2, StepState.STARTED)
    first.notes(job.id).put("key", {"deep": [1]})
    first.close()
    second = Journal(path)
    again = second.job(job.id)
    assert (again.arguments, again.override, again.progress) == ({"a": 1}, ("code",), "2/3 x")
    assert again.findings == (found,)
    assert second.marks(job.id) == {2: StepState.STARTED}
    assert second.notes(job.id).get("key") == {"deep": [1]}
    assert [event["kind"] for event in second.events(job.id, 0)] == ["queued", "step"]
    second.close()


def test_syncs_every_commit(journal: Journal, tmp_path: Path) -> None:
    """Write-ahead log, every commit synced, and closed to everyone but root."""
    database = journal._database
    assert database.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert database.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert stat.S_IMODE((tmp_path / "jobs.sqlite").stat().st_mode) == 0o600


def test_begun_jobs_come_first(journal: Journal) -> None:
    """A job that a crash cut is resumed before the queue goes on."""
    first, second = journal.add("a", {}, ()), journal.add("b", {}, ())
    journal.change(second.id, "started", state=JobState.RUNNING)
    assert [job.id for job in journal.unfinished()] == [second.id, first.id]


def test_waiting_ends_with_a_change(journal: Journal) -> None:
    """Whoever waits for a job sees its next change at once, and its present state when the time is up."""
    job = journal.add("a", {}, ())
    seen: list[int] = []
    waiter = threading.Thread(target=lambda: seen.append(journal.wait_for_change(job.id, 1, 30).revision))
    waiter.start()
    journal.change(job.id, "started", state=JobState.RUNNING)
    waiter.join(30)
    assert seen == [2]
    assert journal.wait_for_change(job.id, 2, 0.01).revision == 2
    journal.stop_waiting()
    assert journal.wait_for_change(job.id, 2, 30).revision == 2


def test_old_jobs_are_forgotten(journal: Journal) -> None:
    """The journal does not grow for ever."""
    for _ in range(1005):
        newest = journal.add("a", {}, ())
    with pytest.raises(KeyError):
        journal.job(1)
    assert len(journal.jobs(2000)) == 1000
    assert journal.jobs(1)[0].id == newest.id


def test_a_damaged_file_is_the_hosts_fault(tmp_path: Path) -> None:
    """A file that is no journal is left alone, and the hint says how to go on."""
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(b"not a database, and long enough to be looked at" * 100)
    with pytest.raises(HostFault) as fault:
        Journal(str(path))
    assert fault.value.code == "journal-unreadable"
    assert "mv" in fault.value.hint


def test_a_newer_journal_is_left_alone(tmp_path: Path) -> None:
    """A downgrade does not guess at what a newer version wrote."""
    path = str(tmp_path / "jobs.sqlite")
    journal = Journal(path)
    journal._database.execute("PRAGMA user_version=99")
    journal.close()
    with pytest.raises(HostFault) as fault:
        Journal(path)
    assert fault.value.code == "journal-newer"
