"""Looking at the services beside the cluster, against real small servers."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ishmael.manager.drivers import asking
from ishmael.manager.drivers.surroundings import SeenSurroundings, read_calls


@pytest.fixture
def mail_port() -> Iterator[int]:
    """A mail server that greets and takes EHLO."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            try:
                wire, _ = server.accept()
            except OSError:
                return
            with wire, wire.makefile("rwb") as lines:
                lines.write(b"220 here\r\n")
                lines.flush()
                assert lines.readline().startswith(b"EHLO")
                lines.write(b"250 here\r\n")
                lines.flush()
                lines.readline()

        threading.Thread(target=serve, daemon=True).start()
        yield int(server.getsockname()[1])


def test_each_is_looked_at(tmp_path: Path, mail_port: int) -> None:
    """A mail server that takes EHLO works, and a fax server with a configuration that greets; no name server does not."""
    (tmp_path / "resolv.conf").write_text("search example.org\n")
    with socket.create_server(("127.0.0.1", 0)) as fax:
        at = ("127.0.0.1", int(fax.getsockname()[1]))
        threading.Thread(target=lambda: fax.accept()[0].sendall(b"220 here (HylaFAX)\r\n"), daemon=True).start()
        _look(tmp_path, mail_port, at)


def _look(tmp_path: Path, mail_port: int, fax_at: tuple[str, int]) -> None:
    config = (str(tmp_path / "config"),)
    seen = SeenSurroundings(str(tmp_path / "resolv.conf"), ("127.0.0.1", mail_port), config, fax_at)
    services = {service.item: service for service in seen.services()}
    assert (services["mail"].works, services["dns"].works, services["fax"].works) == (True, False, False)
    (tmp_path / "config").touch()
    again = {service.item: service for service in seen.services()}
    assert (again["fax"].works, again["mail"].works) == (True, False)
    assert set(again) == {"dns", "clock", "mail", "fax"}
    silent = {service.item: service for service in seen.services()}
    assert (
        silent["fax"].works,
        "no fax server answers" in silent["fax"].said or "is no fax" in silent["fax"].said,
    ) == (False, True)


def test_calls_are_read() -> None:
    """The number Asterisk prints; nothing when it prints something else."""
    assert read_calls("4 active channels\n2 active calls\n9 calls processed\n") == 2
    assert read_calls("1 active call\n") == 1
    assert read_calls("Unable to connect\n") is None


class Answering:
    """A server on UDP that answers each question as a function says.

    Args:
        answer: from a question to what is sent back.
    """

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._wire.bind(("127.0.0.1", 0))
        self.port = int(self._wire.getsockname()[1])
        threading.Thread(target=self._serve, args=(answer,), daemon=True).start()

    def _serve(self, answer: Callable[[bytes], bytes]) -> None:
        while True:
            question, asker = self._wire.recvfrom(4096)
            self._wire.sendto(answer(question), asker)


def _dns(question: bytes, *records: tuple[int, bytes]) -> bytes:
    """An answer whose records name the question's name by a pointer (RFC 1035, 4.1.4)."""
    made = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data for kind, data in records)
    return question[:2] + struct.pack(">HHHHH", 0x8180, 1, len(records), 0, 0) + question[12:] + made


@pytest.mark.parametrize(
    ("answer", "address"),
    [
        (lambda asked: _dns(asked, (1, b"\x0a\x4d\x00\x0a")), "10.77.0.10"),
        (lambda asked: _dns(asked, (5, b"\x03pbx\xc0\x10"), (1, b"\x0a\x4d\x00\x0b")), "10.77.0.11"),
        (_dns, None),
        (lambda asked: b"xx" + _dns(asked, (1, b"\x0a\x4d\x00\x0a"))[2:], None),
        (lambda asked: asked[:2] + b"\x00" * 4, None),
        (lambda asked: asked[:2] + b"\xff" * 40, None),
    ],
)
def test_an_address_is_read_out_of_an_answer(answer: Callable[[bytes], bytes], address: str | None) -> None:
    """Behind an alias, too; none out of one that has none, is another question's, is cut off, or lies."""
    assert asking.address_of("127.0.0.1", "pbx.phones.internal", Answering(answer).port) == address


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        (b"\x24\x0a" + b"\0" * 46, True),
        (b"\x24\x00" + b"\0" * 46, False),
        (b"\x23\x0a" + b"\0" * 46, False),
        (b"\x24\x0a", False),
    ],
)
def test_a_time_server_is_known_by_its_answer(answer: bytes, good: bool) -> None:
    """A stratum of its own and the mode of a server; a kiss of death, an echo and a short answer are none."""
    assert asking.tells_time("127.0.0.1", Answering(lambda _asked: answer).port) is good


def test_a_name_server_is_known_by_any_answer() -> None:
    """Also by one that knows nothing; not by somebody else's."""
    assert asking.answers_dns("127.0.0.1", Answering(lambda asked: asked[:2] + b"\x81\x82").port)
    assert not asking.answers_dns("127.0.0.1", Answering(lambda _asked: b"no").port)
