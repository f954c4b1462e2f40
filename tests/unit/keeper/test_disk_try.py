"""Rule 10: the keeper tries its disk now and then, so that a dead one is known before a record has to be written."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ishmael.core import events as ev
from ishmael.core.machine import step
from ishmael.core.state import Config, Saving, State
from ishmael.keeper.disk import TRY_OUT
from ishmael.keeper.driver import Driver
from ishmael.keeper.places import Places

EVERY_MS = 5000


class Tried:
    """A driver that keeps what it would feed its core."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.var = Places(root).var
        self.var.mkdir(parents=True)
        self.driver = Driver(Places(root))
        self.fed: list[ev.Event] = []
        patch.setattr(self.driver, "feed", self.fed.append)

    def answers(self) -> list[tuple[bool, str]]:
        """Wait for the helper, and take in what it says as the loop does."""
        lane = self.driver.disk.records
        assert select.select([lane], [], [], 10)[0], "no answer"
        found = [(saved.ok, saved.error) for saved in lane.answers() if saved.ticket == TRY_OUT]
        for ok, why in found:
            self.driver.disk_tried(ok, why)
        return found


@pytest.fixture
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tried]:
    """With helpers of its own, ended afterwards."""
    made = Tried(tmp_path, monkeypatch)
    yield made
    made.driver.disk.close()


def test_it_is_tried_now_and_then_beside_the_record(tried: Tried) -> None:
    """The first time at once, then every five seconds; the core is told that it went well, and the record is left alone."""
    record = tried.var / "record"
    record.write_bytes(b"as it was")
    tried.driver._probe_disk(100)
    assert tried.answers() == [(True, "")]
    tried.driver._probe_disk(100 + EVERY_MS - 1)
    assert not select.select([tried.driver.disk.records], [], [], 0.1)[0]
    tried.driver._probe_disk(100 + EVERY_MS)
    assert tried.answers() == [(True, "")]
    assert tried.fed == [ev.DiskProbed(True, ""), ev.DiskProbed(True, "")]
    assert record.read_bytes() == b"as it was"
    assert (tried.var / "disk-try").exists()


def test_a_disk_that_refuses_is_told_with_its_own_words(tried: Tried) -> None:
    """A directory that is gone stands for every refusal."""
    tried.var.rmdir()
    tried.driver._probe_disk(100)
    assert tried.answers() == [(False, os.strerror(2))]
    assert tried.fed == [ev.DiskProbed(False, os.strerror(2))]


def test_a_disk_that_hangs_is_told_when_its_time_is_over(tried: Tried) -> None:
    """Nothing waits for it; once it answers after all, the core learns that too, and it is tried again in its turn."""
    os.kill(tried.driver.disk.records._pid, signal.SIGSTOP)
    limit_ms = 2 * tried.driver.state.config.times.save_ms
    tried.driver._probe_disk(100)
    tried.driver._probe_disk(100 + limit_ms)
    assert tried.fed == []
    tried.driver._probe_disk(101 + limit_ms)
    assert tried.fed == [ev.DiskProbed(False, f"the disk takes nothing for {limit_ms + 1} ms")]
    os.kill(tried.driver.disk.records._pid, signal.SIGCONT)
    assert tried.answers() == [(True, "")]
    assert tried.fed[-1] == ev.DiskProbed(True, "")


def test_a_save_says_as_much_and_is_not_disturbed(tried: Tried) -> None:
    """While a record is on its way nothing is tried."""
    tried.driver.state = replace(tried.driver.state, saving=Saving(1, None, 0))
    tried.driver._probe_disk(100)
    assert not select.select([tried.driver.disk.records], [], [], 0.1)[0]
    assert not (tried.var / "disk-try").exists()


def test_the_core_tells_a_bad_disk_once_and_a_good_try_proves_nothing() -> None:
    """Only a record that was written ends the complaint."""
    state = State(config=Config(me=1, peer=2))
    first = step(state, 10, ev.DiskProbed(False, "no space left on device"))
    assert [notice.kind for notice in first.notices] == ["record-not-saved"]
    again = step(first.state, 20, ev.DiskProbed(False, "no space left on device"))
    assert again.notices == ()
    assert step(again.state, 30, ev.DiskProbed(True)).state.save_failed_ms >= 0
