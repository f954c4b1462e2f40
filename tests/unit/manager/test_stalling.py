"""A transfer whose connection waits ever longer for its next retransmission is given up, whatever the other side still says."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from ishmael.manager.drivers import rsync
from ishmael.manager.drivers.stalling import WAIT_MAX_S, stalled
from ishmael.manager.ports.copies import STALLED
from ishmael.words.errors import PeerFault

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
_DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(30)"


def _row(inode: int, kind: str, wait_s: float) -> str:
    ticks = int(wait_s * os.sysconf("SC_CLK_TCK"))
    return f"   1: 01004E0A:CD90 02004E0A:221A 01 0003CA0C:00000000 {kind}:{ticks:08X} 00000003     0        0 {inode} 2 0 20\n"


@pytest.mark.parametrize(
    ("rows", "stalls"),
    [
        ([_row(77, "01", WAIT_MAX_S + 1)], True),
        ([_row(77, "01", WAIT_MAX_S - 1)], False),
        ([_row(77, "02", 7200)], False),  # A keep-alive, or an acknowledgement.
        ([_row(78, "01", 60)], False),  # Of another program.
        ([_row(78, "01", 60), _row(77, "01", 60)], True),
        ([], False),
    ],
)
def test_a_long_wait_for_a_retransmission_is_a_stall(rows: list[str], stalls: bool, tmp_path: Path) -> None:
    """Of a connection that is the program's own."""
    descriptors = tmp_path / "5" / "fd"
    descriptors.mkdir(parents=True)
    (descriptors / "0").symlink_to("pipe:[9]")
    (descriptors / "3").symlink_to("socket:[77]")
    (tmp_path / "5" / "net").mkdir()
    (tmp_path / "5" / "net" / "tcp").write_text(HEAD + "".join(rows))
    assert stalled(5, tmp_path) is stalls


def test_a_program_that_is_gone_does_not_stall(tmp_path: Path) -> None:
    """It ended between two looks."""
    assert stalled(5, tmp_path) is False


def test_the_kernels_table_is_understood() -> None:
    """A real connection on which nothing waits."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        assert stalled(os.getpid()) is False


def test_a_stalled_transfer_is_given_up_though_it_does_not_end_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it ends with says that the other node is not reached, so that it is tried again soon."""
    monkeypatch.setattr(rsync, "stalled", lambda _: True)
    copied = rsync._follow([sys.executable, "-c", _DEAF], b"", lambda: False, None)
    assert copied.code == STALLED
    assert not copied.whole
    assert not copied.some_failed
    error = copied.error("10.78.0.2")
    assert isinstance(error, PeerFault)
    assert "gets nowhere" in error.message
