"""Counting what passes a node's network cards, from outside, and finding out whose it is."""

from __future__ import annotations

import ctypes
import os
import re
import select
import socket
import struct
import threading
from collections import Counter

from ishmael.lab.node import Node

_CLONE_NEWNET = 0x40000000
_ETH_P_ALL = 0x0003
_ARP, _IPV4 = 0x0806, 0x0800
_PACKET_OUTGOING = 4
_NAMED = {1: "icmp", 2: "igmp", 112: "vrrp"}
_TCP, _UDP = 6, 17
_SNAP = 64


def socket_inside(netns: str) -> socket.socket:
    """A packet socket (packet(7), without link headers) that lives in another network namespace (setns(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    other = os.open(f"/run/netns/{netns}", os.O_RDONLY)
    try:
        if libc.setns(other, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {netns}")
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        if libc.setns(own, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns back")
    finally:
        os.close(own)
        os.close(other)
    return sock


def kind_of(protocol: int, data: bytes, *, outgoing: bool) -> str:
    """What a packet is: ``arp``, ``vrrp``, ``udp:PORT`` with the node's own port, and the like."""
    if protocol == _ARP:
        return "arp"
    if protocol != _IPV4 or len(data) < 20:
        return "other"
    number = data[9]
    if number not in (_TCP, _UDP):
        return _NAMED.get(number, "other")
    at = (data[0] & 15) * 4
    if len(data) < at + 4:
        return "other"
    source, target = struct.unpack_from("!HH", data, at)
    return f"{'tcp' if number == _TCP else 'udp'}:{source if outgoing else target}"


class Tap:
    """Counts the packets of a node's cards, but its loopback, until stopped.

    Args:
        netns: the node's network namespace.
    """

    def __init__(self, netns: str) -> None:
        self._socket = socket_inside(netns)
        self._counted: Counter[tuple[str, str]] = Counter()
        self._wake, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._socket, self._end], [], [])
            if self._end in ready:
                return
            data, (nic, protocol, packet_type, *_) = self._socket.recvfrom(_SNAP)
            outgoing = packet_type == _PACKET_OUTGOING
            if nic != "lo":
                kind = kind_of(protocol, data, outgoing=outgoing)
                self._counted[kind, "out" if outgoing else "in"] += 1

    def stop(self) -> Counter[tuple[str, str]]:
        """Stop counting.

        Returns:
            Packets by kind and direction (``out``, ``in``).
        """
        self._wake.send(b"x")
        self._thread.join(5)
        for sock in (self._socket, self._wake, self._end):
            sock.close()
        return self._counted


_OWNER = re.compile(r'users:\(\("([^"]+)"')


def owners(node: Node) -> dict[str, str]:
    """The program that owns each port of a node now, by ``udp:PORT`` or ``tcp:PORT`` (ss(8))."""
    found = {}
    for line in node.say(["ss", "-Hntuap"]).splitlines():
        words = line.split()
        owner = _OWNER.search(line)
        if len(words) > 5 and owner is not None:
            found[f"{words[0]}:{words[4].rpartition(':')[2]}"] = owner[1]
    return found
