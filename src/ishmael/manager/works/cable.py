"""The internal network is for the cable alone: what else on a machine has addresses of it."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable

from ishmael.manager.ports.network import Nic, Route
from ishmael.words.errors import Finding
from ishmael.words.settings import CABLE_HINT


def overlapping(
    internal: ipaddress.IPv4Network, nics: Iterable[Nic], routes: Iterable[Route], nic: str, own: Collection[str]
) -> str:
    """What overlaps the internal network on a machine, in words; empty when nothing does.

    Args:
        internal: that network.
        nics, routes: of the machine.
        nic: the one with the cable.
        own: interfaces of the cluster's two networks, whose addresses are judged elsewhere.
    """
    found = [
        f"the network {interface.network} of {each.name}"
        for each in nics
        for interface in each.interfaces
        if each.name not in own and interface.network.overlaps(internal)
    ]
    for route in routes:
        destination = ipaddress.IPv4Network(route.destination)
        if route.nic != nic and destination.prefixlen and destination.overlaps(internal):
            found.append(f"the route to {destination} over {route.nic}")
    return " and ".join(dict.fromkeys(found))


def overlaps(field: str, message: str) -> Finding:
    """What is said of it."""
    return Finding(field, "internal-network-overlaps", message, CABLE_HINT)
