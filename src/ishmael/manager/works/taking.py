"""Holding the cluster IP as a machine's own address, after a reset whose partner is lost: the telephones go on."""

from __future__ import annotations

from dataclasses import dataclass

from ishmael.manager.ports.hands import Hands
from ishmael.words import places
from ishmael.words.errors import Finding

ADDRESS_UNIT = "ishmael-address.service"


@dataclass(frozen=True, slots=True)
class Taken:
    """An address to be held at every boot.

    Args:
        address: the former cluster IP.
        prefix: its length, in bits.
        nic: where it is held.
    """

    address: str
    prefix: int
    nic: str

    def text(self) -> str:
        """As it stands in the file: ``192.168.1.10/24 eth0``."""
        return f"{self.address}/{self.prefix} {self.nic}"

    @staticmethod
    def from_text(text: str) -> Taken:
        """Read it back.

        Raises:
            ValueError: it is none.
        """
        interface, nic = text.split()
        address, prefix = interface.split("/")
        return Taken(address, int(prefix), nic)

    def holder(self, hands: Hands) -> str | None:
        """The hardware address of somebody else who holds the address, or None (an ARP probe, RFC 5227)."""
        return hands.network.arp(self.nic, self.address)

    def is_held(self, hands: Hands) -> bool:
        """This machine holds it, and will after a boot."""
        nic = next((nic for nic in hands.network.nics() if nic.name == self.nic), None)
        noted = hands.files.read(places.TAKEN_ADDRESS) == self.text().encode() + b"\n"
        return noted and hands.services.enabled(ADDRESS_UNIT) and nic is not None and nic.holds(self.address)

    def take(self, hands: Hands) -> None:
        """Hold it, now and at every boot."""
        hands.files.write(places.TAKEN_ADDRESS, self.text().encode() + b"\n", 0o644)
        if not hands.services.enabled(ADDRESS_UNIT):
            hands.services.enable(ADDRESS_UNIT)
        hands.services.restart(ADDRESS_UNIT)


def cluster_ip_taken(taken: Taken, holder: str) -> Finding:
    """Somebody serves there."""
    message = f"The cluster IP {taken.address} is taken: {holder} answers for it on {taken.nic}."
    return Finding("take_cluster_ip", "cluster-ip-taken", message, "Reset without taking it: the other node serves.")
