"""Corosync as the keeper sees it: agreed views and totally ordered messages (libcpg), quorum (libquorum).

Sources: cpg_overview(8), cpg_mcast_joined(3), quorum_overview(3), ``corosync/cpg.h`` and ``corosync/quorum.h`` of Corosync 3.1,
and libqb's ``ipcc.c`` and ``ipc_setup.c`` for what blocks:

* Every call that waits for an answer (initialise, join, local_get, trackstart, finalise) waits **for ever** when Corosync is
  stopped. They are made only in ``connect``, right after Corosync's main loop has answered a tiny greeting on the same socket
  without blocking us. What remains is a Corosync stopped within these few milliseconds: the lease and the watchdog catch it.
* Finalising also sleeps up to 40 ms a handle while Corosync's process is still there. ``close`` puts a dead socket in the place
  of libqb's, so that nothing waits and the others see us gone, and leaves the freeing to a later ``connect``.
* ``cpg_mcast_joined`` does not wait for an answer, but libqb spins for ever when its wake-up socket is full (after ~280
  messages to a stopped Corosync). ``send`` looks at the socket first, and refuses with too many own messages unanswered.
* ``cpg_dispatch`` and ``quorum_dispatch`` with CS_DISPATCH_ALL never wait.

The functions of this module must be called from one thread.
"""

from __future__ import annotations

import ctypes
import os
import select
import socket
import struct
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from ishmael.keeper import corosync_abi as abi

PAYLOAD_BYTES_MAX = 60_000
"""Larger messages would be cut into fragments by libcpg, which retries in a loop when Corosync is slow."""

UNANSWERED_MAX = 64
"""Own messages sent but not yet delivered back; beyond it Corosync is stalled and ``send`` refuses."""

_HUNG_UP = select.POLLHUP | select.POLLERR | select.POLLNVAL
_GREETING_MS = 2
_LEFTOVERS_MAX = 8
_FORCE_FILE_SOCKETS = Path("/etc/libqb/force-filesystem-sockets")

# struct qb_ipc_connection_request (each int32 on 8 bytes): an id that libqb does not know; it answers by closing the socket.
_GREETING = struct.pack("@i4xi4xI4x", -3, 24, 4096)


class LeftReason(StrEnum):
    """Why a member left (cpg_initialize(3), ``cpg_reason_t``)."""

    LEAVE = "leave"
    NODE_DOWN = "nodedown"
    PROCESS_DOWN = "procdown"
    UNDEFINED = "undefined"


@dataclass(frozen=True, slots=True)
class Left:
    """One keeper process that is gone from the view."""

    node: int
    reason: LeftReason


@dataclass(frozen=True, slots=True)
class ViewChanged:
    """An agreed view of the keepers' group.

    Args:
        members: ids of the nodes whose keeper is in the group.
        joined: ids of the nodes whose keeper came with this view.
        left: who went, and why. A keeper that restarted within one view is in ``left`` and in ``members``.
    """

    members: frozenset[int]
    joined: frozenset[int]
    left: tuple[Left, ...]


@dataclass(frozen=True, slots=True)
class QuorumChanged:
    """What votequorum says.

    Args:
        quorate: whether this partition has quorum.
        ring_id: representative node and sequence number of the ring.
    """

    quorate: bool
    ring_id: tuple[int, int]


@dataclass(frozen=True, slots=True)
class MessageArrived:
    """A message in the agreed order; own messages come back too.

    Args:
        sender: node id.
        payload: as given to ``Corosync.send``.
    """

    sender: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """Corosync is gone, and its descriptors left any epoll set by themselves. ``connect`` again."""

    reason: str


CorosyncEvent = ViewChanged | QuorumChanged | MessageArrived | ConnectionLost


_REASONS = {2: LeftReason.LEAVE, 3: LeftReason.NODE_DOWN, 5: LeftReason.PROCESS_DOWN}


