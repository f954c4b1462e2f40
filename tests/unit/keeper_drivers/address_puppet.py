"""Holds an address lease on a host, and watches the host's network."""

from __future__ import annotations

import select
import time
from typing import Any

from ishmael.keeper.address import AddressLease
from ishmael.keeper.netlink import LinkChanged, NetworkWatch
from keeper_drivers.world import serve

leases: dict[str, AddressLease] = {}
watches: dict[str, NetworkWatch] = {}


def lease(name: str, *arguments: Any) -> Any:
    """Call a method of the lease on ``phone0``; the answer, or the name of the error."""
    if not leases:
        leases["phone0"] = AddressLease("phone0", "10.77.0.10", 1)
    try:
        return getattr(leases["phone0"], name)(*arguments)
    except OSError as error:
        return error.strerror


def timed(name: str, count: int) -> float:
    """The median time of a lease's method, in ms."""
    took: list[float] = []
    for _ in range(count):
        start = time.perf_counter_ns()
        lease(name)
        took.append((time.perf_counter_ns() - start) / 1e6)
    return sorted(took)[count // 2]


def watch() -> bool:
    """Begin to watch ``phone0``; whether it is up."""
    watches["phone0"] = NetworkWatch(("phone0",))
    return watches["phone0"].is_up("phone0")


def news(wait_ms: int) -> list[list[Any]]:
    """What the watch tells, as soon as it tells anything, with the time in ns."""
    end = time.monotonic() + wait_ms / 1000
    while (left_s := end - time.monotonic()) > 0:
        select.select([watches["phone0"]], [], [], left_s)
        changes = watches["phone0"].read()
        if changes:
            at_ns = time.monotonic_ns()
            return [
                ["link", one.up, at_ns] if isinstance(one, LinkChanged) else ["gone", one.ip, at_ns] for one in changes
            ]
    return []


if __name__ == "__main__":
    serve({f.__name__: f for f in (lease, timed, watch, news)})
