"""The helper processes that write: frames that cannot lie, atomic saves, a keeper that never waits."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ishmael.keeper.disk import Disk, Lane, RecordDamaged, Saved, decode_framed, encode_framed, read_framed

_DEADLINE_S = 10


@pytest.fixture
def disk() -> Iterator[Disk]:
    """Both lanes, ended afterwards."""
    both = Disk()
    yield both
    both.close()


def _wait(lane: Lane) -> list[Saved]:
    poll = select.poll()
    poll.register(lane.fileno(), select.POLLIN)
    assert poll.poll(_DEADLINE_S * 1000), "the helper gave no answer"
    return lane.answers()


@given(st.binary(max_size=2000))
def test_a_frame_gives_back_what_was_put_in(payload: bytes) -> None:
    """Framing loses nothing."""
    assert decode_framed(encode_framed(payload)) == payload


@given(st.binary(min_size=1, max_size=300), st.data())
def test_every_flipped_bit_is_noticed(payload: bytes, data: st.DataObject) -> None:
    """A record with any one bit wrong is not trusted."""
    raw = bytearray(encode_framed(payload))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(RecordDamaged):
        decode_framed(bytes(raw))


@given(st.binary(min_size=1, max_size=300), st.data())
def test_every_truncation_is_noticed(payload: bytes, data: st.DataObject) -> None:
    """A record cut anywhere is not trusted."""
    raw = encode_framed(payload)
    with pytest.raises(RecordDamaged):
        decode_framed(raw[: data.draw(st.integers(0, len(raw) - 1))])


def test_a_save_ends_with_the_file_in_place(disk: Disk, tmp_path: Path) -> None:
    """After ``Saved`` the file holds the payload, and no temporary file is left."""
    disk.save(7, tmp_path / "record", b"new")
    saved = _wait(disk.records)
    assert [(one.ticket, one.ok) for one in saved] == [(7, True)]
    assert read_framed(tmp_path / "record") == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["record"]


def test_an_emptied_record_reads_as_none(disk: Disk, tmp_path: Path) -> None:
    """Removing the record leaves an empty frame, which is not damage."""
    disk.save(1, tmp_path / "record", b"")
    _wait(disk.records)
    assert read_framed(tmp_path / "record") is None
    assert read_framed(tmp_path / "never-written") is None


def test_a_save_that_fails_says_why_and_keeps_the_old_file(disk: Disk, tmp_path: Path) -> None:
    """A directory that is not there gives an error, not an exception in the helper."""
    disk.save(3, tmp_path / "nowhere" / "record", b"new")
    saved = _wait(disk.records)
    assert [(one.ticket, one.ok, one.error) for one in saved] == [(3, False, "No such file or directory")]


def test_a_stopped_helper_never_stops_the_caller(disk: Disk, tmp_path: Path) -> None:
    """With the helper stopped, appends and saves return; once it goes on, the newest record is written."""
    pid = disk.records._pid
    os.kill(pid, signal.SIGSTOP)
    for ticket in range(2000):
        disk.save(ticket, tmp_path / "record", b"%d" % ticket)
    os.kill(pid, signal.SIGCONT)
    last = -1
    while last != 1999:
        last = _wait(disk.records)[-1].ticket
    assert read_framed(tmp_path / "record") == b"1999"


def test_a_killed_helper_is_replaced(disk: Disk, tmp_path: Path) -> None:
    """The death of a helper is reported as a failed save, and the next save works."""
    os.kill(disk.records._pid, signal.SIGKILL)
    assert [one.ok for one in _wait(disk.records)] == [False]
    disk.save(5, tmp_path / "record", b"again")
    assert [(one.ticket, one.ok) for one in _wait(disk.records)] == [(5, True)]


def test_a_log_is_appended_and_moved_aside_when_it_grows(tmp_path: Path) -> None:
    """Beyond ``rotate_bytes`` the log becomes ``.1``; closing waits for what was queued."""
    disk = Disk()
    log = tmp_path / "events.jsonl"
    for _ in range(3):
        disk.append(log, b"0123456789\n", rotate_bytes=15)
    disk.close()
    assert log.read_bytes() == b"0123456789\n"
    assert log.with_name("events.jsonl.1").read_bytes() == b"0123456789\n" * 2
