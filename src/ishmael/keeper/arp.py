"""ARP on one NIC: ask who has an address, announce ours, see who answers; and an ear for any frame of the peer.

Sources: packet(7), RFC 826 (ARP), RFC 5227 (probes and announcements).

What an answer means depends on the answering host's settings. By default Linux answers for *every* address it has on *any*
NIC (``arp_ignore=0``): a node whose telephone NIC is dead would still answer for its telephone address on the internal cable,
and for the cluster IP too. So both nodes must have::

    net.ipv4.conf.all.arp_ignore = 1     answer only for addresses of the NIC the question came in on
    net.ipv4.conf.all.arp_announce = 2   ask with an address of the NIC the question goes out on

and each own address is asked for on its own network. The values must stand under ``all``: for both the higher of ``all`` and
the NIC's own counts. ``arp_ignore=3`` would silence the cluster IP (its scope is host, see ``address``).
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass

from ishmael.keeper.bpf import JUMP_EQUAL, LOAD_HALF, LOAD_WORD, RETURN, Instruction, attach

REQUEST, REPLY = 1, 2
NOBODY = "0.0.0.0"  # noqa: S104 - the sender address of an RFC 5227 probe, nothing is bound to it

_ETH_P_ALL, _ETH_P_ARP, _ETH_P_IP = 0x0003, 0x0806, 0x0800
_PRIORITY_INTERACTIVE = 6
_FRAMES_MAX = 256
_RECEIVE_BUFFER_BYTES = 1 << 16
_BROADCAST = b"\xff" * 6
_ETHERNET = struct.Struct("!6s6sH")  # destination, source, type
_ARP = struct.Struct("!HHBBH6s4s6s4s")  # hardware, protocol, their lengths, operation, sender, target
_FRAME_BYTES = _ETHERNET.size + _ARP.size
_REPLY_HEAD = struct.pack("!HHHBBH", _ETH_P_ARP, 1, _ETH_P_IP, 6, 4, REPLY)
_GONE = (errno.ENXIO, errno.ENODEV, errno.ENETDOWN)

_AT_SOURCE, _AT_HARDWARE, _AT_PROTOCOL, _AT_LENGTHS, _AT_OPERATION, _AT_SENDER_IP = 6, 14, 16, 18, 20, 28


@dataclass(frozen=True, slots=True)
class ArpFrame:
    """One ARP frame that came in.

    Args:
        nic: where.
        op: ``REQUEST`` or ``REPLY``.
        sender_mac: lower case with colons.
        sender_ip: dotted; 0.0.0.0 in a probe.
        target_ip: dotted.
        target_mac: lower case with colons.
        at_ns: CLOCK_MONOTONIC when it was read.
    """

    nic: str
    op: int
    sender_mac: str
    sender_ip: str
    target_ip: str
    target_mac: str
    at_ns: int

    @property
    def is_reply(self) -> bool:
        """Whether it answers a question (or announces in the form of an answer)."""
        return self.op == REPLY


class ArpPort:
    """Questions, announcements and answers on one NIC. Survives the NIC going down, away and back. Never waits.

    Args:
        nic: name; it need not be there yet.
    """

    def __init__(self, nic: str) -> None:
        self.nic = nic
        self._bound = False
        self._socket = _open()
        attach(self._socket, _arp_program((), ()))
        self._bind()

    def fileno(self) -> int:
        """Descriptor to watch for input; the same as long as the port lives."""
        return self._socket.fileno()

    def listen_for(self, ips: Iterable[str], answers_of: Iterable[str] = ()) -> None:
        """Be woken only by frames whose sender has one of these addresses; the kernel drops all others.

        Args:
            ips: sender protocol addresses, dotted. With neither these nor others, every ARP frame counts again.
            answers_of: the same, but only their answers: what such a host asks others tells nothing.
        """
        attach(self._socket, _arp_program(tuple(ips), tuple(answers_of)))

    def mac(self) -> str:
        """The NIC's own hardware address, as it is now; empty without the NIC."""
        raw = self._mac()
        return _mac_text(raw) if raw else ""

    def ask(self, target_ip: str, source_ip: str = NOBODY) -> bool:
        """Ask, by broadcast, who has an address.

        Args:
            target_ip: the address in question.
            source_ip: an own address on this NIC; 0.0.0.0 makes it a probe that leaves no trace in others' caches (RFC 5227).

        Returns:
            False when the frame could not leave (NIC down or gone).
        """
        return self._send(REQUEST, source_ip, target_ip, bytes(6), _BROADCAST)

    def announce(self, ip: str) -> bool:
        """Tell everybody that this NIC has the address: as a request and as a reply, for some hosts learn from one only."""
        own = self._mac()
        asked = self._send(REQUEST, ip, ip, bytes(6), _BROADCAST)
        return self._send(REPLY, ip, ip, own or bytes(6), _BROADCAST) and asked

    def announce_to(self, ip: str, target_ip: str, target_mac: str) -> bool:
        """Tell one host that this NIC has the address.

        Args:
            ip: the address announced.
            target_ip: the host's.
            target_mac: the host's, with colons.
        """
        raw = _mac_bytes(target_mac)
        return self._send(REPLY, ip, target_ip, raw, raw)

    def read(self) -> list[ArpFrame]:
        """The frames that came in, at most 256 at a time."""
        frames: list[ArpFrame] = []
        for _ in range(_FRAMES_MAX):
            try:
                data = self._socket.recv(_FRAME_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno not in _GONE:
                    raise
                continue  # told once when the NIC goes down; what is queued can still be read
            frame = parse(self.nic, data, time.monotonic_ns())
            if frame is not None:
                frames.append(frame)
        return frames

    def answers(self) -> list[tuple[bytes, bytes]]:
        """Who has answered since last asked: (protocol address, hardware address), as they stand in the frames.

        The short way for answers that come many times a second.
        """
        found: list[tuple[bytes, bytes]] = []
        for _ in range(_FRAMES_MAX):
            try:
                data = self._socket.recv(_FRAME_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno not in _GONE:
                    raise
                continue
            if len(data) == _FRAME_BYTES and data[12:22] == _REPLY_HEAD:
                found.append((data[28:32], data[22:28]))
        return found

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _bind(self) -> bool:
        self._bound = _bind(self._socket, self.nic, _ETH_P_ARP)
        return self._bound

    def _mac(self) -> bytes:
        try:
            return bytes(self._socket.getsockname()[4])[:6] if self._bound or self._bind() else b""
        except OSError:
            return b""

    def _send(self, op: int, sender_ip: str, target_ip: str, target_mac: bytes, to: bytes) -> bool:
        for _ in range(2):
            own = self._mac()
            if len(own) != 6:
                self._bound = False
                return False
            frame = build(op, own, sender_ip, target_mac, target_ip, to)
            try:
                return self._socket.send(frame) == len(frame)
            except OSError as error:
                if error.errno not in (errno.ENXIO, errno.ENODEV):
                    return False  # down (ENETDOWN), or its queue is full (EAGAIN, ENOBUFS)
                self._bound = False  # the NIC went away; another may have its name by now
        return False


class PeerEar:
    """Hears whether anything at all comes from the peer's NIC. To be open only while the peer is suspected: it sees every frame.

    Args:
        nic: where to listen.
        peer_mac: source address of the frames, with colons.

    Raises:
        OSError: ENODEV without the NIC.
    """

    def __init__(self, nic: str, peer_mac: str) -> None:
        self._socket = _open()
        attach(self._socket, _source_program(_mac_bytes(peer_mac)))
        if not _bind(self._socket, nic, _ETH_P_ALL):
            self._socket.close()
            raise OSError(errno.ENODEV, f"no NIC {nic}")

    def fileno(self) -> int:
        """Descriptor to watch for input."""
        return self._socket.fileno()

    def heard(self) -> bool:
        """Whether a frame came from the peer since last asked."""
        heard = False
        for _ in range(_FRAMES_MAX):
            try:
                self._socket.recv(1)
            except BlockingIOError:
                break
            except OSError:
                continue
            heard = True
        return heard

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


def build(op: int, sender_mac: bytes, sender_ip: str, target_mac: bytes, target_ip: str, to: bytes) -> bytes:
    """An Ethernet frame with an ARP packet for IPv4 (RFC 826)."""
    return _ETHERNET.pack(to, sender_mac, _ETH_P_ARP) + _ARP.pack(
        1, _ETH_P_IP, 6, 4, op, sender_mac, socket.inet_aton(sender_ip), target_mac, socket.inet_aton(target_ip)
    )


def parse(nic: str, data: bytes, at_ns: int) -> ArpFrame | None:
    """The ARP packet in an Ethernet frame; none when it is cut short or not about IPv4 over Ethernet."""
    if len(data) < _FRAME_BYTES or _ETHERNET.unpack_from(data)[2] != _ETH_P_ARP:
        return None
    hardware, protocol, mac_bytes, ip_bytes, op, sender_mac, sender_ip, target_mac, target_ip = _ARP.unpack_from(
        data, _ETHERNET.size
    )
    if (hardware, protocol, mac_bytes, ip_bytes) != (1, _ETH_P_IP, 6, 4) or op not in (REQUEST, REPLY):
        return None
    return ArpFrame(
        nic,
        op,
        _mac_text(sender_mac),
        socket.inet_ntoa(sender_ip),
        socket.inet_ntoa(target_ip),
        _mac_text(target_mac),
        at_ns,
    )


def _mac_text(raw: bytes) -> str:
    return raw.hex(":")


def _mac_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _open() -> socket.socket:
    # Protocol 0: it receives nothing before it is bound, so no frame slips past the filter.
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, _PRIORITY_INTERACTIVE)
    return opened


def _bind(to_bind: socket.socket, nic: str, protocol: int) -> bool:
    try:
        to_bind.bind((nic, protocol))
    except OSError as error:
        if error.errno not in _GONE:
            raise
        # A NIC that is down is bound all the same, and the kernel tells so with ENETDOWN afterwards.
        return error.errno == errno.ENETDOWN
    return True


def _arp_program(ips: tuple[str, ...], answers_of: tuple[str, ...]) -> list[Instruction]:
    """Accept ARP about IPv4 over Ethernet, from these senders when any are given."""
    program: list[Instruction] = []
    for offset, wanted in ((_AT_HARDWARE, 1), (_AT_PROTOCOL, _ETH_P_IP), (_AT_LENGTHS, 0x0604)):
        program += [(LOAD_HALF, 0, 0, offset), (JUMP_EQUAL, 1, 0, wanted), (RETURN, 0, 0, 0)]
    for ip in ips:
        wanted = int.from_bytes(socket.inet_aton(ip), "big")
        program += [(LOAD_WORD, 0, 0, _AT_SENDER_IP), (JUMP_EQUAL, 0, 1, wanted), (RETURN, 0, 0, _FRAME_BYTES)]
    if answers_of:
        program += [(LOAD_HALF, 0, 0, _AT_OPERATION), (JUMP_EQUAL, 1, 0, REPLY), (RETURN, 0, 0, 0)]
    for ip in answers_of:
        wanted = int.from_bytes(socket.inet_aton(ip), "big")
        program += [(LOAD_WORD, 0, 0, _AT_SENDER_IP), (JUMP_EQUAL, 0, 1, wanted), (RETURN, 0, 0, _FRAME_BYTES)]
    return [*program, (RETURN, 0, 0, 0 if ips or answers_of else _FRAME_BYTES)]


def _source_program(mac: bytes) -> list[Instruction]:
    """Accept frames from this source address; one byte of each is enough."""
    return [*_accept_mac(mac, _AT_SOURCE, 1), (RETURN, 0, 0, 0)]


def _accept_mac(mac: bytes, offset: int, accept_bytes: int) -> list[Instruction]:
    return [
        (LOAD_WORD, 0, 0, offset + 2),
        (JUMP_EQUAL, 0, 3, int.from_bytes(mac[2:], "big")),
        (LOAD_HALF, 0, 0, offset),
        (JUMP_EQUAL, 0, 1, int.from_bytes(mac[:2], "big")),
        (RETURN, 0, 0, accept_bytes),
    ]
