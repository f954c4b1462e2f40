"""A time server on the client that tells a time of its own (SNTP, RFC 4330): nobody's clock has to be moved for a wrong one.

``python -m ishmael.lab.time_server ADDRESS PORT OFFSET_S``: ends when its input ends.
"""

from __future__ import annotations

import socketserver
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ishmael.lab import client, plan
from ishmael.lab.plan import LabPlan
from ishmael.words.errors import HostFault

_PORT = 123
_READY = "ready"
_SINCE_1900_S = 2_208_988_800
_SERVER_V4, _STRATUM, _PRECISION = 0x24, 2, -20


@contextmanager
def telling(lab: LabPlan, offset_s: float) -> Iterator[str]:
    """Tell a time that is ``offset_s`` off, for as long as this lasts; yields the server's address.

    Raises:
        HostFault: the port is taken.
    """
    words = [sys.executable, "-m", "ishmael.lab.time_server", plan.CLIENT_IP, str(_PORT), str(offset_s)]
    process = subprocess.Popen(client.command(lab, words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        if process.stdout.readline().strip() != _READY:
            raise HostFault("no-time-server", f"Nothing tells the time at {plan.CLIENT_IP}.")
        yield plan.CLIENT_IP
    finally:
        process.communicate(timeout=10)


def _stamp(unix_s: float) -> bytes:
    since_s = unix_s + _SINCE_1900_S
    return struct.pack("!II", int(since_s), int(since_s % 1 * 2**32))


class _Answer(socketserver.BaseRequestHandler):
    offset_s = 0.0

    def handle(self) -> None:
        said, wire = self.request
        if len(said) < 48:
            return
        now = _stamp(time.time() + self.offset_s)
        head = struct.pack("!BBbbII4s", _SERVER_V4, _STRATUM, 6, _PRECISION, 0, 0, b"LAB\0")
        wire.sendto(head + now + said[40:48] + now + now, self.client_address)


def main() -> int:
    """Answer until the input ends."""
    _Answer.offset_s = float(sys.argv[3])
    with socketserver.ThreadingUDPServer((sys.argv[1], int(sys.argv[2])), _Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(_READY, flush=True)
        sys.stdin.read()
        server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