class Corosync:
    """One connection to the local Corosync and one group on it.

    Args:
        group: name of the process group, at most 127 bytes.
    """

    def __init__(self, group: str) -> None:
        name = group.encode()
        self._group = abi.CpgName(len(name), name)
        self._events: list[CorosyncEvent] = []
        self._cpg: ctypes.c_uint64 | None = None
        self._quorum: ctypes.c_uint64 | None = None
        self._cpg_fd = self._quorum_fd = -1
        self._joined = False
        self._unanswered = 0
        self._polls: dict[int, select.poll] = {}
        self._greeting: socket.socket | None = None
        self._leftovers: list[_Leftover] = []
        self._libcpg: Any = None
        self._libquorum: Any = None
        self.node_id = 0
        # The libraries keep pointers into these: they live as long as this object.
        self._cpg_model = abi.CpgModel(
            abi.CPG_MODEL_V1, abi.Deliver(self._on_deliver), abi.Confchg(self._on_confchg), abi.TotemConfchg(), 0
        )
        self._quorum_model = abi.QuorumModel(
            abi.QUORUM_MODEL_V1, abi.QuorumNotify(self._on_quorum), abi.NodelistNotify()
        )

    @property
    def connected(self) -> bool:
        """Whether group and quorum are followed."""
        return self._joined and self._quorum is not None

    @property
    def unanswered(self) -> int:
        """Own messages sent and not yet delivered back: grows while Corosync is stalled or forms a new view."""
        return self._unanswered

    def connect(self) -> bool:
        """Try to be connected; call it again (every 50-100 ms) until it says yes.

        Takes microseconds without a Corosync, at most 2 ms with a Corosync that does not answer, and a few ms when it succeeds.

        Returns:
            True when the group is joined; the first view comes through ``dispatch``.
        """
        if self.connected:
            return True
        self._free_leftovers()
        if not self._load() or (self._cpg is None and not self._answers()):
            return False
        try:
            return self._open_cpg() and self._join() and self._open_quorum()
        except _CorosyncError:
            self.close()
            return False

    def fds(self) -> tuple[int, ...]:
        """Descriptors to watch for input; empty while not connected."""
        return (self._cpg_fd, self._quorum_fd) if self.connected else ()

    def dispatch(self, ready_fd: int = -1) -> list[CorosyncEvent]:
        """Everything that came, quorum first, then views and messages in their agreed order. Never waits.

        Args:
            ready_fd: only the one of ``fds`` that has something to say; all of them without it.
        """
        if self.connected:
            for library, handle, fd, name in (
                (self._libquorum.quorum_dispatch, self._quorum, self._quorum_fd, "quorum_dispatch"),
                (self._libcpg.cpg_dispatch, self._cpg, self._cpg_fd, "cpg_dispatch"),
            ):
                if ready_fd not in (-1, fd):
                    continue
                code = library(handle, abi.DISPATCH_ALL)
                if code not in (abi.OK, abi.TRY_AGAIN) or self._polled(fd) & _HUNG_UP:
                    self.close()
                    self._events.append(ConnectionLost(f"{name} answered {code}"))
                    break
        events, self._events = self._events, []
        return events

    def send(self, payload: bytes) -> bool:
        """Send a message to the group, in agreed order. Never waits.

        Args:
            payload: 1 to 60000 bytes.

        Returns:
            False when not connected, or Corosync cannot take it now (TRY_AGAIN): it was not sent.

        Raises:
            ValueError: the payload is empty or too long.
        """
        if not 0 < len(payload) <= PAYLOAD_BYTES_MAX:
            raise ValueError(f"a message of {len(payload)} bytes cannot be sent; 1 to {PAYLOAD_BYTES_MAX} can")
        if not self.connected or self._unanswered >= UNANSWERED_MAX or self._polled(self._cpg_fd) != select.POLLOUT:
            return False
        vector = abi.IoVec(payload, len(payload))
        if self._libcpg.cpg_mcast_joined(self._cpg, abi.TYPE_AGREED, ctypes.byref(vector), 1) != abi.OK:
            return False  # a lost connection also shows as a hang-up of the descriptor
        self._unanswered += 1
        return True

    def close(self) -> None:
        """Let go of Corosync without waiting for it. The others see this keeper's process as gone."""
        for fd, handle, library, name in (
            (self._cpg_fd, self._cpg, self._libcpg, "cpg_finalize"),
            (self._quorum_fd, self._quorum, self._libquorum, "quorum_finalize"),
        ):
            if handle is not None:
                pid = _make_dead(fd)
                self._leftovers.append(_Leftover(getattr(library, name), handle, pid))
        if self._greeting is not None:
            self._greeting.close()
        self._polls.clear()
        self._cpg = self._quorum = self._greeting = None
        self._cpg_fd = self._quorum_fd = -1
        self._joined = False
        self._unanswered = 0

    def _polled(self, fd: int) -> int:
        """What poll(2) says of a descriptor now: writable, hung up."""
        poll = self._polls.get(fd)
        if poll is None:
            poll = self._polls[fd] = select.poll()
            poll.register(fd, select.POLLOUT)
        return sum(events for _, events in poll.poll(0))

    def _free_leftovers(self) -> None:
        """Free what ``close`` left, once libqb does not sleep over it: when that Corosync's process is gone."""
        waiting = [one for one in self._leftovers if _lives(one.pid)]
        crowd = waiting[: max(0, len(waiting) - _LEFTOVERS_MAX)]
        for one in self._leftovers:
            if one not in waiting or one in crowd:
                one.finalize(one.handle)
        self._leftovers = waiting[len(crowd) :]

    def _load(self) -> bool:
        if self._libcpg is None or self._libquorum is None:
            try:
                self._libcpg, self._libquorum = abi.load()
            except OSError:
                return False
        return True

    def _answers(self) -> bool:
        """Whether Corosync's main loop runs: it closes our greeting's socket. A stopped Corosync leaves it open."""
        if self._greeting is None:
            self._greeting = _greet()
            if self._greeting is None:
                return False
        poll = select.poll()
        poll.register(self._greeting, select.POLLIN)
        if not poll.poll(_GREETING_MS):
            return False
        self._greeting.close()
        self._greeting = None
        return True

    def _open_cpg(self) -> bool:
        if self._cpg is None:
            handle = ctypes.c_uint64()
            _check(
                self._libcpg.cpg_model_initialize(
                    ctypes.byref(handle), abi.CPG_MODEL_V1, ctypes.byref(self._cpg_model), None
                )
            )
            self._cpg = handle
            self._cpg_fd = _descriptor(self._libcpg.cpg_fd_get, handle)
        return True

    def _join(self) -> bool:
        if not self._joined:
            # TRY_AGAIN while Corosync forms a view: the handle is kept, the next connect() asks again.
            node_id = ctypes.c_uint()
            if not _check(self._libcpg.cpg_local_get(self._cpg, ctypes.byref(node_id))):
                return False
            self.node_id = node_id.value
            self._joined = _check(self._libcpg.cpg_join(self._cpg, ctypes.byref(self._group)))
        return self._joined

    def _open_quorum(self) -> bool:
        handle, kind = ctypes.c_uint64(), ctypes.c_uint32()
        initialize = self._libquorum.quorum_model_initialize
        if not _check(
            initialize(
                ctypes.byref(handle), abi.QUORUM_MODEL_V1, ctypes.byref(self._quorum_model), ctypes.byref(kind), None
            )
        ):
            return False
        self._quorum = handle
        self._quorum_fd = _descriptor(self._libquorum.quorum_fd_get, handle)
        if not _check(self._libquorum.quorum_trackstart(handle, abi.TRACK_CURRENT_AND_CHANGES)):
            raise _CorosyncError("quorum_trackstart")
        return True

    def _on_deliver(self, _handle: int, _group: Any, node: int, pid: int, message: int, length: int) -> None:
        if node == self.node_id and pid == os.getpid():
            self._unanswered = max(0, self._unanswered - 1)
        self._events.append(MessageArrived(node, ctypes.string_at(message, length)))

    def _on_confchg(
        self,
        _handle: int,
        _group: Any,
        members: Any,
        members_n: int,
        left: Any,
        left_n: int,
        joined: Any,
        joined_n: int,
    ) -> None:
        gone = tuple(Left(left[i].node, _REASONS.get(left[i].reason, LeftReason.UNDEFINED)) for i in range(left_n))
        self._events.append(
            ViewChanged(
                frozenset(members[i].node for i in range(members_n)),
                frozenset(joined[i].node for i in range(joined_n)),
                gone,
            )
        )

    def _on_quorum(self, _handle: int, quorate: int, ring: abi.RingId, _n: int, _members: Any) -> None:
        self._events.append(QuorumChanged(bool(quorate), (ring.node, ring.seq)))


