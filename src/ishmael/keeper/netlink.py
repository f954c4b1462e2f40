"""A little rtnetlink: IPv4 addresses with a lifetime, and news of links and addresses.

Sources: rtnetlink(7), netlink(7), ``linux/rtnetlink.h``, ``linux/if_addr.h``. Why by hand: docs/decisions/0006.

The kernel carries a request out inside ``send``, under its one routing lock, and the answer is there when ``send`` returns:
nothing here waits for an answer. ``send`` itself waits for that lock: usually not at all, longer while another program
changes many links.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ishmael.keeper.bpf import JUMP_EQUAL, LOAD_HALF, RETURN, attach

_RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK = 16, 17, 18
_RTM_NEWADDR, _RTM_DELADDR, _RTM_GETADDR = 20, 21, 22
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_REQUEST, _ACK, _DUMP, _REPLACE, _CREATE = 0x001, 0x004, 0x300, 0x100, 0x400
_GROUP_LINK, _GROUP_IPV4_ADDRESS = 0x1, 0x10
_SOL_NETLINK, _GET_STRICT_CHECK = 270, 12
_IFA_ADDRESS, _IFA_LOCAL, _IFA_CACHEINFO = 1, 2, 6
_IFLA_IFNAME = 3
_IFF_UP, _IFF_RUNNING, _IFF_LOWER_UP = 0x1, 0x40, 0x10000
_RECEIVE_BYTES = 1 << 16

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, interface
_LINK = struct.Struct("=BxHiII")  # family, device type, interface, flags, change mask
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_CACHE_INFO = struct.Struct("=IIII")  # preferred s, valid s, created, updated

# The type is in the host's byte order, a load in the network's. Of addresses only their end is news here, while every
# renewal of the lease is told as an addition.
_TYPE_OFFSET, _ALL_BYTES = 4, 0xFFFFFFFF
_WITHOUT_ADDED = [
    (LOAD_HALF, 0, 0, _TYPE_OFFSET),
    (JUMP_EQUAL, 0, 1, socket.htons(_RTM_NEWADDR)),
    (RETURN, 0, 0, 0),
    (RETURN, 0, 0, _ALL_BYTES),
]

FOREVER_S = 0xFFFFFFFF
"""The lifetime of an address without one."""

SCOPE_GLOBAL, SCOPE_HOST = 0, 254


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv4 address that this host holds.

    Args:
        nic_index: of the interface that has it.
        ip: dotted.
        prefix: bits.
        valid_s: what is left of its lifetime, rounded down; ``FOREVER_S`` when it has none.
    """

    nic_index: int
    ip: str
    prefix: int
    valid_s: int


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """A NIC came up (carrier and operational state, RFC 2863) or went down or away.

    A lost carrier is told after 5 ms, but up to 1 s later when any link of the host changed within the last second: the kernel
    tells carriers once a second at most (linkwatch).
    """

    nic: str
    up: bool


@dataclass(frozen=True, slots=True)
class AddressGone:
    """An IPv4 address was removed from a NIC: by its lifetime, by us, or by someone else."""

    nic: str
    ip: str


class Netlink:
    """Asks the kernel about addresses and changes them."""

    def __init__(self) -> None:
        self._socket = _open(groups=0)
        self._sequence = 0

    def set_address(self, nic_index: int, ip: str, prefix: int, valid_s: int, scope: int) -> None:
        """Add an address, or give it a new lifetime if it is there.

        Args:
            nic_index: interface.
            ip: dotted.
            prefix: bits.
            valid_s: lifetime, whole seconds (preferred and valid alike: preferred must not exceed valid).
            scope: ``SCOPE_GLOBAL`` or ``SCOPE_HOST``.

        Raises:
            OSError: ENODEV without that interface, EINVAL, EPERM.
        """
        raw = socket.inet_aton(ip)
        body = _ADDRESS.pack(socket.AF_INET, prefix, 0, scope, nic_index)
        body += _attribute(_IFA_LOCAL, raw) + _attribute(_IFA_ADDRESS, raw)
        body += _attribute(_IFA_CACHEINFO, _CACHE_INFO.pack(valid_s, valid_s, 0, 0))
        self._ask(_RTM_NEWADDR, _CREATE | _REPLACE | _ACK, body)

    def delete_address(self, nic_index: int, ip: str) -> bool:
        """Delete an address, whatever its prefix length.

        Returns:
            False when the interface does not have it.

        Raises:
            OSError: EPERM and the like.
        """
        body = _ADDRESS.pack(socket.AF_INET, 32, 0, 0, nic_index) + _attribute(_IFA_LOCAL, socket.inet_aton(ip))
        try:
            self._ask(_RTM_DELADDR, _ACK, body)
        except OSError as error:
            if error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV):
                return False
            raise
        return True

    def addresses(self, nic_index: int = 0) -> list[Address]:
        """The IPv4 addresses of one interface, or of all.

        Args:
            nic_index: interface; 0 for all.

        Raises:
            OSError: ENODEV without that interface.
        """
        answers = self._ask(_RTM_GETADDR, _DUMP, _ADDRESS.pack(socket.AF_INET, 0, 0, 0, nic_index))
        return [_address(body) for kind, body in answers if kind == _RTM_NEWADDR]

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _ask(self, kind: int, flags: int, body: bytes) -> list[tuple[int, bytes]]:
        self._sequence = (self._sequence + 1) & 0x7FFFFFFF
        length = _HEADER.size + len(body)
        self._socket.send(_HEADER.pack(length, kind, flags | _REQUEST, self._sequence, 0) + body)
        answers: list[tuple[int, bytes]] = []
        while True:
            for got, sequence, answer in _messages(self._socket.recv(_RECEIVE_BYTES)):
                if sequence != self._sequence:
                    continue  # left over from a question that failed half-way
                if got in (_NLMSG_ERROR, _NLMSG_DONE):
                    code = -int.from_bytes(answer[:4], "little", signed=True) if answer else 0
                    if code > 0:
                        raise OSError(code, os.strerror(code))
                    return answers
                answers.append((got, answer))


