"""What the disk helpers must not do to the keeper."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ishmael.keeper.disk import Disk, Lane
from keeper_drivers.world import until


@pytest.fixture
def disk() -> Iterator[Disk]:
    """Both lanes, ended afterwards."""
    made = Disk()
    yield made
    made.close()


def answered(lane: Lane, count: int) -> list[bool]:
    """The outcomes of so many jobs."""
    outcomes: list[bool] = []
    while len(outcomes) < count:
        assert select.select([lane], [], [], 10)[0], "no answer"
        outcomes += [one.ok for one in lane.answers()]
    return outcomes


def test_a_helper_started_anew_holds_none_of_the_keepers_descriptors(disk: Disk) -> None:
    """A connection the keeper closes is closed for the other end, although the helper was forked while it was open."""
    near, far = socket.socketpair()
    os.kill(disk.logs._pid, signal.SIGKILL)
    assert answered(disk.logs, 1) == [False]
    near.close()
    far.settimeout(5)
    assert far.recv(1) == b""
    far.close()
    helper = Path(f"/proc/{disk.logs._pid}/fd")
    until(lambda: sum(int(one.name) > 2 for one in helper.iterdir()) == 1)


def test_a_stalled_log_does_not_delay_records_and_catches_up_by_itself(disk: Disk, tmp_path: Path) -> None:
    """The lanes do not know of each other; queued lines follow as soon as the helper goes on, without another append."""
    os.kill(disk.logs._pid, signal.SIGSTOP)
    for number in range(700):
        disk.append(tmp_path / "events", b"%d\n" % number)
    disk.save(1, tmp_path / "record", b"record")
    assert answered(disk.records, 1) == [True]
    kept = 700 - disk.logs.dropped
    assert kept >= 512
    os.kill(disk.logs._pid, signal.SIGCONT)
    assert answered(disk.logs, kept) == [True] * kept
    assert (tmp_path / "events").read_text().split() == [str(number) for number in range(kept)]


def test_a_full_disk_leaves_no_half_line(disk: Disk) -> None:
    """The append fails and says so; what was there before stays whole."""
    events = Path("/dev/full")
    disk.append(events, b"line\n")
    assert answered(disk.logs, 1) == [False]


def test_closing_does_not_wait_for_a_helper_that_hangs() -> None:
    """After a second it is killed and left."""
    lane = Lane(keep_newest=True)
    os.kill(lane._pid, signal.SIGSTOP)
    lane.close()
    until(lambda: not Path(f"/proc/{lane._pid}").exists() or os.waitpid(lane._pid, os.WNOHANG)[0])
