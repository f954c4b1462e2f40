"""The drivers, on the real disk and real sockets where a test may use them."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ishmael.manager.drivers.events import EventFile
from ishmael.manager.drivers.files import DiskFiles, sync_filesystem
from ishmael.manager.drivers.keeper import SocketKeeper
from ishmael.manager.drivers.network import KernelNetwork
from ishmael.manager.drivers.programs import run
from ishmael.manager.drivers.ssh import OpenSshKeys, _objection, _unreached
from ishmael.manager.main import tell_systemd
from ishmael.manager.works.ssh_keys import PublicKey, read_public_key
from ishmael.words.errors import HostFault, RequestRefused

# Files


def test_files_are_replaced_whole(tmp_path: Path) -> None:
    """The mode is as asked, missing directories are as closed as the file, and nothing else is left behind."""
    files, path = DiskFiles(), str(tmp_path / "a" / "b" / "secret")
    assert files.read(path) is None
    files.write(path, b"one", 0o400)
    files.write(path, b"two", 0o400)
    assert (files.read(path), files.mode(path)) == (b"two", 0o400)
    assert [entry.name for entry in (tmp_path / "a" / "b").iterdir()] == ["secret"]
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
    files.remove(path)
    files.remove(path)
    assert files.read(path) is None
    assert files.free_bytes(str(tmp_path)) > 0


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """An admin's symbolic link is written through, not replaced."""
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    DiskFiles().write(str(tmp_path / "link"), b"new", 0o600)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_failing_disk_is_the_hosts_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A full disk is told by its own code; the old content stays and no part of the new one."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostFault) as fault:
        DiskFiles().write(str(path), b"new", 0o600)
    assert fault.value.code == "disk-full"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


# The keeper's socket


class Puppet:
    """A keeper that gives prepared answers and remembers what it was asked."""

    def __init__(self, path: Path, answers: list[Any]) -> None:
        self.asked: list[Any] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(8)
        self.thread = threading.Thread(target=self._serve, args=(list(answers),), daemon=True)
        self.thread.start()

    def _serve(self, answers: list[Any]) -> None:
        for answer in answers:
            wire, _ = self.listener.accept()
            with wire, wire.makefile("rb") as lines:
                self.asked.append(json.loads(lines.readline()))
                wire.sendall(answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\n")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "keeper.sock"


def test_asking_the_keeper(path: Path) -> None:
    """Asks are lines of JSON; a keeper that is writing its record is asked again."""
    busy = {"ok": False, "error": {"whose": "request", "code": "busy", "message": "writing", "hint": ""}}
    puppet = Puppet(path, [{"ok": True, "status": {"role": "master"}}, busy, {"ok": True}])
    keeper = SocketKeeper(str(path))
    assert keeper.status() == {"role": "master"}
    keeper.admit(2)
    assert puppet.asked == [{"ask": "status"}, {"ask": "admit", "node": 2}, {"ask": "admit", "node": 2}]


@pytest.mark.parametrize(
    ("answer", "code"), [(b"junk\n", "keeper-down"), (b"", "keeper-down"), (b"[]\n", "keeper-nonsense")]
)
def test_a_keeper_that_answers_nonsense(path: Path, answer: bytes, code: str) -> None:
    """It is this machine's fault, told in one sentence."""
    Puppet(path, [answer])
    with pytest.raises(HostFault) as fault:
        SocketKeeper(str(path)).status()
    assert fault.value.code == code


def test_the_keepers_own_refusal(path: Path) -> None:
    """What the keeper refuses is passed on as it was said."""
    Puppet(
        path, [{"ok": False, "error": {"whose": "request", "code": "cluster-ip-taken", "message": "m", "hint": "h"}}]
    )
    with pytest.raises(RequestRefused) as refused:
        SocketKeeper(str(path)).form()
    assert (refused.value.code, refused.value.hint) == ("cluster-ip-taken", "h")


def test_no_keeper(path: Path) -> None:
    """A socket that is not there is a keeper that is down."""
    with pytest.raises(HostFault) as fault:
        SocketKeeper(str(path)).status()
    assert fault.value.code == "keeper-down"


# SSH


def test_keys_are_real() -> None:
    """What OpenSSH makes is what we read, fingerprint included."""
    pair = OpenSshKeys().generate("ishmael-cluster")
    key = read_public_key(pair.public)
    assert isinstance(key, PublicKey)
    assert pair.private.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----")
    shown = run(["ssh-keygen", "-l", "-f", "/dev/stdin"], given=pair.public.encode()).stdout.decode()
    assert key.fingerprint in shown


@pytest.mark.parametrize(
    ("shown", "objects"),
    [
        (
            "permitrootlogin without-password\npubkeyauthentication yes\nauthorizedkeysfile .ssh/authorized_keys .ssh/b",
            False,
        ),
        ("permitrootlogin forced-commands-only", False),
        ("permitrootlogin no", True),
        ("pubkeyauthentication no", True),
        ("authorizedkeysfile /etc/ssh/keys/%u", True),
        ("allowusers admin\nallowusers bob@10.0.0.0/8", True),
        ("allowusers admin\nallowusers root@10.*", False),
    ],
)
def test_a_server_that_turns_root_away(shown: str, objects: bool) -> None:
    """The effective configuration (sshd -T) says beforehand whether the door would open."""
    assert bool(_objection(shown)) == objects


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("root@10.0.0.1: Permission denied (publickey)", "peer-refuses-key"),
        ("Host key verification failed", "host-key-changed"),
        ("ssh: connect to host 10.0.0.1 port 22: No route to host", "peer-unreachable"),
    ],
)
def test_why_it_cannot_be_reached(said: str, code: str) -> None:
    """What ssh says becomes one of three faults, each with its own way out."""
    problem = _unreached("10.0.0.1", said)
    assert problem.code == code
    # A node of another cluster says no more than one that was never prepared.
    assert ("`ishmael reset` there first" in problem.hint) == (code == "peer-refuses-key")


# The rest


def test_nics_and_routes_are_read() -> None:
    """The kernel's own tables are understood, without the loopback."""
    network = KernelNetwork()
    assert all(nic.name != "lo" and len(nic.mac) == 17 for nic in network.nics())
    assert all("/" in route.destination for route in network.routes())
    assert network.sysctl("net.ipv4.ip_forward") in ("0", "1")


def test_events_are_read_from_the_end(tmp_path: Path) -> None:
    """A line torn by a power cut is left out; the rest is in order."""
    path = tmp_path / "events.jsonl"
    assert EventFile(str(path)).newest(5) == []
    path.write_bytes(b'{"id": 1}\n{"id": 2}\n{"id": 3}\n{"id": 4, "wh')
    assert [event["id"] for event in EventFile(str(path)).newest(3)] == [2, 3]


def test_a_program_that_hangs_or_lacks() -> None:
    """Both are told as this machine's fault."""
    with pytest.raises(HostFault) as lacking:
        run(["no-such-program-here"])
    with pytest.raises(HostFault) as hanging:
        run(["sleep", "60"], limit_s=0.05)
    assert (lacking.value.code, hanging.value.code) == ("program-missing", "program-slow")


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readiness is a datagram to the service manager; without one nobody is told."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    tell_systemd("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        tell_systemd("READY=1")
        assert listener.recv(64) == b"READY=1"


def test_a_file_system_is_synced_or_it_is_told(tmp_path: Path) -> None:
    """One call for everything in it; a path that is not there is no success."""
    (tmp_path / "new").write_bytes(b"x" * 1000)
    sync_filesystem(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_filesystem(tmp_path / "not-there")
