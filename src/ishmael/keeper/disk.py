"""No disk in the loop (rule 10): helper processes do all writing; the keeper only sends and reads answers.

Two lanes, each a forked process behind a SOCK_SEQPACKET pair: records, and logs. A log on a slow disk never delays a record.
The helpers hold no descriptor of the keeper's but their own socket: a copy of Corosync's or of a watched one would keep it open
after the keeper has closed it, and the others would not see the keeper go.
A record is written to a temporary file, fsynced, renamed over the old one, and the directory fsynced (rename(2), fsync(2)).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import signal
import socket
import struct
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

_MAGIC = b"ISHMAEL\x01"
_HEADER = struct.Struct(">8sI32s")
_PACKET_MAX_BYTES = 60_000
_QUEUE_MAX = 512
_PR_SET_PDEATHSIG = 1
TRY_OUT = -2
"""The ticket of a try of the disk."""


class RecordDamaged(ValueError):
    """The bytes of a record file are not what was once written."""


def encode_framed(payload: bytes) -> bytes:
    """Frame a payload: magic with version, length, SHA-256, then the payload."""
    return _HEADER.pack(_MAGIC, len(payload), hashlib.sha256(payload).digest()) + payload


def decode_framed(raw: bytes) -> bytes:
    """The payload of a frame.

    Raises:
        RecordDamaged: too short, of another version, of the wrong length, or its checksum does not match.
    """
    if len(raw) < _HEADER.size:
        raise RecordDamaged(f"it has {len(raw)} bytes, fewer than its header")
    magic, length, digest = _HEADER.unpack_from(raw)
    if magic != _MAGIC:
        raise RecordDamaged("it was not written by this version of Ishmael")
    payload = raw[_HEADER.size :]
    if len(payload) != length:
        raise RecordDamaged(f"it holds {len(payload)} bytes instead of {length}")
    if hashlib.sha256(payload).digest() != digest:
        raise RecordDamaged("its checksum does not match")
    return payload


def read_framed(path: Path) -> bytes | None:
    """The payload of a framed file; none when there is no file, or it was emptied on purpose.

    Raises:
        RecordDamaged: the file is there and cannot be trusted.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordDamaged(f"it cannot be read: {error.strerror}") from error
    return decode_framed(raw) or None


@dataclass(frozen=True, slots=True)
class Saved:
    """A save ended; with ``ok`` it survives a power cut. ``took_ms`` is the time in the helper."""

    ticket: int
    ok: bool
    error: str
    took_ms: int


class Lane:
    """One helper process and the queue before it.

    Args:
        keep: when the queue is full, the oldest entries are kept (logs) or the newest (records).
    """

    def __init__(self, keep_newest: bool) -> None:
        self._keep_newest = keep_newest
        self._queue: deque[bytes] = deque()
        self.dropped = 0
        self._pid = 0
        self._ended: list[int] = []
        self._sock: socket.socket
        self._fork()

    def fileno(self) -> int:
        """Watch for input: answers, or the helper's death."""
        return self._sock.fileno()

    def _fork(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        keeper = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            _serve(theirs, keeper)
        theirs.close()
        ours.setblocking(False)
        self._sock = ours

    def put(self, header: dict[str, str | int], payload: bytes) -> None:
        """Queue one job; never waits."""
        packet = json.dumps(header).encode() + b"\n" + payload
        if len(packet) > _PACKET_MAX_BYTES:
            self.dropped += 1
            return
        if self._keep_newest:
            self._queue.clear()
        elif len(self._queue) >= _QUEUE_MAX:
            self.dropped += 1
            return
        self._queue.append(packet)
        self.flush()

    def flush(self) -> None:
        """Send what the socket takes."""
        while self._queue:
            try:
                self._sock.send(self._queue[0])
            except OSError:
                return
            self._queue.popleft()

    def answers(self) -> list[Saved]:
        """Ends that came in; when the helper died, a new one is started and what it had is lost."""
        found: list[Saved] = []
        while True:
            try:
                raw = self._sock.recv(4096)
            except BlockingIOError:
                break
            except OSError:
                raw = b""
            if not raw:
                self._restart()
                found.append(Saved(-1, False, "the helper that writes to disk died", 0))
                break
            ticket, ok, error, took_ms = json.loads(raw)
            found.append(Saved(ticket, ok, error, took_ms))
        self.flush()
        return found

    def _restart(self) -> None:
        self._sock.close()
        with contextlib.suppress(OSError):
            os.kill(self._pid, signal.SIGKILL)
        self._ended.append(self._pid)
        self._reap()
        self._fork()

    def _reap(self) -> None:
        """Take in the ends of former helpers; one that hangs in the disk is left to itself, never waited for."""
        self._ended = [pid for pid in self._ended if not os.waitpid(pid, os.WNOHANG)[0]]

    def close(self) -> None:
        """End the helper after what it has; waits for it up to a second, then kills it and goes."""
        self._sock.close()
        self._ended.append(self._pid)
        deadline = time.monotonic() + 1
        while self._ended and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.005)
        for pid in self._ended:
            os.kill(pid, signal.SIGKILL)
        self._reap()


