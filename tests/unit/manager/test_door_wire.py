"""The connection to the other node's door: kept for a moment, made anew when it is broken, ended when answers would be old."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ishmael.manager.drivers import ssh
from ishmael.manager.drivers.door_wire import KeptWires
from ishmael.manager.drivers.ssh import SshNode
from ishmael.manager.ports.node import Peer
from ishmael.words.errors import PeerFault, RequestRefused

PEER = Peer(("10.78.0.2", "10.77.0.2"), "ssh-ed25519 AAAA")
# Stands for ssh and the door behind it: answers with its process id, unless it is told to do something else.
DOOR = """
import json, os, sys, time
address = sys.argv[1]
if address == "10.78.0.2" and os.path.exists("cut"):
    sys.exit(print("ssh: connect to host 10.78.0.2 port 22: No route to host", file=sys.stderr) or 255)
for line in sys.stdin:
    ask = json.loads(line)
    does = ask["arguments"].get("do")
    if does == "die":
        os._exit(255)
    if does == "hang":
        time.sleep(60)
    if does == "refuse":
        print(json.dumps({"ok": False, "error": {"whose": "request", "code": "no", "message": "No.", "hint": ""}}), flush=True)
    elif does == "nonsense":
        print("Welcome!", flush=True)
    elif does == "leave":
        sys.exit(print("bash: python: not found", file=sys.stderr) or 127)
    else:
        print(json.dumps({"ok": True, "pid": os.getpid(), "at": address, "big": "x" * ask["arguments"].get("size", 0)}), flush=True)
"""


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshNode]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ssh, "_workroom", lambda: str(tmp_path))
    made = SshNode()
    made._kept = KeptWires(kept_s=0.5)
    monkeypatch.setattr(made, "_command", lambda address, _pins: [sys.executable, "-c", DOOR, address])
    yield made
    assert _soon(lambda: not list(tmp_path.glob("known-*"))), "a file with a host key was left"


def _soon(there: Callable[[], bool]) -> bool:
    until_s = time.monotonic() + 5
    while not there() and time.monotonic() < until_s:
        time.sleep(0.02)
    return there()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_connection_serves_what_is_asked_in_a_row_and_ends_afterwards(node: SshNode) -> None:
    """A big answer comes whole; a moment of quiet ends the connection."""
    pid = node.ask(PEER, "hello")["pid"]
    assert node.ask(PEER, "hello", {"size": 300_000})["big"] == "x" * 300_000
    assert node.ask(PEER, "status")["pid"] == pid
    time.sleep(0.3)
    assert node.ask(PEER, "status")["pid"] == pid
    assert _soon(lambda: not _runs(pid))
    assert node.ask(PEER, "status")["pid"] != pid


@pytest.mark.parametrize("op", ["install", "withdraw", "update-status"])
def test_what_changes_the_other_node_is_the_last_over_its_connection(op: str, node: SshNode) -> None:
    """The programs there may be others afterwards."""
    pid = node.ask(PEER, "hello")["pid"]
    assert node.ask(PEER, op)["pid"] == pid
    assert not _runs(pid) and node.ask(PEER, "hello")["pid"] != pid


def test_a_kept_connection_that_broke_is_made_anew(node: SshNode, tmp_path: Path) -> None:
    """By the other cable, when the first is cut."""
    first = node.ask(PEER, "hello")
    assert first["at"] == "10.78.0.2"
    (tmp_path / "cut").touch()
    os.kill(first["pid"], 9)
    assert node.ask(PEER, "hello")["at"] == "10.77.0.2"


def _fault(act: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises((PeerFault, RequestRefused)) as told:
        act()
    return told.value.code, told.value.message


def test_each_fault_is_told_and_leaves_no_connection(node: SshNode) -> None:
    """What the other node refuses, what it does not say in time, and what is no answer."""
    pid = node.ask(PEER, "hello")["pid"]
    assert _fault(lambda: node.ask(PEER, "hello", {"do": "refuse"})) == ("no", "No.")
    assert not _runs(pid)
    code, message = _fault(lambda: node.ask(PEER, "hello", {"do": "nonsense"}))
    assert code == "peer-nonsense" and "Welcome!" in message
    code, message = _fault(lambda: node.ask(PEER, "hello", {"do": "leave"}))
    assert code == "peer-nonsense" and "python: not found" in message
    pid = node.ask(PEER, "hello")["pid"]
    assert _fault(lambda: node.ask(PEER, "hello", {"do": "hang"}, limit_s=0.3))[0] == "peer-slow"
    assert not _runs(pid)
    assert _fault(lambda: node.ask(PEER, "hello", {"do": "die"}))[0] == "peer-unreachable"
    assert _fault(lambda: node.ask(Peer((), "ssh-ed25519 AAAA"), "hello")) == (
        "peer-unreachable", "The other node has no address.",
    )  # fmt: skip


def test_a_node_that_takes_nothing_is_slow(node: SshNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long line fills the pipe, and nobody reads it: the limit holds for that, too."""
    monkeypatch.setattr(node, "_command", lambda _address, _pins: ["sleep", "60"])
    assert _fault(lambda: node.ask(PEER, "hello", {"x": "y" * 900_000}, limit_s=0.3 - ssh._CONNECT_S))[0] == "peer-slow"


def test_many_asks_go_over_one_connection_of_their_own(node: SshNode, tmp_path: Path) -> None:
    """It ends with them, or with the first that fails."""
    assert list(node.ask_each(PEER, "update-put", [])) == []
    (tmp_path / "cut").touch()
    pids = [answer["pid"] for answer in node.ask_each(PEER, "update-put", [{}] * 3)]
    assert len(set(pids)) == 1 and not _runs(pids[0])
    answers = node.ask_each(PEER, "update-put", [{}, {"do": "die"}, {}])
    pid = next(answers)["pid"]
    assert _fault(lambda: next(answers))[0] == "peer-unreachable"
    assert not _runs(pid)
