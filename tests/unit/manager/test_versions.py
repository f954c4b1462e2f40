"""The same versions on both nodes: seen, brought, objected to; and what APT is told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ishmael.apt import install, pool
from ishmael.apt.main import explain
from ishmael.apt.plan import Change, locked, read_plan
from ishmael.manager.versions import ASK_S, VersionWatch
from ishmael.words import places
from ishmael.words.errors import PeerFault, RequestRefused
from ishmael.words.profile import profile_from_toml
from ishmael.words.roles import Role
from ishmael.words.settings import settings_from_toml
from ishmael.words.versions import depended, file_name
from manager.helpers import SLAVE, done, findings, run, stage
from manager.world import PROFILE, World

WITH_PACKAGES = PROFILE.replace(
    'name = "asterisk"\n', 'name = "asterisk"\npackages = ["pbx"]\nfirmware = ["/srv/firmware"]\n', 1
)
PLAN = (
    "VERSION 3\nAPT::Architecture=amd64\nDir=/\n\n"
    "pbx 1.0 amd64 none < 2.0 amd64 none /var/cache/apt/archives/pbx_2.0_amd64.deb\n"
    "vim 9 amd64 none < 10 amd64 none /var/cache/apt/archives/vim_10_amd64.deb\n"
    "ishmael 0.1 amd64 none < - - none **REMOVE**\n"
    "pbx 1.0 amd64 none < 2.0 amd64 none **CONFIGURE**\n"
)


def _world(stage_name: str, where: Path) -> World:
    world = World()
    for machine in world.machines:
        machine.files.write(f"{places.SHIPPED_PROFILES}/asterisk.toml", WITH_PACKAGES.encode(), 0o644)
        machine.packages.installed["pbx"] = "1.0"
    stage(world, stage_name, where)
    return world


def _update_master(world: World) -> None:
    packages = world.machines[0].packages
    packages.installed |= {"pbx": "2.0", "libpbx": "2.0"}
    packages.pool = {"/pool/pbx_2.0.deb": b"p" * 1_300_000, "/pool/libpbx_2.0.deb": b"l", "/pool/other_1.deb": b"o"}
    packages.depends = {"/pool/pbx_2.0.deb": ("libc6", "libpbx")}


def test_the_slave_is_brought_to_the_masters_versions(tmp_path: Path) -> None:
    """Packages of another version go over the door with what they depend on; nothing else does."""
    world = _world("prepared", tmp_path)
    _update_master(world)
    job = done(world.machines[0], "add-slave", SLAVE, tmp_path)
    assert world.machines[1].packages.installed == {"ishmael": "0.1.0", "pbx": "2.0", "libpbx": "2.0"}
    assert job.result is not None
    assert job.result["updated"] == {"pbx": "2.0", "libpbx": "2.0"}
    assert job.result["bytes_moved"] > 1_300_000
    assert world.machines[1].packages.brought == {}


def test_ishmael_itself_is_brought_too(tmp_path: Path) -> None:
    """A slave with an older Ishmael is no reason to refuse, when this node keeps its own package."""
    world = _world("prepared", tmp_path)
    first, second = world.machines
    first.packages.installed["ishmael"] = first.host.software = "0.2.0"
    first.packages.pool["/pool/ishmael_0.2.0.deb"] = b"i"
    assert findings(first, "add-slave", SLAVE, tmp_path) == []
    done(first, "add-slave", SLAVE, tmp_path)
    assert second.packages.installed["ishmael"] == "0.2.0"


def test_what_is_not_kept_is_said_before_anything_is_touched(tmp_path: Path) -> None:
    """Without the package's file the versions cannot be made the same: refused, both nodes as before."""
    world = _world("prepared", tmp_path)
    world.machines[0].packages.installed["pbx"] = "2.0"
    before = world.image()
    assert findings(world.machines[0], "add-slave", SLAVE, tmp_path) == ["version-differs"]
    with pytest.raises(PeerFault, match="keeps no file of pbx"):
        run(world.machines[0], "add-slave", SLAVE, tmp_path)
    assert world.image() == before


