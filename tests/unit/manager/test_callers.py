"""Who may ask: a real server on a real socket, asked by real users."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI, Request

from ishmael.manager.api.callers import OnlyKnownCallers, PeerCredentialProtocol

_WEB_UID, _OTHER_UID = 61234, 61235
_ASK = """\
import json, socket, sys
wire = socket.socket(socket.AF_UNIX); wire.connect(sys.argv[1])
wire.sendall((sys.argv[2] + " /who HTTP/1.1\\r\\nHost: i\\r\\nConnection: close\\r\\n" + sys.argv[3] + "\\r\\n").encode())
raw = b""
while piece := wire.recv(65536): raw += piece
head, _, body = raw.partition(b"\\r\\n\\r\\n")
print(json.dumps([int(head.split()[1]), json.loads(body)]))
"""


@pytest.fixture
def door(tmp_path: Path) -> Iterator[str]:
    app = FastAPI()

    @app.api_route("/who", methods=["GET", "POST"])
    def who(request: Request) -> dict[str, object]:
        caller = request.state.caller
        return {"name": caller.name, "may_change": caller.may_change}

    app.add_middleware(OnlyKnownCallers, find_web_uid=lambda: _WEB_UID)
    place = Path("/tmp") / f"callers-{os.getpid()}.sock"
    wire = socket.socket(socket.AF_UNIX)
    wire.bind(str(place))
    place.chmod(0o666)
    wire.listen(8)
    server = uvicorn.Server(uvicorn.Config(app, http=PeerCredentialProtocol, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [wire]})
    thread.start()
    yield str(place)
    server.should_exit = True
    thread.join()
    place.unlink()


def _ask(door: str, uid: int, method: str = "GET", **headers: str) -> tuple[int, dict[str, object]]:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    program = [sys.executable, "-I", "-S", "-c", _ASK, door, method, lines]
    if uid:
        program = ["/usr/bin/python3", *program[1:]]
    done = subprocess.run(program, capture_output=True, check=True, user=uid or None, timeout=20)
    status, body = json.loads(done.stdout)
    return status, body


def test_root_may_everything(door: str) -> None:
    """Headers of root count for nothing."""
    status, body = _ask(door, 0, "POST", X_Ishmael_User="eve", X_Ishmael_Role="viewer")
    assert (status, body) == (200, {"name": "root", "may_change": True})


def test_the_web_process_asks_for_others(door: str) -> None:
    """An admin may change, a viewer may look, and nobody may be left unnamed."""
    status, body = _ask(door, _WEB_UID, "POST", X_Ishmael_User="anna", X_Ishmael_Role="admin")
    assert (status, body) == (200, {"name": "anna", "may_change": True})
    status, body = _ask(door, _WEB_UID, "GET", X_Ishmael_User="bert", X_Ishmael_Role="viewer")
    assert (status, body) == (200, {"name": "bert", "may_change": False})
    status, body = _ask(door, _WEB_UID, "POST", X_Ishmael_User="bert", X_Ishmael_Role="viewer")
    assert (status, body["code"]) == (403, "only-looking")
    status, body = _ask(door, _WEB_UID)
    assert (status, body["code"]) == (403, "no-user-named")
    status, body = _ask(door, _WEB_UID, X_Ishmael_User="bert", X_Ishmael_Role="root")
    assert (status, body["code"]) == (403, "no-user-named")


def test_nobody_else_may_ask(door: str) -> None:
    """Also one who knows the headers."""
    status, body = _ask(door, _OTHER_UID, X_Ishmael_User="eve", X_Ishmael_Role="admin")
    assert (status, body["code"]) == (403, "not-root")
