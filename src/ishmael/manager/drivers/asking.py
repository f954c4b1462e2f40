"""One question to a server over UDP: for a name (RFC 1035), or for the time (RFC 5905)."""

from __future__ import annotations

import secrets
import socket
import struct

LIMIT_S = 2.0
_A, _NS, _INTERNET = 1, 2, 1
_HEADER = struct.Struct(">HHHHHH")
_RECORD = struct.Struct(">HHIH")
_POINTER = 0xC0
_CLIENT, _SERVER, _MODE = 0x23, 4, 7
_TIME_BYTES = 48


def answers_dns(server: str, port: int = 53) -> bool:
    """Ask for the root's name servers; any answer with our number counts, for a server without the Internet answers too."""
    number = secrets.token_bytes(2)
    return _asked(server, port, _question(number, "", _NS))[:2] == number


def address_of(server: str, name: str, port: int = 53) -> str | None:
    """The first IPv4 address that a name server tells for a name, or None when it tells none or does not answer."""
    number = secrets.token_bytes(2)
    answer = _asked(server, port, _question(number, name, _A))
    try:
        return _first_address(answer) if answer[:2] == number else None
    except (IndexError, struct.error, OSError):
        return None


def tells_time(server: str, port: int = 123) -> bool:
    """A time server answers in the mode of one, with a time of its own: a stratum (RFC 5905, 7.3) from 1 to 15."""
    answer = _asked(server, port, bytes([_CLIENT]) + secrets.token_bytes(_TIME_BYTES - 1))
    return len(answer) >= _TIME_BYTES and answer[0] & _MODE == _SERVER and 0 < answer[1] < 16


def _asked(server: str, port: int, question: bytes) -> bytes:
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as wire:
            wire.settimeout(LIMIT_S)
            wire.connect((server, port))
            wire.send(question)
            return wire.recv(4096)
    except OSError:
        return b""


def _question(number: bytes, name: str, kind: int) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label)
    return number + struct.pack(">HHHHH", 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, _INTERNET)


def _first_address(answer: bytes) -> str | None:
    _, _, questions, answers, _, _ = _HEADER.unpack_from(answer)
    at = _HEADER.size
    for _ in range(questions):
        at = _behind_name(answer, at) + 4
    for _ in range(answers):
        at = _behind_name(answer, at)
        kind, _, _, length = _RECORD.unpack_from(answer, at)
        at += _RECORD.size
        if kind == _A and length == 4:
            return socket.inet_ntoa(answer[at : at + length])
        at += length
    return None


def _behind_name(answer: bytes, at: int) -> int:
    while answer[at] and answer[at] < _POINTER:
        at += answer[at] + 1
    return at + (2 if answer[at] >= _POINTER else 1)
