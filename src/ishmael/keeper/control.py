"""The keeper's control socket: one JSON object a line, one answer line each. Root only (mode 0600).

See docs/reference/control.md for the asks.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ishmael.words.json_text import read_json

LINE_MAX_BYTES = 65536
_CLIENTS_MAX = 32


class Client:
    """One connection: bytes in, whole lines out, answers queued until the socket takes them."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._in = b""
        self._out = b""

    def read_lines(self) -> list[bytes] | None:
        """Whole lines received; none when the client is gone or sent too much."""
        try:
            data = self.sock.recv(LINE_MAX_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        *lines, self._in = (self._in + data).split(b"\n")
        return None if len(self._in) > LINE_MAX_BYTES else lines

    def answer(self, body: dict[str, Any]) -> None:
        """Queue one answer line and send what goes at once."""
        self._out += json.dumps(body, default=str).encode() + b"\n"
        self.flush()

    @property
    def waits(self) -> bool:
        """An answer is queued that the socket would not take yet."""
        return bool(self._out)

    def flush(self) -> bool:
        """Send what is queued; true when nothing is left."""
        try:
            sent = self.sock.send(self._out) if self._out else 0
        except BlockingIOError:
            return False
        except OSError:
            self._out = b""
            return True
        self._out = self._out[sent:]
        return not self._out


class Control:
    """Listens on a Unix socket.

    Args:
        path: where.
        take: called with each ask and its client; answers at once or later.
    """

    def __init__(self, path: Path, take: Callable[[Client, dict[str, Any]], None]) -> None:
        self._take = take
        self.clients: dict[int, Client] = {}
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        before = os.umask(0o177)
        try:
            self.listener.bind(str(path))
        finally:
            os.umask(before)
        self.listener.listen(8)

    def accept(self) -> Client | None:
        """A new client; when there are too many, the oldest has to go."""
        try:
            sock, _ = self.listener.accept()
        except OSError:
            return None
        if len(self.clients) >= _CLIENTS_MAX:
            # The one that came first has had its time; a new one may be the admin's.
            self.close(next(iter(self.clients)))
        client = Client(sock)
        self.clients[sock.fileno()] = client
        return client

    def serve(self, fd: int) -> bool:
        """Read what a client sent; false when it is gone and was closed."""
        client = self.clients[fd]
        lines = client.read_lines()
        if lines is None:
            self.close(fd)
            return False
        for line in lines:
            self._serve_line(client, line)
        client.flush()
        return True

    def _serve_line(self, client: Client, line: bytes) -> None:
        try:
            ask = read_json(line)
        except ValueError:
            ask = None
        if not isinstance(ask, dict) or not isinstance(ask.get("ask"), str):
            client.answer(refusal("request", "not-an-ask", "The line is no JSON object with an ask."))
            return
        self._take(client, ask)

    def flush(self) -> None:
        """Send on what a slow client would not take before; called on every tick."""
        for client in self.clients.values():
            if client.waits:
                client.flush()

    def close(self, fd: int) -> None:
        """Forget a client."""
        client = self.clients.pop(fd, None)
        if client is not None:
            with contextlib.suppress(OSError):
                client.sock.close()


def refusal(whose: str, code: str, message: str, hint: str = "") -> dict[str, Any]:
    """An answer that says no: whose fault, what, and what to do."""
    return {"ok": False, "error": {"whose": whose, "code": code, "message": message, "hint": hint}}
