"""The sampler: asks both nodes' kernels every few milliseconds whether they hold the cluster IP.

Run as ``python -m ishmael.lab.holders``; stopped by the end of its standard input. It opens one netlink socket inside each
node's namespace (setns(2)) and asks from outside, so it works whatever the node's own programs do. A node whose machine is
off holds nothing, even while its namespace still exists.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

SECONDS_MAX = 600.0
READY = "ready"
"""The line said when sampling begins."""
_CLONE_NEWNET = 0x40000000
_RTM_GETADDR, _RTM_NEWADDR, _NLMSG_DONE = 22, 20, 3
_REQUEST_DUMP = 0x301
_HEADER = struct.Struct("=IHHII")
_IFADDRMSG = struct.Struct("=BBBBI")
_IFA_LOCAL = 2
_PF_EXITING = 4
"""Flag of a task that is on its way out (linux/sched.h)."""


@dataclass
class Watched:
    """One node: a netlink socket inside its namespace, the process that is its machine, and the samples.

    ``spans`` are [from, to] in seconds of CLOCK_MONOTONIC during which every sample said that it holds the address.
    """

    name: str
    init: Path
    sock: socket.socket
    holds: bool = False
    spans: list[list[float]] = field(default_factory=list)


def _socket_inside(netns: str) -> socket.socket:
    """A route netlink socket that lives in another network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    other = os.open(f"/run/netns/{netns}", os.O_RDONLY)
    try:
        if libc.setns(other, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {netns}")
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        if libc.setns(own, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns back")
    finally:
        os.close(own)
        os.close(other)
    return sock


def _holds(sock: socket.socket, address: bytes) -> bool:
    """Dump the IPv4 addresses (rtnetlink(7)) and look for one."""
    body = _IFADDRMSG.pack(socket.AF_INET, 0, 0, 0, 0)
    sock.send(_HEADER.pack(_HEADER.size + len(body), _RTM_GETADDR, _REQUEST_DUMP, 1, 0) + body)
    found = False
    while True:
        data = sock.recv(65536)
        at = 0
        while at + _HEADER.size <= len(data):
            length, kind = struct.unpack_from("=IH", data, at)
            if kind == _NLMSG_DONE:
                return found
            if kind == _RTM_NEWADDR:
                found = found or _local(data[at + _HEADER.size + _IFADDRMSG.size : at + length]) == address
            at += (length + 3) & ~3


def _local(attributes: bytes) -> bytes:
    at = 0
    while at + 4 <= len(attributes):
        length, kind = struct.unpack_from("=HH", attributes, at)
        if kind == _IFA_LOCAL:
            return attributes[at + 4 : at + length]
        at += max(4, (length + 3) & ~3)
    return b""


def _alive(init: Path) -> bool:
    """Whether the machine runs: its first process exists and is neither a corpse nor being killed (proc(5), stat).

    It may take the kernel a while to end all processes of a machine that has lost its power; none of them runs any more.
    """
    try:
        fields = init.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return bool(fields) and fields[0] not in "ZX" and not int(fields[6]) & _PF_EXITING


def _sample(node: Watched, address: bytes) -> None:
    now = time.monotonic()
    holds = _alive(node.init) and _holds(node.sock, address)
    if holds and node.holds:
        node.spans[-1][1] = now
    elif holds:
        node.spans.append([now, now])
    node.holds = holds


def both_ms(spans: list[list[list[float]]]) -> float:
    """Milliseconds during which the spans of both nodes overlap."""
    if len(spans) != 2:
        return 0.0
    first, second = spans
    overlap_s = sum(max(0.0, min(a[1], b[1]) - max(a[0], b[0])) for a in first for b in second)
    return overlap_s * 1000


def main() -> None:
    """The command line of the sampler's process: NAME=NETNS=PID for each node."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("nodes", nargs="+", metavar="NAME=NETNS=PID")
    parser.add_argument("--every-ms", type=float, default=5.0)
    options = parser.parse_args()
    address = socket.inet_aton(options.address)
    nodes = []
    for word in options.nodes:
        name, netns, pid = word.split("=")
        nodes.append(Watched(name, Path(f"/proc/{pid}/stat"), _socket_inside(netns)))
    sys.stdout.write(READY + "\n")
    sys.stdout.flush()
    began = time.monotonic()
    due = began
    while time.monotonic() - began < SECONDS_MAX:
        for node in nodes:
            _sample(node, address)
        due = max(due + options.every_ms / 1000, time.monotonic())
        if select.select([0], [], [], max(0.0, due - time.monotonic()))[0]:
            break
    sys.stdout.write(json.dumps({node.name: node.spans for node in nodes}) + "\n")


if __name__ == "__main__":
    main()
