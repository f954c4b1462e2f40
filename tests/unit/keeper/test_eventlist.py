"""The event list of both nodes: passed on, passed again, known once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ishmael.keeper.disk import Disk
from ishmael.keeper.eventlist import MARK, EventList


@pytest.fixture
def disk() -> Iterator[Disk]:
    """Helpers that write, ended afterwards."""
    helpers = Disk()
    yield helpers
    helpers.close()


def _entry(number: int, node: str = "node1") -> dict[str, Any]:
    return {
        "id": f"1-{number}", "at": f"2026-01-01T00:00:{number:02}+00:00", "epoch": "1.1", "node": node,
        "kind": "let-go", "rule": "1", "why": "because", "facts": {},
    }  # fmt: skip


def _passed(events: EventList) -> list[bytes]:
    sent: list[bytes] = []

    def send(message: bytes) -> bool:
        sent.append(message)
        return True

    for _ in range(200):
        events.pass_on(send)
    return sent


def test_an_own_event_reaches_the_other_node_once(tmp_path: Path) -> None:
    """What one node tells, the other knows; telling it again changes nothing."""
    disk = Disk()
    here, there = EventList(tmp_path / "here", disk), EventList(tmp_path / "there", disk)
    here.own(_entry(1))
    [message] = _passed(here)
    assert message.startswith(MARK)
    line = message.removeprefix(MARK)
    assert there.from_peer(line)
    assert not there.from_peer(line)
    disk.close()
    assert (tmp_path / "there").read_bytes() == (tmp_path / "here").read_bytes()


def test_the_newest_are_passed_again_when_the_other_comes_back(disk: Disk, tmp_path: Path) -> None:
    """A node that was away gets the story of the meantime."""
    here = EventList(tmp_path / "here", disk)
    for number in range(80):
        here.own(_entry(number))
    _passed(here)
    here.peer_came()
    again = [json.loads(message.removeprefix(MARK))["id"] for message in _passed(here)]
    assert again == [f"1-{number}" for number in range(20, 80)]


def test_a_restarted_keeper_knows_what_the_file_holds(disk: Disk, tmp_path: Path) -> None:
    """After a restart known events stay known, and own ones can be passed again; a torn line is left alone."""
    path = tmp_path / "events"
    lines = [json.dumps(_entry(1)), json.dumps(_entry(2, "node2")), '{"id": "torn'.rstrip()]
    path.write_text("\n".join(lines[:2]) + "\n" + lines[2])
    here = EventList(path, disk)
    here.load("node1")
    assert not here.from_peer(lines[1].encode())
    here.peer_came()
    assert [json.loads(message.removeprefix(MARK))["id"] for message in _passed(here)] == ["1-1"]


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b'{"id": 1}', b'"text"'])
def test_junk_is_no_event(disk: Disk, tmp_path: Path, junk: bytes) -> None:
    """What is no event is not written."""
    here = EventList(tmp_path / "here", disk)
    assert not here.from_peer(junk)
    assert not (tmp_path / "here").exists()


def test_what_cannot_be_sent_now_waits(disk: Disk, tmp_path: Path) -> None:
    """A group that takes nothing loses nothing."""
    here = EventList(tmp_path / "here", disk)
    here.own(_entry(1))
    here.pass_on(lambda _message: False)
    assert len(_passed(here)) == 1