@pytest.mark.parametrize(
    ("depends", "there", "kept", "lacks"),
    [
        ("libpbx (>= 2.0)", {"libpbx": "1.0"}, False, "libpbx (>= 2.0)"),
        ("libpbx (>= 2.0)", {}, False, "libpbx (>= 2.0)"),
        ("libpbx", {}, False, "libpbx"),
        ("libpbx (>= 2.0)", {"libpbx": "1.0"}, True, ""),
        ("libpbx (>= 2.0)", {"libpbx": "2.1~rc1"}, False, ""),
        ("libpbx (>= 2.0)", {"libpbx": "2.0~rc1"}, False, "libpbx (>= 2.0)"),
        ("libpbx (<< 3), libpbx:any (>= 1)", {"libpbx": "1.5"}, False, ""),
        ("libother (>= 1) | libpbx (>= 2.0)", {"libpbx": "1.0"}, False, "libpbx (>= 2.0)"),
        ("libother (>= 1) | libpbx (>= 2.0)", {"libother": "1"}, False, ""),
        ("mail-transport-agent", {}, False, ""),
    ],
)
def test_a_dependency_that_is_not_kept_is_said(
    depends: str, there: dict[str, str], kept: bool, lacks: str, tmp_path: Path
) -> None:
    """A library that the new version needs was installed by other means: APT there, which has no other source, would fail."""
    world = _world("prepared", tmp_path)
    _update_master(world)
    packages = world.machines[0].packages
    packages.depends = {"/pool/pbx_2.0.deb": (depends,)}
    if not kept:
        del packages.pool["/pool/libpbx_2.0.deb"]
    world.machines[1].packages.installed |= there
    before, codes = world.image(), ["dependency-not-kept"] if lacks else []
    assert findings(world.machines[0], "add-slave", SLAVE, tmp_path) == codes
    if lacks:
        with pytest.raises(PeerFault) as caught:
            run(world.machines[0], "add-slave", SLAVE, tmp_path)
        assert f"lacks {lacks}, " in caught.value.message
        assert world.image() == before


def test_what_is_not_kept_any_more_is_said_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file was there when the job was checked, and goes before its turn: told, and both nodes as before."""
    world = _world("prepared", tmp_path)
    _update_master(world)
    first, before = world.machines[0], world.image()
    write = first.files.write

    def written(path: str, data: bytes, mode: int) -> None:
        if path == places.KNOWN_HOSTS:
            first.packages.pool.clear()
        write(path, data, mode)

    monkeypatch.setattr(first.files, "write", written)
    job = run(first, "add-slave", SLAVE, tmp_path)
    assert job.error is not None
    assert (str(job.state), job.error["code"]) == ("failed", "package-not-kept")
    assert "apt install --reinstall pbx" in job.error["hint"]
    assert world.image() == before


def test_re_add_says_what_is_not_kept(tmp_path: Path) -> None:
    """As add slave does."""
    world = _world("complete", tmp_path)
    world.machines[1].keeper.role = Role.STANDBY
    world.machines[0].packages.installed["pbx"] = "2.0"
    before = world.image()
    assert findings(world.machines[0], "re-add", {}, tmp_path) == ["version-differs"]
    assert world.image() == before


def test_an_installation_that_fails_is_told(tmp_path: Path) -> None:
    """APT's own words reach the admin; the slave is not added."""
    world = _world("prepared", tmp_path)
    _update_master(world)
    world.machines[1].packages.fails = "E: Unmet dependencies"
    job = run(world.machines[0], "add-slave", SLAVE, tmp_path)
    assert job.error is not None
    assert job.error["code"] == "update-failed"
    assert "Unmet dependencies" in job.error["message"]
    settings = world.machines[0].settings()
    assert settings is not None
    assert len(settings.nodes) == 1


