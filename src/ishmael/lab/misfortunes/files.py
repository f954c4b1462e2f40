"""What may befall the files that follow."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from ishmael.lab import acknowledged, database, faults
from ishmael.lab.misfortunes.scene import Scene, inside, sh, write_commits
from ishmael.lab.node import Node
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault

_SPOOL = "/var/spool/asterisk"
_VOICE = f"{_SPOOL}/voicemail/default/101/INBOX"
_BIG, _GROWING = f"{_SPOOL}/monitor/big.wav", f"{_SPOOL}/monitor/growing.wav"
_FILL = """
i=0; while [ $i -lt 20 ]; do i=$((i+1)); free=$(( $(stat -f -c '%f*%S' /var) ))
[ $free -gt 3000000 ] || exit 0; fallocate -l $((free - 1500000)) /var/full$i || fallocate -l $((free / 2)) /var/full$i || true; done
"""
_ARRIVES_S = 90.0


def _must(what: Callable[[], bool], otherwise: str, limit_s: float = _ARRIVES_S) -> None:
    if not wait_until(what, limit_s, 0.1):
        raise HostFault("misfortune", otherwise)


def _in_step(scene: Scene) -> None:
    def calm() -> bool:
        sync = scene.sync(scene.master)
        files = sync.get("files") or {}
        return bool(files.get("in_step")) and files.get("waiting") == 0 and not sync.get("differing")

    _must(calm, f"The files are not in step: {scene.sync(scene.master)}.")


def _hash(node: Node, path: str) -> str:
    try:
        return hashlib.sha256(inside(node, path).read_bytes()).hexdigest()
    except OSError:
        return ""


def _same(scene: Scene, *paths: str) -> None:
    for path in paths:
        _must(
            lambda path=path: _hash(scene.master, path) == _hash(scene.slave, path) != "",  # type: ignore[misc]
            f"{path} is not the same on both nodes.",
        )


def _leave(scene: Scene, name: str, count: int = 1) -> list[str]:
    """Voice mails of 30 kB on the master."""
    place = inside(scene.master, _VOICE)
    place.mkdir(parents=True, exist_ok=True)
    paths = [f"{_VOICE}/{name}{number}.wav" for number in range(count)]
    for path in paths:
        inside(scene.master, path).write_bytes(os.urandom(30_000))
    return paths


def peer_disk_full(scene: Scene) -> None:
    """Every block of the slave's disk is taken, and a recording is to be copied there."""
    _in_step(scene)
    with scene.quiet():
        sh(scene.slave, _FILL)
        try:
            sh(scene.master, f"head -c 8000000 /dev/urandom > {_BIG}")
            scene.shown(scene.master, "The disk of the other node is full")
            scene.shown(scene.master, _BIG)
        finally:
            sh(scene.slave, "rm -f /var/full*")
        _same(scene, _BIG)
        scene.whole()
    sh(scene.master, f"rm {_BIG}")


def cut_mid_file(scene: Scene) -> None:
    """The slave's rsync server is killed in the middle of a recording, while another one is being written."""
    _in_step(scene)
    with scene.quiet():
        sh(scene.master, f"head -c 150000000 /dev/urandom > {_BIG}")
        place = inside(scene.slave, f"{_SPOOL}/monitor")
        _must(lambda: bool(list(place.glob(".big.wav.*"))), "The copying of the recording did not begin.")
        sh(scene.slave, "systemctl kill -s KILL ishmael-rsyncd")
        sh(scene.master, f"for i in $(seq 40); do head -c 500000 /dev/urandom >> {_GROWING}; sleep 0.05; done")
        # It may have been mended before anybody looked at the status: then the manager's journal has it.
        trouble = str((scene.sync(scene.master).get("files") or {}).get("trouble"))
        if trouble:
            scene.seen.said["ishmael status on the master"] = trouble
        _same(scene, _BIG, _GROWING)
        _in_step(scene)
        scene.named("the manager's journal on the master", lambda: _journal(scene.master), "differed on the slave")
    sh(scene.master, f"rm {_BIG} {_GROWING}")


