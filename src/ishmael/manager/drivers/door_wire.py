"""A connection to the other node's door (ssh(1)), over which one thing after the other is asked.

To open one takes a third of a second, to ask over it a few milliseconds: so one that is done is kept for a moment.
"""

from __future__ import annotations

import atexit
import os
import select
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from ishmael.manager.drivers.programs import ENVIRONMENT, words_of
from ishmael.manager.ports.node import Peer
from ishmael.words.errors import HostFault

_KEPT_S = 3.0
_END_S = 1.0
_CHUNK = 1 << 16


class Broken(Exception):
    """No answer came over it. ``code`` is ssh's exit code, and the text what it said last."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said)
        self.code = code


class DoorWire:
    """One connection.

    Args:
        address: of the other node.
        argv: the ssh that opens it.
        pins: file with the one host key that is accepted there; removed when the connection ends.

    Raises:
        HostFault: there is no ssh.
    """

    def __init__(self, address: str, argv: Sequence[str], pins: str) -> None:
        self.address, self._pins, self._rest = address, pins, b""
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the connection
        try:
            self._process = subprocess.Popen(
                list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, env=ENVIRONMENT
            )
        except OSError as error:
            self._forget()
            message = f"The program {argv[0]} cannot be run: {error.strerror}."
            raise HostFault("program-missing", message, "Install Ishmael again.") from error
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)

    def ask(self, line: bytes, limit_s: float) -> bytes:
        """Send a line, and wait for the line that answers it.

        Raises:
            Broken: the connection does not come up, or ended.
            TimeoutError: nothing whole has come within ``limit_s`` seconds.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        until_s = time.monotonic() + limit_s
        to, out = self._process.stdin.fileno(), self._process.stdout.fileno()
        # What an ssh that has ended does not take is told by its exit code, below.
        with suppress(BrokenPipeError):
            while line:
                if not select.select([], [to], [], max(0.0, until_s - time.monotonic()))[1]:
                    raise TimeoutError
                line = line[os.write(to, line) :]
        while b"\n" not in self._rest:
            if not select.select([out], [], [], max(0.0, until_s - time.monotonic()))[0]:
                raise TimeoutError
            data = os.read(out, _CHUNK)
            if not data:
                raise self._broken()
            self._rest += data
        answer, _, self._rest = self._rest.partition(b"\n")
        return answer

    def _broken(self) -> Broken:
        with suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        self._said.seek(0)
        code = self._process.poll()
        done = subprocess.CompletedProcess[bytes]([], -1 if code is None else code, self._rest, self._said.read())
        return Broken(done.returncode, words_of(done))

    def usable(self) -> bool:
        """It has not ended, and nobody has said anything unasked."""
        assert self._process.stdout is not None
        return (
            self._process.poll() is None and not self._rest and not select.select([self._process.stdout], [], [], 0)[0]
        )

    def close(self) -> None:
        """The other side ends with its input; one that hangs would keep a job from going on."""
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self._process.kill()
        self._process.wait()
        self._forget()

    def _forget(self) -> None:
        self._said.close()
        with suppress(FileNotFoundError):
            os.unlink(self._pins)  # noqa: PTH108 - a name of mkstemp(3)


class KeptWires:
    """At most one to each node, for a moment after it was used."""

    def __init__(self, kept_s: float = _KEPT_S) -> None:
        self._kept_s = kept_s
        self._lock = threading.Lock()
        self._wires: dict[Peer, DoorWire] = {}
        atexit.register(self.close)

    def take(self, peer: Peer) -> DoorWire | None:
        """One that is open, for one's own use; None when there is none."""
        with self._lock:
            wire = self._wires.pop(peer, None)
        if wire is None or wire.usable():
            return wire
        wire.close()
        return None

    def keep(self, peer: Peer, wire: DoorWire) -> None:
        """It is not needed at the moment."""
        with self._lock:
            other, self._wires[peer] = self._wires.get(peer), wire
        if other is not None:
            other.close()
        timer = threading.Timer(self._kept_s, self._end, (peer, wire))
        timer.daemon = True
        timer.start()

    def close(self) -> None:
        """Keep none."""
        with self._lock:
            wires, self._wires = list(self._wires.values()), {}
        for wire in wires:
            wire.close()

    def _end(self, peer: Peer, wire: DoorWire) -> None:
        """Unless it was used since: then it is not there, or its own timer runs."""
        with self._lock:
            if self._wires.get(peer) is not wire:
                return
            del self._wires[peer]
        wire.close()