def test_firmware_becomes_the_masters(tmp_path: Path) -> None:
    """Files of the profile's directories are made the same: brought, replaced, removed; other places are refused."""
    world = _world("prepared", tmp_path)
    first, second = world.machines
    first.packages.trees = {
        "/srv/firmware/a": (b"new", 0o644),
        "/srv/firmware/sub/b": (b"same", 0o600),
        "/srv/c": (b"c", 0),
    }
    second.packages.trees = {
        "/srv/firmware/a": (b"old", 0o644),
        "/srv/firmware/gone": (b"x", 0o644),
        "/srv/d": (b"d", 0),
    }
    done(first, "add-slave", SLAVE, tmp_path)
    assert second.packages.trees == {
        "/srv/firmware/a": (b"new", 0o644), "/srv/firmware/sub/b": (b"same", 0o600), "/srv/d": (b"d", 0)
    }  # fmt: skip


class Objected:
    """What a keeper was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def __call__(self, source: str, reason: str, expires_ms: int) -> None:
        assert (0 < expires_ms <= 600_000) == bool(reason)
        self.told.append((source, reason))


@pytest.mark.parametrize("number", [0, 1])
def test_a_slave_of_another_version_is_not_fit(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Master and slave both see it, say so again before it expires, and take it back when it is over."""
    world = _world("complete", tmp_path)
    machine, objected = world.machines[number], Objected()
    monkeypatch.setattr(machine.keeper, "object_to_fitness", objected)
    watch = VersionWatch(machine.hands)
    watch.look(0.0)
    assert objected.told == []
    world.machines[0].packages.installed["pbx"] = "2.0"
    watch.look(ASK_S + 1)
    text = "node2 has other versions than the master: pbx 1.0 instead of 2.0"
    assert objected.told == [("versions", text)]
    watch.look(ASK_S + 4)
    assert len(objected.told) == 1
    watch.look(ASK_S + 30)
    assert objected.told == [("versions", text)] * 2
    versions = watch.versions()
    assert (versions["node1"]["pbx"], versions["node2"]["pbx"]) == ("2.0", "1.0")
    world.machines[1].packages.installed["pbx"] = "2.0"
    watch.look(ASK_S + 35)
    assert objected.told[-1] == ("versions", "")