def _journal(node: Node) -> str:
    return node.exec(["journalctl", "-u", "ishmael-manager", "-o", "cat", "-n", "200"], timeout_s=20).stdout


def changing(scene: Scene) -> None:
    """A file changes all the time while it is copied."""
    _in_step(scene)
    with scene.quiet():
        sh(scene.master, f"for i in $(seq 100); do head -c 500000 /dev/urandom >> {_GROWING}; sleep 0.03; done")
        scene.named("ishmael status --json", lambda: str(scene.sync(scene.master)), "file_lag_ms")
        _same(scene, _GROWING)
        _in_step(scene)
    sh(scene.master, f"rm {_GROWING}")


def clock_skew(scene: Scene) -> None:
    """Keeper and manager of each node in turn see the wall clock jump an hour ahead, then two back."""
    with scene.quiet():
        for number, node in enumerate((scene.slave, scene.master)):
            _in_step(scene)
            faults.inject(scene.lab, faults.named("clock-step"), node)
            paths = _leave(scene, f"skew{number}", 5)
            write_commits(scene.master, 5)
            _same(scene, *paths)
            faults.heal(scene.lab)
            scene.whole()
            _in_step(scene)
        scene.named("ishmael status --json", lambda: str(scene.sync(scene.master)["differing"]), "[]")


def closed_directory(scene: Scene) -> None:
    """A directory of the slave takes nothing any more, not even from root (chattr(1), immutable)."""
    _in_step(scene)
    _same(scene, *_leave(scene, "before"))
    with scene.quiet():
        _attribute(inside(scene.slave, _VOICE), "+i")
        try:
            (path,) = _leave(scene, "closed")
            others = f"{_SPOOL}/monitor/beside.wav"
            inside(scene.master, others).write_bytes(b"x" * 1000)
            scene.shown(scene.master, "closed0.wav")
            _same(scene, others)
        finally:
            _attribute(inside(scene.slave, _VOICE), "-i")
        _same(scene, path)
        _in_step(scene)


def _attribute(path: Path, change: str) -> None:
    subprocess.run(["chattr", change, str(path)], check=True, capture_output=True)


def cable_cut(scene: Scene) -> None:
    """The internal cable is pulled out: the database goes over the telephone network, files wait and say so."""
    _in_step(scene)
    over = f"SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND client_addr = '{scene.slave.plan.phone_ip}'"  # noqa: S608
    with scene.quiet():
        faults.inject(scene.lab, faults.named("internal-cut"), scene.master)
        try:
            _must(
                lambda: database.psql(scene.master, over) == "1", "The database does not go over the telephone network."
            )
            _must(
                lambda: scene.sync(scene.master).get("synchronous") is True, "Commits do not wait for the slave again."
            )
            scene.cluster.wait_complete()
            write_commits(scene.master, 20)
            paths = _leave(scene, "cut", 3)
            scene.shown(scene.master, "Files do not get to")
            _must(
                lambda: any(name.endswith("cut0.wav") for name in scene.sync(scene.master).get("differing") or ()),
                "The status does not name the file that waits.",
            )
        finally:
            faults.heal(scene.lab)
        _same(scene, *paths)
        scene.whole()
        _in_step(scene)


def loss(scene: Scene) -> None:
    """Of all frames of both links 30 % are lost, both ways."""
    _in_step(scene)
    faults.inject(scene.lab, faults.named("loss"), scene.master)
    try:
        paths = _leave(scene, "loss", 10)
        _same(scene, *paths)
        write_commits(scene.master, 5)
        scene.shown(scene.master, "ms behind")
    finally:
        faults.heal(scene.lab)
    scene.seen.more["moved"] = acknowledged.master_of(scene.cluster).plan.name != scene.master.plan.name
