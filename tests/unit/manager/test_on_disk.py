"""The master's own files get onto its disk soon after the slave has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ishmael.manager.data import on_disk
from ishmael.manager.data.on_disk import OnDisk
from ishmael.words.errors import HostFault
from ishmael.words.profile import FileSet


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was synced by itself, by name."""
    found: list[str] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        found.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        real(handle)

    monkeypatch.setattr(on_disk.os, "fsync", fsync)  # type: ignore[attr-defined]
    return found


def test_files_and_the_directories_of_their_names_are_synced_once(tmp_path: Path, synced: list[str]) -> None:
    """Whatever lies there: a pipe would wait for a writer, a link lead elsewhere, and some names are gone by then."""
    (tmp_path / "box").mkdir()
    for name in ("box/1", "box/2"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "link").symlink_to("box/1")
    os.mkfifo(tmp_path / "pipe")
    disk = OnDisk(lambda _: pytest.fail("the whole disk"))
    disk.note(FileSet(str(tmp_path)), [b"box/1", b"box/2", b"link", b"pipe", b"gone", b"gone/too", b""])
    disk.turn()
    wanted = [f"{tmp_path}/{name}" for name in ("box/1", "box/2", "box")]
    assert sorted(synced) == sorted([*wanted, str(tmp_path), str(tmp_path), str(tmp_path.parent)])
    synced.clear()
    disk.turn()
    assert synced == []


def test_many_are_synced_with_their_disk(tmp_path: Path, synced: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """One call; a disk that refuses it is told."""
    whole: list[str] = []
    disk = OnDisk(whole.append)
    disk.note(FileSet(str(tmp_path)), [b"%d" % number for number in range(1000)])
    disk.turn()
    assert (whole, synced) == ([str(tmp_path)], [])

    def refuse(_: str) -> None:
        raise HostFault("disk-failing", "It does not take it.")

    disk = OnDisk(refuse)
    disk.note(FileSet(str(tmp_path)), [b"%d" % number for number in range(1000)])
    disk.turn()
    assert "may not be on this node's disk: It does not take it." in caplog.text
