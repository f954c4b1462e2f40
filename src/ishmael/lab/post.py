"""A smarthost on the client: takes every mail (RFC 5321) and puts it into a directory; nothing is sent on.

``python -m ishmael.lab.post ADDRESS PORT DIRECTORY``: ends when its input ends.
"""

from __future__ import annotations

import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path

from ishmael.lab import client, plan
from ishmael.lab.plan import LabPlan
from ishmael.words.errors import HostFault

PORT = 2525
_READY = "ready"


@dataclass(frozen=True)
class Post:
    """Where mail can be sent to, and what came.

    Args:
        address: of the client.
        port: TCP.
        directory: one file a mail.
    """

    address: str
    port: int
    directory: Path

    def text(self) -> str:
        """All that came, decoded."""
        mails = [
            message_from_bytes(path.read_bytes(), policy=policy.default)
            for path in sorted(self.directory.glob("*.eml"))
        ]
        return "\n".join(f"{mail['Subject']}\n{mail.get_content()}" for mail in mails)


@contextmanager
def receiving(lab: LabPlan) -> Iterator[Post]:
    """Take mail for as long as this lasts.

    Raises:
        HostFault: the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="ishmael-post-") as directory:
        words = [sys.executable, "-m", "ishmael.lab.post", plan.CLIENT_IP, str(PORT), directory]
        process = subprocess.Popen(client.command(lab, words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            if process.stdout.readline().strip() != _READY:
                raise HostFault("no-smarthost", f"Nothing takes mail at {plan.CLIENT_IP}:{PORT}.")
            yield Post(plan.CLIENT_IP, PORT, Path(directory))
        finally:
            process.communicate(timeout=10)


class _Session(socketserver.StreamRequestHandler):
    directory = Path()
    taken = 0

    def handle(self) -> None:
        self._say("220 lab")
        while line := self.rfile.readline(4096):
            verb = line.strip().upper()
            if verb.startswith(b"DATA"):
                self._say("354 go on")
                self._take()
                self._say("250 taken")
            elif verb.startswith(b"QUIT"):
                self._say("221 bye")
                return
            else:
                self._say("250 lab")

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")

    def _take(self) -> None:
        lines = []
        while (line := self.rfile.readline(65536)) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b"..") else line)
        type(self).taken += 1
        fresh = self.directory / f"{self.taken:04}.new"
        fresh.write_bytes(b"".join(lines))
        fresh.rename(fresh.with_suffix(".eml"))


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads = True, True


def main() -> int:
    """Take mail until the input ends."""
    _Session.directory = Path(sys.argv[3])
    with _Server((sys.argv[1], int(sys.argv[2])), _Session) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(_READY, flush=True)
        sys.stdin.read()
        server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
