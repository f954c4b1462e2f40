"""What systemd is told (sd_notify(3))."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ishmael.keeper.notify import Notifier, watchdog_ms


def test_lines_reach_systemd_in_one_datagram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket in the file system, as systemd makes it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        Notifier().tell("READY=1", "STATUS=slave", "MAINPID=7")
        assert systemd.recv(4096) == b"READY=1\nSTATUS=slave\nMAINPID=7"


def test_an_abstract_socket_is_reached_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name begins with an at sign in the environment."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0ishmael-test-notify")
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", "@ishmael-test-notify")
        Notifier().tell("WATCHDOG=1")
        assert systemd.recv(4096) == b"WATCHDOG=1"


def test_a_deaf_systemd_never_stops_the_keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the socket full, or gone, telling returns."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notifier = Notifier()
        for _ in range(2000):
            notifier.tell("WATCHDOG=1")
    notifier.tell("WATCHDOG=1")


def test_without_systemd_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Started by hand, the keeper has nobody to tell."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notifier().tell("READY=1")


@pytest.mark.parametrize(("text", "expected_ms"), [("2000000", 2000), ("", 0), ("soon", 0)])
def test_watchdog_interval_comes_from_the_unit(text: str, expected_ms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In microseconds; anything else means none."""
    monkeypatch.setenv("WATCHDOG_USEC", text)
    assert watchdog_ms() == expected_ms