def test_a_door_that_is_shut_stops_no_failover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not to be told is no difference."""
    world = _world("complete", tmp_path)
    objected = Objected()
    monkeypatch.setattr(world.machines[0].keeper, "object_to_fitness", objected)
    world.machines[1].files.remove(places.AUTHORIZED_KEYS)
    VersionWatch(world.machines[0].hands).look(0.0)
    assert objected.told == []


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        ("versions", {"packages": ["--all"]}),
        ("versions", {"packages": "pbx"}),
        ("update-put", {"name": "../x", "offset": 0, "data": ""}),
        ("update-put", {"name": "x.deb", "offset": -1, "data": ""}),
        ("update-put", {"name": "x.deb", "offset": 0, "data": "%"}),
        ("update-install", {"key": "ab", "files": {"x.deb": ""}}),
        ("update-install", {"key": "abababab", "files": {}}),
        ("update-install", {"key": "abababab", "files": {"x.sh": ""}}),
        ("firmware", {"path": "/etc/passwd", "name": "firmware-0", "sha256": "", "mode": 0o644}),
        ("firmware", {"path": "/srv/firmware/../../etc/passwd", "remove": True}),
        ("firmware", {"path": "/srv/firmware", "remove": True}),
    ],
)
def test_the_door_takes_nothing_else(op: str, arguments: dict[str, Any], tmp_path: Path) -> None:
    """Arguments of another kind are refused and change nothing."""
    from contextlib import nullcontext

    from ishmael.manager.door.answers import Door

    world = _world("complete", tmp_path)
    before = world.image()
    answer = Door(world.machines[1].hands, nullcontext).answer({"op": op, "arguments": arguments})
    assert answer["error"]["code"] == "bad-arguments"
    assert world.image() == before


def test_a_damaged_package_is_not_installed(tmp_path: Path) -> None:
    """What did not arrive whole goes no further."""
    from contextlib import nullcontext

    from ishmael.manager.door.answers import Door

    world = _world("complete", tmp_path)
    door = Door(world.machines[1].hands, nullcontext)
    assert door.answer({"op": "update-put", "arguments": {"name": "x.deb", "offset": 0, "data": "YQ=="}})["size"] == 1
    answer = door.answer({"op": "update-install", "arguments": {"key": "abababab", "files": {"x.deb": "00"}}})
    assert answer["error"]["code"] == "transfer-damaged"
    assert world.machines[1].packages.state["state"] == "none"


def test_the_way_that_apt_is_told_leads_there(tmp_path: Path) -> None:
    """Whoever types the commands of the message, in its order, has two nodes of the same versions."""
    world = _world("complete", tmp_path)
    master = world.machines[0]
    settings = settings_from_toml((master.files.read(places.SETTINGS) or b"").decode())
    (way,) = re.findall(r"the way: (.*?)\n  all other", explain(["pbx"], settings), re.DOTALL)
    remove, add = re.findall(r"`ishmael ([\w-]+)`", way)
    done(master, remove, {}, tmp_path)
    _update_master(world)
    done(master, add, {}, tmp_path)
    assert world.machines[1].packages.installed["pbx"] == "2.0"


def test_apts_plan_is_read() -> None:
    """Changes with their files; configuring is none. Ishmael may be removed, a package of the workload may not change."""
    plan = read_plan(PLAN.splitlines(keepends=True))
    assert plan.changes == (
        Change("pbx", "1.0", "2.0", "/var/cache/apt/archives/pbx_2.0_amd64.deb"),
        Change("vim", "9", "10", "/var/cache/apt/archives/vim_10_amd64.deb"),
        Change("ishmael", "0.1", None, None),
    )
    assert not plan.override
    assert locked(plan, ("ishmael", "pbx")) == ["pbx"]
    assert read_plan(PLAN.replace("Dir=/", "Ishmael::Override=yes").splitlines()).override
    assert not read_plan(PLAN.replace("Dir=/", "Ishmael::Override=no").splitlines()).override
    with pytest.raises(ValueError, match="VERSION 3"):
        read_plan(["VERSION 2"])


def test_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our packages and what they depend on in the same run; of each the version there was and the new one."""
    found = {
        "/x/pbx.deb": {"Package": "pbx", "Version": "2:3.0", "Architecture": "amd64", "Depends": "libpbx (= 1) | a, b", "Pre-Depends": ""},
        "/x/libpbx.deb": {"Package": "libpbx", "Version": "1", "Architecture": "all", "Depends": "", "Pre-Depends": ""},
    }  # fmt: skip
    monkeypatch.setattr(pool, "fields", lambda file: found["/x/" + Path(file).name])
    changes = [
        Change("pbx", "2.0", "2:3.0", str(tmp_path / "pbx.deb")),
        Change("libpbx", None, "1", str(tmp_path / "libpbx.deb")),
        Change("vim", "1", "2", str(tmp_path / "vim.deb")),
    ]
    for change in changes:
        Path(str(change.file)).write_bytes(b"deb")
    kept = pool.to_keep(changes, ("ishmael", "pbx"))
    assert sorted(change.name for change in kept) == ["libpbx", "pbx"]
    room = tmp_path / "pool"
    room.mkdir()
    for old in ("pbx_1.0_amd64.deb", "pbx_2.0_amd64.deb"):
        (room / old).touch()
    pool.keep(kept, room)
    assert sorted(path.name for path in room.iterdir()) == [
        "libpbx_1_all.deb", "pbx_2%3a3.0_amd64.deb", "pbx_2.0_amd64.deb"
    ]  # fmt: skip


def test_names() -> None:
    """As Debian writes them; the profile says what is none."""
    assert file_name("a", "1:2", "all") == "a_1%3a2_all.deb"
    assert depended("libc6 (>= 2.3), aa | bb:any,  , cc") == ("libc6", "aa", "bb", "cc")
    assert install.command(["/x/a.deb"])[-3:] == ["install", "--", "/x/a.deb"]
    for bad in (
        'packages = ["--x"]',
        'packages = "x"',
        'firmware = ["/"]',
        'firmware = ["/etc/../x"]',
        "firmware = [1]",
    ):
        with pytest.raises(RequestRefused):
            profile_from_toml(f'schema = 1\nname = "x"\n{bad}\n')