class NetworkWatch:
    """News of some NICs: register ``fileno()`` for input, then ``read()``.

    Args:
        nics: names; others are not reported.
    """

    def __init__(self, nics: tuple[str, ...]) -> None:
        self._nics = nics
        self._socket = _open(groups=_GROUP_LINK | _GROUP_IPV4_ADDRESS)
        attach(self._socket, _WITHOUT_ADDED)
        self._up: dict[str, bool] = dict.fromkeys(nics, False)
        self._names: dict[int, str] = {}
        self._ask_for_links()
        self.read()

    def fileno(self) -> int:
        """Descriptor to watch for input."""
        return self._socket.fileno()

    def is_up(self, nic: str) -> bool:
        """Whether the NIC is up and has carrier, as far as ``read`` has seen."""
        return self._up[nic]

    def read(self) -> list[LinkChanged | AddressGone]:
        """What changed since last asked. Never waits."""
        news: list[LinkChanged | AddressGone] = []
        while True:
            try:
                data = self._socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                return news
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._ask_for_links()  # the kernel dropped news: look at the links anew
                continue
            for kind, _sequence, body in _messages(data):
                change = self._change(kind, body)
                if change is not None:
                    news.append(change)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _ask_for_links(self) -> None:
        body = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), _RTM_GETLINK, _REQUEST | _DUMP, 1, 0) + body)

    def _change(self, kind: int, body: bytes) -> LinkChanged | AddressGone | None:
        if kind in (_RTM_NEWLINK, _RTM_DELLINK):
            return self._link_change(kind, body)
        if kind == _RTM_DELADDR:
            gone = _address(body)
            nic = self._names.get(gone.nic_index, "")
            return AddressGone(nic, gone.ip) if nic in self._nics else None
        return None

    def _link_change(self, kind: int, body: bytes) -> LinkChanged | None:
        _family, _type, index, flags, _mask = _LINK.unpack_from(body)
        name = _attributes(body[_LINK.size :]).get(_IFLA_IFNAME, b"").rstrip(b"\0").decode()
        needed = _IFF_UP | _IFF_RUNNING | _IFF_LOWER_UP
        up = kind == _RTM_NEWLINK and flags & needed == needed
        if kind == _RTM_NEWLINK:
            self._names[index] = name
        else:
            self._names.pop(index, None)
        if name not in self._nics or self._up[name] == up:
            return None
        self._up[name] = up
        return LinkChanged(name, up)


def _open(groups: int) -> socket.socket:
    opened = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    )
    opened.bind((0, groups))
    if not groups:
        opened.setsockopt(_SOL_NETLINK, _GET_STRICT_CHECK, 1)  # dumps of one interface only (Linux 4.20)
    return opened


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value  # all our values are multiples of 4 bytes


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            break
        found[kind & 0x3FFF] = data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    return found


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, sequence number and body of each message in a datagram."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _flags, sequence, _port = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        yield kind, sequence, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def _address(body: bytes) -> Address:
    _family, prefix, _flags, _scope, index = _ADDRESS.unpack_from(body)
    attributes = _attributes(body[_ADDRESS.size :])
    raw = attributes.get(_IFA_LOCAL) or attributes[_IFA_ADDRESS]
    valid_s = _CACHE_INFO.unpack_from(attributes[_IFA_CACHEINFO])[1] if _IFA_CACHEINFO in attributes else FOREVER_S
    return Address(index, socket.inet_ntoa(raw), prefix, valid_s)
