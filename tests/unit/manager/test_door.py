"""The door between the nodes: five typed asks, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from ishmael.manager.door.answers import Door
from ishmael.manager.drivers.lock import cluster_lock
from ishmael.manager.jobs.runner import ClusterLocked
from ishmael.manager.works.joining import Joining
from ishmael.words import places
from ishmael.words.roles import Role
from manager.helpers import stage
from manager.world import World


class Remembered:
    """Notes that outlive the look at them."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def cancelled(self) -> bool:
        return False

    def count(self, done: int, total: int, unit: str = "bytes") -> None:
        """Counts nothing."""

    def put(self, key: str, value: Any) -> None:
        self.values[key] = value


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (None, "not-an-ask"),
        ([], "not-an-ask"),
        ({"op": 7}, "not-an-ask"),
        ({"op": "shell"}, "unknown-op"),
        ({"op": "__init__"}, "unknown-op"),
        ({"op": "hello", "arguments": []}, "not-an-ask"),
        ({"op": "hello", "arguments": {"units": ["--now"]}}, "bad-units"),
        ({"op": "install", "arguments": {}}, "bad-load"),
        ({"op": "install", "arguments": dict.fromkeys(("settings", "profile"), 1)}, "bad-load"),
        ({"op": "start", "arguments": {"what": "sshd"}}, "unknown-service"),
        ({"op": "start", "arguments": {"what": "keeper"}}, "not-set-up"),
        ({"op": "withdraw", "arguments": {"all": True}}, "bad-arguments"),
        ({"op": "files-settle", "arguments": {}}, "bad-arguments"),
        ({"op": "files-settle", "arguments": {"limit_ms": -1}}, "bad-arguments"),
        ({"op": "files-settle", "arguments": {"limit_ms": True}}, "bad-arguments"),
        ({"op": "files-settle", "arguments": {"limit_ms": 60_000}}, "bad-arguments"),
        ({"op": "database-status", "arguments": {"password": "0" * 32, "wait_ms": 60_000}}, "bad-arguments"),
        ({"op": "database-status", "arguments": {"password": "0" * 32, "wait_ms": "1"}}, "bad-arguments"),
    ],
)
def test_anything_else_is_refused(line: Any, code: str) -> None:
    """An ask that is none changes nothing and gets a typed error."""
    world = World()
    before = world.image()
    answer = Door(world.machines[1].hands, nullcontext).answer(line)
    assert (answer["ok"], answer["error"]["code"]) == (False, code)
    assert world.image() == before


def _load(world: World, where: Path) -> dict[str, Any]:
    """What the master would install on the slave."""
    stage(world, "complete", where)
    first, second = world.machines
    notes = Remembered()
    settings = first.settings()
    assert settings is not None
    for key, value in {"settings": settings.to_toml(), "own": 1, "slave": 2, "host_key": "ssh-ed25519 x"}.items():
        notes.put(key, value)
    second.files.remove(places.SETTINGS)
    return Joining(first.hands, notes)._load()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"corosync_key": "AAAA"}, "corosync-key-wrong"),
        ({"corosync_key": "?"}, "corosync-key-wrong"),
        ({"public_key": "ssh-rsa x"}, "cluster-key-damaged"),
        ({"private_key": "none"}, "cluster-key-damaged"),
        ({"settings": "schema = 1"}, "settings-keys"),
        ({"settings": "{"}, "settings-not-toml"),
        ({"profile": "x"}, "profile-not-toml"),
        ({"extra": "x"}, "bad-load"),
    ],
)
def test_a_bad_load_is_refused_whole(change: dict[str, str], code: str, tmp_path: Path) -> None:
    """Nothing of a load is written when a part of it is wrong."""
    world = World()
    load = _load(world, tmp_path)
    before = world.image()
    answer = Door(world.machines[1].hands, nullcontext).answer({"op": "install", "arguments": {**load, **change}})
    assert answer["error"]["code"] == code
    assert world.image() == before


def test_settings_of_others_are_refused(tmp_path: Path) -> None:
    """A node is not made part of a cluster that does not name it."""
    world = World()
    load = _load(world, tmp_path)
    world.machines[1].host.host_name = "node9"
    answer = Door(world.machines[1].hands, nullcontext).answer({"op": "install", "arguments": load})
    assert answer["error"]["code"] == "not-for-this-node"


@pytest.mark.parametrize("op", ["install", "withdraw"])
def test_a_serving_master_is_not_touched(op: str, tmp_path: Path) -> None:
    """Whoever holds the key cannot take a serving node out of service."""
    world = World()
    load = _load(world, tmp_path)
    world.machines[0].keeper.role, world.machines[1].keeper.role = Role.STANDBY, Role.MASTER
    before = world.image()
    arguments = load if op == "install" else {}
    answer = Door(world.machines[1].hands, nullcontext).answer({"op": op, "arguments": arguments})
    assert answer["error"]["code"] == "peer-is-master"
    assert world.image() == before


def test_no_ask_runs_beside_a_job() -> None:
    """While a job changes this node, the door only looks."""

    @contextmanager
    def locked() -> Iterator[None]:
        raise ClusterLocked("node-busy", "Another job changes this node right now.", "Wait.")
        yield

    door = Door(World().machines[1].hands, locked)
    assert door.answer({"op": "withdraw"})["error"]["code"] == "node-busy"
    assert door.answer({"op": "hello"})["ok"] is True


def test_the_lock_is_held_by_one(tmp_path: Path) -> None:
    """The second one is told to wait; the lock is free again afterwards."""
    path = str(tmp_path / "lock")
    with cluster_lock(path), pytest.raises(ClusterLocked), cluster_lock(path, limit_s=0.0):
        pytest.fail("two held the lock at once")
    with cluster_lock(path, limit_s=0.0):
        pass


def test_the_program_behind_the_key() -> None:
    """It answers line by line, junk as well, and ends with its input."""
    lines = b'{"op": "shell"}\nnot json\n\xff\xfe\n{"op": "start", "arguments": {"what": "x"}}\n'
    ended = subprocess.run(
        [sys.executable, "-m", "ishmael.manager.door"], input=lines, capture_output=True, timeout=60, check=False
    )
    codes = [json.loads(line)["error"]["code"] for line in ended.stdout.splitlines()]
    assert ended.returncode == 0, ended.stderr
    assert codes[:3] == ["unknown-op", "not-an-ask", "not-an-ask"]
