"""Network interfaces (NICs), routes and neighbours of this machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Nic:
    """One network interface.

    Args:
        name: as the kernel calls it.
        mac: hardware address, lower case.
        up: switched on.
        carrier: the cable is plugged in and something answers at its other end.
        addresses: IPv4 addresses with prefix length (``192.168.1.11/24``).
    """

    name: str
    mac: str
    up: bool
    carrier: bool
    addresses: tuple[str, ...]

    @property
    def interfaces(self) -> tuple[ipaddress.IPv4Interface, ...]:
        """The addresses, parsed."""
        return tuple(ipaddress.IPv4Interface(address) for address in self.addresses)

    def holds(self, address: str) -> bool:
        """It has this address."""
        return any(str(own.ip) == address for own in self.interfaces)


@dataclass(frozen=True, slots=True)
class Route:
    """One route: destination (``0.0.0.0/0`` is the default), gateway if there is one, NIC."""

    destination: str
    gateway: str | None
    nic: str


def nic_from_mapping(raw: Mapping[str, Any]) -> Nic:
    """A NIC from JSON values, as the other node tells it.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    nic = Nic(
        str(raw["name"]), str(raw["mac"]).lower(), bool(raw["up"]), bool(raw["carrier"]),
        tuple(str(address) for address in raw["addresses"]),
    )  # fmt: skip
    assert nic.interfaces is not None
    return nic


def route_from_mapping(raw: Mapping[str, Any]) -> Route:
    """A route from JSON values, as the other node tells it.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    gateway = raw["gateway"]
    destination = str(ipaddress.IPv4Network(raw["destination"]))
    return Route(destination, None if gateway is None else str(gateway), str(raw["nic"]))


class Network(Protocol):
    """What the kernel knows about the networks."""

    def nics(self) -> tuple[Nic, ...]:
        """All NICs but the loopback."""
        ...

    def routes(self) -> tuple[Route, ...]:
        """All IPv4 routes of the main table."""
        ...

    def manager_of(self, nic: str) -> str:
        """Who sets this NIC up: ``networkd``, ``ifupdown``, ``NetworkManager``, or ``nobody``."""
        ...

    def speed_mbit(self, nic: str) -> int | None:
        """Speed of the link in Mbit/s, or None while it has none."""
        ...

    def reconfigure(self, nics: tuple[str, ...]) -> None:
        """systemd-networkd reads its files anew and sets these NICs up by them.

        Raises:
            HostFault: it refuses.
        """
        ...

    def drop(self, nic: str, address: str) -> None:
        """Take an address (with prefix length) away from a NIC; nothing when it is not there."""
        ...

    def arp(self, nic: str, address: str, *, sender: str | None = None) -> str | None:
        """Ask who has an address.

        Args:
            nic: where to ask.
            address: whom to ask for.
            sender: own address to ask with; None makes it a probe (RFC 5227), which announces nothing.

        Returns:
            The hardware address of the one who answered, or None after all retries.
        """
        ...

    def sysctl(self, name: str) -> str:
        """One kernel switch, such as ``net.ipv4.ip_nonlocal_bind``."""
        ...

    def set_sysctl(self, name: str, value: str) -> None:
        """Set one kernel switch until the next boot."""
        ...
