"""Whether the master's data fits on the other node is looked at before anything is copied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ishmael.manager.door.room import room
from ishmael.manager.drivers.files import DiskFiles
from ishmael.manager.ports.files import Room
from ishmael.manager.works.room import SPARE_BYTES, too_small
from ishmael.words import places
from ishmael.words.errors import PeerFault, RequestRefused
from manager.helpers import SLAVE, findings, run, stage
from manager.world import PROFILE, World

GB = 1_000_000_000
VOICE, RECORDINGS, DATABASE = "/var/spool/voicemail", "/srv/recordings", "/var/lib/postgresql/15/main"
WANTED = {VOICE: 1 * GB, RECORDINGS: 8 * GB, DATABASE: 4 * GB}
WITH_FILES = f'{PROFILE}\n[database]\n\n[[files]]\npath = "{VOICE}"\n[[files]]\npath = "{RECORDINGS}"\n'


def _rooms(free: tuple[int, int, int], used: tuple[int, int, int], devices: tuple[int, int, int]) -> dict[str, Room]:
    paths = (VOICE, RECORDINGS, DATABASE)
    return {path: Room(*row) for path, *row in zip(paths, devices, free, used, strict=True)}


@pytest.mark.parametrize(
    ("free", "used", "devices", "named"),
    [
        ((20 * GB,) * 3, (0, 0, 0), (1, 1, 1), []),
        ((13 * GB,) * 3, (0, 0, 0), (1, 1, 1), [("13000 MB", "13000 MB", (VOICE, RECORDINGS, DATABASE))]),
        ((13 * GB + SPARE_BYTES,) * 3, (0, 0, 0), (1, 1, 1), []),
        ((2 * GB, 7 * GB, 5 * GB), (0, 0, 0), (1, 2, 3), [("7000 MB", "8000 MB", (RECORDINGS,))]),
        (
            (2 * GB, 7 * GB, 1 * GB),
            (0, 0, 0),
            (1, 2, 3),
            [("7000", "8000", (RECORDINGS,)), ("1000", "4000", (DATABASE,))],
        ),
        ((1 * GB,) * 3, (1 * GB, 8 * GB, 4 * GB), (1, 1, 1), []),
        ((1 * GB,) * 3, (9 * GB, 7 * GB, 4 * GB), (1, 1, 1), [("1000 MB", "1000 MB", (RECORDINGS,))]),
        ((0,) * 3, (1 * GB, 8 * GB, 4 * GB), (1, 1, 1), []),
    ],
)
def test_each_file_system_is_judged_by_all_that_comes_to_it(
    free: tuple[int, int, int], used: tuple[int, int, int], devices: tuple[int, int, int],
    named: list[tuple[str, str, tuple[str, ...]]],
) -> None:  # fmt: skip
    """Directories, what is free and what is needed are named; what is there already needs no room."""
    found = too_small(WANTED, _rooms(free, used, devices), "node2")
    assert len(found) == len(named)
    for finding, (has, needs, paths) in zip(found, named, strict=True):
        assert finding.code == "no-space" and finding.overridable
        assert f"has {has}" in finding.message and f"and {needs}" in finding.message
        assert [path for path in WANTED if path in finding.message] == list(paths)


def _world(stage_name: str, where: Path) -> World:
    world = World()
    for machine in world.machines:
        machine.files.write(f"{places.SHIPPED_PROFILES}/asterisk.toml", WITH_FILES.encode(), 0o644)
        machine.database.version = "15"
        machine.files.rooms[DATABASE] = Room(1, 5 * GB, 3 * GB)
    stage(world, stage_name, where)
    return world


def test_a_slave_without_room_is_not_added(tmp_path: Path) -> None:
    """The master's database is larger than what is free there: told before anything is touched; the admin may go on."""
    world = _world("prepared", tmp_path)
    first, second = world.machines
    second.files.rooms[DATABASE] = Room(1, 2 * GB, 0)
    before = world.image()
    assert findings(first, "add-slave", SLAVE, tmp_path) == ["no-space"]
    with pytest.raises(PeerFault, match=f"2000 MB free for .*{DATABASE}, and 3000 MB"):
        run(first, "add-slave", SLAVE, tmp_path)
    assert world.image() == before
    second.files.rooms[DATABASE] = Room(1, 4 * GB, 0)
    assert findings(first, "add-slave", SLAVE, tmp_path) == []


def test_what_a_copy_that_was_cut_has_left_needs_no_room(tmp_path: Path) -> None:
    """It goes on there: only the rest is still to come."""
    world = _world("prepared", tmp_path)
    first, second = world.machines
    second.files.rooms[DATABASE] = Room(1, 2 * GB, 0)
    second.files.rooms[f"{DATABASE}.ishmael-new"] = Room(1, 2 * GB, 1 * GB)
    assert findings(first, "add-slave", SLAVE, tmp_path) == ["no-space"]
    second.files.rooms[f"{DATABASE}.ishmael-new"] = Room(1, 2 * GB, 2 * GB)
    assert findings(first, "add-slave", SLAVE, tmp_path) == []


@pytest.mark.parametrize(
    "error", [RequestRefused("unknown-op", "There is no op 'room'."), PeerFault("peer-slow", "It did not answer.")]
)
def test_a_node_that_cannot_tell_is_no_fault(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older node does not know the question: it is added, and the copying looks at the disk as it did."""
    world = _world("prepared", tmp_path)
    world.machines[1].files.rooms[DATABASE] = Room(1, 2 * GB, 0)
    node_kind = type(world.machines[0].hands.node)
    asked: Callable[..., Mapping[str, Any]] = node_kind.ask

    def ask(node: Any, peer: Any, op: str, *rest: Any, **more: Any) -> Mapping[str, Any]:
        if op == "room":
            raise error
        return asked(node, peer, op, *rest, **more)

    monkeypatch.setattr(node_kind, "ask", ask)
    assert findings(world.machines[0], "add-slave", SLAVE, tmp_path) == []


@pytest.mark.parametrize("paths", [None, "x", ["relative"], [7], ["/a\0b"], ["/x"] * 65])
def test_the_door_takes_paths_only(paths: Any, tmp_path: Path) -> None:
    """Nothing else is looked at."""
    world = _world("prepared", tmp_path)
    with pytest.raises(RequestRefused) as refused:
        room(world.machines[1].hands, {"paths": paths})
    assert refused.value.code == "bad-arguments"


def test_the_room_of_a_real_directory(tmp_path: Path) -> None:
    """All files below it count; one that is not there yet has the room of where it would be made."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/one").write_bytes(b"x" * 1000)
    (tmp_path / "a/b/two").write_bytes(b"x" * 500)
    (tmp_path / "a/gone").symlink_to("/nowhere")
    there, none = DiskFiles().room(str(tmp_path / "a")), DiskFiles().room(str(tmp_path / "x/y/z"))
    assert (there.used_bytes - len("/nowhere"), none.used_bytes) == (1500, 0)
    assert there.device == none.device == tmp_path.stat().st_dev
    assert there.free_bytes > 0 and none.free_bytes > 0