class Disk:
    """Both lanes."""

    def __init__(self) -> None:
        self.records = Lane(keep_newest=True)
        self.logs = Lane(keep_newest=False)

    def save(self, ticket: int, path: Path, payload: bytes) -> None:
        """Save a framed file atomically; answered by ``Saved`` on the records lane. An unsent older save is superseded."""
        self.records.put({"op": "save", "ticket": ticket, "path": str(path)}, encode_framed(payload))

    def try_out(self, path: Path) -> None:
        """Write and sync a few bytes beside the record; answered by ``Saved`` with the ticket ``TRY_OUT``."""
        self.records.put({"op": "try", "ticket": TRY_OUT, "path": str(path)}, b"tried\n")

    def append(self, path: Path, line: bytes, rotate_bytes: int = 0) -> None:
        """Append to a log; with ``rotate_bytes`` it is moved to ``PATH.1`` when it grows beyond."""
        self.logs.put({"op": "append", "ticket": 0, "path": str(path), "rotate_bytes": rotate_bytes}, line)

    def close(self) -> None:
        """End both helpers."""
        self.records.close()
        self.logs.close()


def _serve(sock: socket.socket, keeper: int) -> None:
    """The helper's life: jobs in, ends out, until the keeper is gone."""
    code = 0
    try:
        signal.set_wakeup_fd(-1)
        os.closerange(3, sock.fileno())
        os.closerange(sock.fileno() + 1, 1 << 20)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        while os.getppid() == keeper and (packet := sock.recv(_PACKET_MAX_BYTES + 1024)):
            head, _, payload = packet.partition(b"\n")
            _do(sock, json.loads(head), payload)
    except BaseException:
        code = 1
    finally:
        os._exit(code)


def _do(sock: socket.socket, head: dict[str, str | int], payload: bytes) -> None:
    began = time.monotonic()
    error = ""
    try:
        if head["op"] in ("save", "try"):
            # A try goes the same way: only a new file beside the old one shows whether the disk has room for the record.
            write_atomically(Path(str(head["path"])), payload)
        else:
            _append(Path(str(head["path"])), payload, int(head["rotate_bytes"]))
    except OSError as failure:
        error = failure.strerror or str(failure)
    # Appends are answered too: the answer makes the keeper send what is still queued.
    took_ms = int((time.monotonic() - began) * 1000)
    sock.send(json.dumps([head["ticket"], not error, error, took_ms]).encode())


def write_atomically(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file so that after a crash it is either the old or the new one, and on return the new one for good.

    Raises:
        OSError: nothing was replaced.
    """
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)
    _fsync_directory(path.parent)


def _fsync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _append(path: Path, line: bytes, rotate_bytes: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        if rotate_bytes and os.fstat(descriptor).st_size > rotate_bytes:
            path.replace(path.with_name(path.name + ".1"))
            os.close(descriptor)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        size = os.fstat(descriptor).st_size
        if os.write(descriptor, line) != len(line):
            os.ftruncate(descriptor, size)  # half a line would spoil the next one as well
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
