"""Looking at the services beside the cluster, against real small servers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

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
    """A mail server that takes EHLO works; no name server, and no fax configuration, do not."""
    (tmp_path / "resolv.conf").write_text("search example.org\n")
    seen = SeenSurroundings(str(tmp_path / "resolv.conf"), ("127.0.0.1", mail_port), (str(tmp_path / "config"),))
    services = {service.item: service for service in seen.services()}
    assert (services["mail"].works, services["dns"].works, services["fax"].works) == (True, False, False)
    (tmp_path / "config").touch()
    again = {service.item: service for service in seen.services()}
    assert (again["fax"].works, again["mail"].works) == (True, False)
    assert set(again) == {"dns", "clock", "mail", "fax"}


def test_calls_are_read() -> None:
    """The number Asterisk prints; nothing when it prints something else."""
    assert read_calls("4 active channels\n2 active calls\n9 calls processed\n") == 2
    assert read_calls("1 active call\n") == 1
    assert read_calls("Unable to connect\n") is None
