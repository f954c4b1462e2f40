"""An ARP port and an ear on a host's NICs."""

from __future__ import annotations

import select
import time
from dataclasses import asdict
from typing import Any

from ishmael.keeper.arp import ArpPort, PeerEar
from keeper_drivers.world import serve

ports: dict[str, ArpPort] = {}
ears: dict[str, PeerEar] = {}


def port(nic: str) -> ArpPort:
    """The NIC's port, opened when first asked for."""
    if nic not in ports:
        ports[nic] = ArpPort(nic)
    return ports[nic]


def call(nic: str, name: str, *arguments: Any) -> Any:
    """Call a method of the NIC's port; frames are thrown away."""
    answer = getattr(port(nic), name)(*arguments)
    return None if name == "read" else answer


def frames(nic: str, wait_ms: int) -> list[dict[str, Any]]:
    """The frames that came, as soon as any did."""
    end = time.monotonic() + wait_ms / 1000
    while (left_s := end - time.monotonic()) > 0:
        select.select([port(nic)], [], [], left_s)
        found = port(nic).read()
        if found:
            return [asdict(one) for one in found]
    return []


def round_trip(nic: str, target_ip: str, source_ip: str, count: int) -> list[float]:
    """Ask and wait for the answer; the times in ms."""
    trips: list[float] = []
    for _ in range(count):
        start = time.perf_counter_ns()
        assert port(nic).ask(target_ip, source_ip)
        assert frames(nic, 1000)
        trips.append((time.perf_counter_ns() - start) / 1e6)
    return trips


def ear(nic: str, peer_mac: str) -> None:
    """Listen for the peer."""
    ears[nic] = PeerEar(nic, peer_mac)


def heard(nic: str, wait_ms: int) -> bool:
    """Whether anything came within the time."""
    select.select([ears[nic]], [], [], wait_ms / 1000)
    return ears[nic].heard()


if __name__ == "__main__":
    serve({f.__name__: f for f in (call, frames, round_trip, ear, heard)})
