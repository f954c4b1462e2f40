"""What comes from outside never ends the keeper: asks, settings files, events of the other node."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from ishmael.core.asks import Ask
from ishmael.core.messages import MessageUnreadable, message_from_bytes
from ishmael.keeper.asks import Asks
from ishmael.keeper.control import Client, Control
from ishmael.keeper.places import read_text
from ishmael.words.errors import RequestRefused
from ishmael.words.profile import profile_from_toml
from ishmael.words.settings import settings_from_toml

_DEEP = "[" * 60000


def _asked(tmp_path: Path, line: bytes, big: int = 0) -> tuple[dict[str, Any], list[Ask]]:
    """The answer to one line on a real control socket, and what reached the core."""
    taken: list[Ask] = []
    asks = Asks(taken.append, {"status": lambda _ask: {"ok": True, "padding": "x" * big}})
    control = Control(tmp_path / "keeper.sock", asks.take)
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(str(tmp_path / "keeper.sock"))
        client = control.accept()
        assert isinstance(client, Client)
        fd = client.sock.fileno()
        admin.sendall(line + b"\n")
        control.serve(fd)
        admin.settimeout(0.05)
        answer = b""
        while not answer.endswith(b"\n"):
            control.flush()
            try:
                answer += admin.recv(65536)
            except TimeoutError:
                break
        control.close(fd)
    control.listener.close()
    return (json.loads(answer) if answer else {}), taken


def test_json_without_end_is_refused(tmp_path: Path) -> None:
    """A line nested beyond reason is answered like any other that is no ask."""
    answer, _ = _asked(tmp_path, _DEEP.encode()[:60000])
    assert answer["error"]["code"] == "not-an-ask"


def test_a_long_reason_is_cut(tmp_path: Path) -> None:
    """What an admin gives as reason has to fit into one message to the other node."""
    _, taken = _asked(tmp_path, json.dumps({"ask": "switch", "why": "€" * 5000}, ensure_ascii=False).encode())
    assert len(taken[0].why) == 500


def test_a_long_answer_reaches_a_slow_client(tmp_path: Path) -> None:
    """An answer larger than the socket's buffer is sent on as it is read."""
    answer, _ = _asked(tmp_path, b'{"ask": "status"}', big=1_000_000)
    assert len(answer["padding"]) == 1_000_000


def test_the_newest_of_too_many_clients_is_served(tmp_path: Path) -> None:
    """Clients that say nothing cannot lock the admin out."""
    control = Control(tmp_path / "keeper.sock", lambda _client, _ask: None)
    idle = []
    for _ in range(40):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(tmp_path / "keeper.sock"))
        idle.append(sock)
        assert control.accept() is not None
    assert len(control.clients) <= 32
    for sock in idle:
        sock.close()
    for fd in list(control.clients):
        control.close(fd)
    control.listener.close()


@pytest.mark.parametrize("raw", [b"# B\xfcro\n", b"\xff\xfe"])
def test_settings_that_are_no_text_are_refused(tmp_path: Path, raw: bytes) -> None:
    """Not UTF-8: refused with the file's name, not a crash."""
    path = tmp_path / "settings.toml"
    path.write_bytes(raw)
    with pytest.raises(RequestRefused, match=r"settings\.toml"):
        read_text(path)


def test_settings_that_are_a_directory_are_refused(tmp_path: Path) -> None:
    """Whatever the operating system says about the file is told."""
    with pytest.raises(RequestRefused):
        read_text(tmp_path)
    assert read_text(tmp_path / "none") is None


@pytest.mark.parametrize("read", [settings_from_toml, profile_from_toml])
def test_toml_without_end_is_refused(read: Any) -> None:
    """A file nested beyond reason is refused like any other that is no TOML."""
    with pytest.raises(RequestRefused):
        read(f"a = {_DEEP}")


def test_a_message_without_end_is_no_message() -> None:
    """The other node cannot end this keeper with a message."""
    with pytest.raises(MessageUnreadable):
        message_from_bytes(_DEEP.encode())
