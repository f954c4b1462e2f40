"""The keeper's side of the watch: wishes out, facts in, nothing believed that was found under an earlier wish."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from ishmael.dbwatch.wanted import Wanted, wanted_from_mapping
from ishmael.keeper.both import Both
from ishmael.keeper.database import SILENCE_MS_MAX, DatabaseLink


class _World:
    """A keeper's link and a watch that says what the test wants."""

    def __init__(self, tmp_path: Path) -> None:
        self.now_ms = 10_000
        self.told: list[Any] = []
        path = tmp_path / "dbwatch.sock"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.link = DatabaseLink(
            path, lambda: self.now_ms, lambda opened, why: self.told.append(("ended", opened, why)),
            lambda on: self.told.append(("switched", on)),
            lambda in_step, why: self.told.append(("in step", in_step, why)),
        )  # fmt: skip
        self.link.configure(managed=True, peer=2)
        self.link.tick()
        self.watch, _ = self.listener.accept()

    def wanted(self) -> Wanted:
        """The newest wish."""
        lines = self.watch.recv(65536).splitlines()
        made = wanted_from_mapping(json.loads(lines[-1]))
        assert made is not None
        return made

    def say(self, **facts: Any) -> None:
        self.watch.sendall(json.dumps(facts).encode() + b"\n")
        self.link.read()


def test_a_switch_ends_before_anything_is_reported(tmp_path: Path) -> None:
    """Duty 7 of the core: in step counts only when it was measured after the switch had ended."""
    world = _World(tmp_path)
    world.link.open(1000)
    world.link.synchronous(True, once_caught_up=False)
    wanted = world.wanted()
    assert (wanted.mode, wanted.synchronous, wanted.peer) == ("open", True, 2)
    world.say(n=wanted.n, done=True, synchronous=True, in_step=True, why="")
    assert world.told == [("ended", True, ""), ("switched", True)]
    world.say(n=wanted.n, done=True, synchronous=True, in_step=True, why="")
    assert world.told[-1] == ("in step", True, "")


def test_facts_of_an_earlier_wish_are_ignored(tmp_path: Path) -> None:
    """What was found before the order says nothing about what it came to."""
    world = _World(tmp_path)
    world.link.open(1000)
    before = world.wanted().n
    world.link.close(500)
    world.say(n=before, done=True, synchronous=None, in_step=True, why="")
    assert world.told == []
    world.say(n=world.wanted().n, done=True, synchronous=None, in_step=False, why="it is stopped")
    assert world.told == [("ended", False, "")]


def test_an_order_that_takes_too_long_ends_with_why(tmp_path: Path) -> None:
    """A database that cannot be opened is reported, with what the watch says of it."""
    world = _World(tmp_path)
    world.link.open(1000)
    world.say(n=world.wanted().n, done=False, failed="it is starting", synchronous=None, in_step=False, why="")
    world.now_ms += 1001
    world.link.tick()
    assert ("ended", True, "it is starting") in world.told


def test_a_silent_watch_is_out_of_step(tmp_path: Path) -> None:
    """What it said last stands for a while, and not for ever."""
    world = _World(tmp_path)
    world.link.open(1000)
    world.say(n=world.wanted().n, done=True, synchronous=False, in_step=True, why="")
    world.now_ms += SILENCE_MS_MAX
    world.link.tick()
    assert world.told[-1] == ("in step", True, "")
    world.now_ms += 1
    world.link.tick()
    assert world.told[-1] == ("in step", False, "the watch over the database does not answer")


def test_services_and_database_end_as_one() -> None:
    """Open when both are; the failures of both are told together, and an older order's end is nobody's."""
    ended: list[tuple[bool, list[str]]] = []
    both = Both(lambda opened, failures: ended.append((opened, failures)))
    both.begin(True, "services", "database")
    both.end("services", True, ["asterisk: exit code 1"])
    both.end("services", False, [])
    assert ended == []
    both.end("database", True, [])
    assert ended == [(True, ["asterisk: exit code 1"])]
