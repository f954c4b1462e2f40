"""A stand-in keeper on a host: follows Corosync and writes down when it saw what."""

from __future__ import annotations

import selectors
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ishmael.keeper.corosync import ConnectionLost, Corosync, MessageArrived, QuorumChanged, ViewChanged
from keeper_drivers.world import serve

corosync = Corosync("ishmael")
selector = selectors.DefaultSelector()
watched: list[int] = []
seen: list[tuple[int, Any]] = []


def connect() -> dict[str, Any]:
    """One attempt, timed."""
    start = time.monotonic_ns()
    connected = corosync.connect()
    took_ms = (time.monotonic_ns() - start) / 1e6
    for fd in corosync.fds() if connected else ():
        if fd not in watched:
            selector.register(fd, selectors.EVENT_READ)
            watched.append(fd)
    return {"connected": connected, "took_ms": took_ms, "node": corosync.node_id}


def follow(wait_ms: int, stop_at: str = "") -> list[dict[str, Any]]:
    """Dispatch until an event of the kind ``stop_at`` came, or ``wait_ms`` have passed."""
    end = time.monotonic() + wait_ms / 1000
    found: list[dict[str, Any]] = []
    while (left_s := end - time.monotonic()) > 0 and not any(one["kind"] == stop_at for one in found):
        selector.select(left_s)
        start = time.monotonic_ns()
        for event in corosync.dispatch():
            found.append(
                told(event) | {"at_ns": time.monotonic_ns(), "dispatch_ms": (time.monotonic_ns() - start) / 1e6}
            )
            if isinstance(event, ConnectionLost):
                for fd in watched:
                    selector.unregister(fd)
                watched.clear()
                return found
    return found


def told(event: Any) -> dict[str, Any]:
    """An event as JSON values."""
    match event:
        case ViewChanged():
            left = [[one.node, one.reason] for one in event.left]
            return {"kind": "view", "members": sorted(event.members), "joined": sorted(event.joined), "left": left}
        case MessageArrived():
            return {"kind": "message", "sender": event.sender, "payload": event.payload.decode()}
        case QuorumChanged():
            return {"kind": "quorum", **asdict(event)}
        case _:
            return {"kind": "lost", "reason": event.reason}


def send(text: str) -> dict[str, Any]:
    """Send once, timed."""
    start = time.monotonic_ns()
    sent = corosync.send(text.encode())
    return {"sent": sent, "took_ms": (time.monotonic_ns() - start) / 1e6, "unanswered": corosync.unanswered}


def flood(count: int) -> dict[str, Any]:
    """Send many without reading; how many went, and how long the slowest took."""
    all_sent = [send("flood") for _ in range(count)]
    return {"sent": sum(one["sent"] for one in all_sent), "slowest_ms": max(one["took_ms"] for one in all_sent)}


def echo(count: int) -> list[float]:
    """Send, wait for the own delivery, and again: the round trips in ms."""
    trips: list[float] = []
    for number in range(count):
        start = time.monotonic_ns()
        assert corosync.send(b"echo %d" % number)
        while not any(
            isinstance(event, MessageArrived) and event.sender == corosync.node_id for event in corosync.dispatch()
        ):
            selector.select(1)
        trips.append((time.monotonic_ns() - start) / 1e6)
    return trips


def close() -> float:
    """Close, timed."""
    start = time.monotonic_ns()
    for fd in watched:
        selector.unregister(fd)
    watched.clear()
    corosync.close()
    return (time.monotonic_ns() - start) / 1e6


def memory() -> int:
    """Proportional set size of this process, in KiB."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    serve({f.__name__: f for f in (connect, follow, send, flood, echo, close, memory)})
