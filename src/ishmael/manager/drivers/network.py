"""NICs and routes by ip(8), neighbours by ARP on a packet socket (RFC 826, RFC 5227), switches in /proc/sys."""

from __future__ import annotations

import json
import select
import socket
import struct
import time
from pathlib import Path
from typing import Any

from ishmael.manager.drivers.programs import run, words_of
from ishmael.manager.ports.network import Nic, Route
from ishmael.words.errors import HostFault

_ETH_P_ARP = 0x0806
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ETHERNET = struct.Struct("!6s6sH")
_REQUEST = 1
_BROADCAST = b"\xff" * 6
_TRIES = 4
_TRY_S = 0.3
_INTERFACES, _INTERFACES_D = Path("/etc/network/interfaces"), Path("/etc/network/interfaces.d")


class KernelNetwork:
    """The networks of this machine."""

    def _ip(self, *arguments: str) -> list[dict[str, Any]]:
        done = run(["ip", "-json", *arguments])
        if done.returncode:
            raise HostFault(
                "network-unreadable", f"ip {' '.join(arguments)} failed: {words_of(done)}.", "Is iproute2 installed?"
            )
        rows: list[dict[str, Any]] = json.loads(done.stdout or b"[]")
        return rows

    def nics(self) -> tuple[Nic, ...]:
        """All NICs with a hardware address."""
        found = []
        for row in self._ip("address", "show"):
            if row.get("link_type") != "ether":
                continue
            addresses = tuple(
                f"{a['local']}/{a['prefixlen']}" for a in row.get("addr_info", ()) if a.get("family") == "inet"
            )
            flags = row.get("flags", [])
            found.append(Nic(row["ifname"], row["address"].lower(), "UP" in flags, "LOWER_UP" in flags, addresses))
        return tuple(found)

    def routes(self) -> tuple[Route, ...]:
        """All unicast IPv4 routes of the main table."""
        found = []
        for row in self._ip("-4", "route", "show", "table", "main"):
            if "dev" not in row or row.get("type", "unicast") != "unicast":
                continue
            destination = "0.0.0.0/0" if row["dst"] == "default" else row["dst"]
            found.append(
                Route(destination if "/" in destination else f"{destination}/32", row.get("gateway"), row["dev"])
            )
        return tuple(found)

    def manager_of(self, nic: str) -> str:
        """By what runs, and by Debian's /etc/network/interfaces (interfaces(5))."""
        if any(_names(path, nic) for path in (_INTERFACES, *sorted(_INTERFACES_D.glob("*")))):
            return "ifupdown"
        if _active("NetworkManager.service"):
            return "NetworkManager"
        return "networkd" if _active("systemd-networkd.service") else "nobody"

    def speed_mbit(self, nic: str) -> int | None:
        """As the driver says; virtual NICs say nothing, or -1."""
        try:
            found = int((Path("/sys/class/net") / nic / "speed").read_text())
        except (OSError, ValueError):
            return None
        return found if found > 0 else None

    def reconfigure(self, nics: tuple[str, ...]) -> None:
        """networkctl(1)."""
        for words in (["networkctl", "reload"], ["networkctl", "reconfigure", *nics]):
            done = run(words)
            if done.returncode:
                message = f"{' '.join(words)} failed: {words_of(done)}."
                raise HostFault("network-not-applied", message, "See: journalctl -u systemd-networkd")

    def drop(self, nic: str, address: str) -> None:
        """ip-address(8)."""
        run(["ip", "address", "delete", address, "dev", nic])

    def arp(self, nic: str, address: str, *, sender: str | None = None) -> str | None:
        """Ask who has an address: four times, 0.3 s apart."""
        target = socket.inet_aton(address)
        own_ip = socket.inet_aton(sender) if sender else b"\0" * 4
        try:
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ARP)) as wire:
                wire.bind((nic, _ETH_P_ARP))
                own_mac = wire.getsockname()[4]
                frame = _ETHERNET.pack(_BROADCAST, own_mac, _ETH_P_ARP)
                frame += _ARP.pack(1, 0x0800, 6, 4, _REQUEST, own_mac, own_ip, b"\0" * 6, target)
                for _ in range(_TRIES):
                    wire.send(frame)
                    holder = _listen(wire, target, own_mac)
                    if holder is not None:
                        return holder
        except OSError as error:
            raise HostFault(
                "arp-failed", f"ARP on {nic} failed: {error.strerror}.", f"See: ip link show {nic}"
            ) from error
        return None

    def sysctl(self, name: str) -> str:
        """One kernel switch."""
        try:
            return _switch(name).read_text().strip()
        except OSError as error:
            raise HostFault(
                "switch-missing", f"The kernel switch {name} cannot be read: {error.strerror}.", ""
            ) from error

    def set_sysctl(self, name: str, value: str) -> None:
        """Set one kernel switch until the next boot."""
        try:
            _switch(name).write_text(value)
        except OSError as error:
            raise HostFault(
                "switch-refused", f"The kernel switch {name} cannot be set: {error.strerror}.",
                f"In a container, the host has to allow it: sysctl -w {name}={value}",
            ) from error  # fmt: skip


def _active(unit: str) -> bool:
    return run(["systemctl", "is-active", "--quiet", "--", unit]).returncode == 0


def _names(path: Path, nic: str) -> bool:
    """The file sets this NIC up; ``manual`` leaves it alone."""
    try:
        lines = [line.split() for line in path.read_text(errors="replace").splitlines()]
    except OSError:
        return False
    return any(words[:2] == ["iface", nic] and words[-1:] != ["manual"] for words in lines)


def _switch(name: str) -> Path:
    return Path("/proc/sys") / name.replace(".", "/")


def _listen(wire: socket.socket, target: bytes, own_mac: bytes) -> str | None:
    """The hardware address that speaks for the target, heard within one try."""
    deadline_s = time.monotonic() + _TRY_S
    while (left_s := deadline_s - time.monotonic()) > 0:
        if not select.select([wire], [], [], left_s)[0]:
            continue
        frame = wire.recv(128)
        if len(frame) < _ETHERNET.size + _ARP.size:
            continue
        *_, mac, speaker, _, _ = _ARP.unpack_from(frame, _ETHERNET.size)
        if speaker == target and mac != own_mac:
            return str(mac.hex(":"))
    return None