@dataclass(frozen=True, slots=True)
class _Leftover:
    """A handle to be freed, and the process id of the Corosync it belonged to."""

    finalize: Any
    handle: ctypes.c_uint64
    pid: int


class _CorosyncError(Exception):
    """A library call failed: the connection is of no use."""


def _check(code: int) -> bool:
    if code not in (abi.OK, abi.TRY_AGAIN):
        raise _CorosyncError(str(code))
    return code == abi.OK


def _descriptor(fd_get: Any, handle: ctypes.c_uint64) -> int:
    fd = ctypes.c_int(-1)
    if not _check(fd_get(handle, ctypes.byref(fd))):
        raise _CorosyncError("no descriptor")
    return fd.value


def _greet() -> socket.socket | None:
    """Open libqb's socket of the cpg service and say something it does not understand."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        # libqb passes the whole sun_path, so the abstract name is padded with zeros to its full length.
        connection.connect("/run/cpg" if _FORCE_FILE_SOCKETS.exists() else b"\0cpg".ljust(108, b"\0"))
        connection.send(_GREETING, socket.MSG_NOSIGNAL)
    except OSError:
        connection.close()
        return None
    return connection


def _make_dead(fd: int) -> int:
    """Put a hung-up socket in the place of libqb's: its calls then fail at once instead of waiting for an answer.

    Returns:
        Process id of the Corosync at the other end; 0 when there is no descriptor.
    """
    if fd < 0:
        return 0
    with socket.socket(fileno=os.dup(fd)) as twin:
        pid, _uid, _gid = struct.unpack("3i", twin.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    near, far = socket.socketpair()
    with near, far:
        os.dup2(near.fileno(), fd, inheritable=False)
    return int(pid)


def _lives(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
