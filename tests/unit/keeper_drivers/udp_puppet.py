"""A program on a host that speaks UDP from an address it is bound to."""

from __future__ import annotations

import socket

from keeper_drivers.world import serve

_IP_FREEBIND = 15
talker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
talker.settimeout(5)


def bind(ip: str) -> None:
    """Bind to an address, be it there or not."""
    talker.setsockopt(socket.SOL_IP, _IP_FREEBIND, 1)
    talker.bind((ip, 5060))


def send(ip: str) -> None:
    """Send something there."""
    talker.sendto(b"hello", (ip, 5060))


def receive() -> str:
    """Where the next datagram came from."""
    return str(talker.recvfrom(99)[1][0])


if __name__ == "__main__":
    serve({f.__name__: f for f in (bind, send, receive)})
