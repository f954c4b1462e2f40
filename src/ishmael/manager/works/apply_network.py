"""Apply network: addresses of the two interfaces and the host name, taken back unless the admin confirms in time."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from ishmael.manager.appliance import kept, network, placing
from ishmael.manager.appliance.shape import File
from ishmael.manager.ports.hands import Hands
from ishmael.manager.works.base import Arguments, Notes, Step
from ishmael.words import places
from ishmael.words.errors import Finding, HostFault, RequestRefused

CONFIRM_S = 60.0
KEPT = "keep"
"""Name of the note by which a waiting job learns what the admin said: true or false."""
_LOOK_S = 0.25
_OTHERS = {
    "ifupdown": "Take its `iface` lines out of /etc/network/interfaces and enable systemd-networkd: wiki.debian.org/SystemdNetworkd",
    "NetworkManager": "Servers are better off with systemd-networkd: wiki.debian.org/SystemdNetworkd",
    "nobody": "Enable it: systemctl enable --now systemd-networkd",
}


class ApplyNetwork:
    """The work.

    Args:
        hands: ports to look and act with.
        raw: phone_nic, phone_address, internal_nic, internal_address; optional gateway, dns (list), host_name.
        notes: what the job remembers.
    """

    name = "apply-network"

    def __init__(self, hands: Hands, raw: Mapping[str, Any], notes: Notes) -> None:
        given = Arguments(raw)
        self._hands, self._notes = hands, notes
        self._plan = network.Plan(
            given.text("phone_nic"), given.text("phone_address"), given.text("internal_nic"),
            given.text("internal_address"), given.text("gateway", ""), given.texts("dns"),
            given.text("host_name", "").lower(),
        )  # fmt: skip
        given.close()

    # What stands against it

    def check(self) -> list[Finding]:
        """All findings; nothing is touched."""
        if self._hands.files.read(places.SETTINGS) is not None:
            message = "Network interfaces and host name are locked while this node belongs to a cluster."
            hint = "On the slave: remove it, change it, add it again. On the master: hand over first, then the same."
            return [Finding("", "locked-by-cluster", message, hint)]
        nics = {nic.name: nic for nic in self._hands.network.nics()}
        findings = network.objections(self._plan, nics)
        for field, nic in (("phone_nic", self._plan.phone_nic), ("internal_nic", self._plan.internal_nic)):
            keeper = self._hands.network.manager_of(nic) if nic in nics else "networkd"
            if keeper != "networkd":
                message = f"{nic} is not managed by systemd-networkd but by {keeper}; Ishmael does not fight over it."
                findings.append(Finding(field, "network-managed-elsewhere", message, _OTHERS.get(keeper, "")))
        if not findings:
            findings += self._taken()
        return findings

    def _taken(self) -> list[Finding]:
        """A new address that another machine has."""
        findings = []
        wanted = (("phone_address", self._plan.phone_nic, self._plan.phone_address),
                  ("internal_address", self._plan.internal_nic, self._plan.internal_address))  # fmt: skip
        for field, nic, text in wanted:
            address = str(ipaddress.IPv4Interface(text).ip)
            if any(own.holds(address) for own in self._hands.network.nics()):
                continue
            mac = self._hands.network.arp(nic, address)
            if mac is not None:
                message = f"The address {address} is taken: {mac} answers for it on {nic}."
                findings.append(Finding(field, "address-taken", message, "Choose a free address, or free this one."))
        return findings

    def facts(self) -> Mapping[str, Any]:
        """The difference, and how long there is to confirm."""
        nics = {nic.name: nic for nic in self._hands.network.nics()}
        if any(not finding.overridable for finding in network.objections(self._plan, nics)):
            return {}
        return {"diff": kept.difference(self._hands, self._files(), []), "confirm_within_s": CONFIRM_S}

    # What is done

    def _files(self) -> dict[str, File]:
        files = network.files_of(self._plan)
        if self._plan.host_name and self._plan.host_name != (self._notes.get("name_before") or self._hands.host.name()):
            hosts = (self._hands.files.read(places.HOSTS) or b"").decode(errors="replace")
            files[places.HOSTS] = File(network.hosts_with(hosts, self._plan.host_name).encode())
        return files

    def steps(self) -> Sequence[Step]:
        """The steps in their order."""
        return [
            Step("keep what is there", lambda: bool(self._notes.get("kept")), self._keep),
            Step("set the addresses", lambda: bool(self._notes.get("placed")), self._place, self._back),
            Step("wait until it is confirmed", lambda: self._notes.get(KEPT) is True and self._holds(), self._wait),
        ]

    def _keep(self) -> None:
        files = self._hands.files
        wanted = self._files()
        before = {path: (files.read(path), files.mode(path) or 0o644) for path in wanted}
        files.write(places.NETWORK_UNDO, kept.pack(before), 0o600)
        self._notes.put("name_before", self._hands.host.name())
        used = (self._plan.phone_nic, self._plan.internal_nic)
        nics = [nic for nic in self._hands.network.nics() if nic.name in used]
        self._notes.put("addresses_before", {nic.name: list(nic.addresses) for nic in nics})
        self._notes.put("kept", True)

    def _place(self) -> None:
        # Noted before anything changes: after a power cut in the middle the time is over, and the old state comes back.
        self._notes.put("until", [self._boot(), self._hands.clock.now_s() + CONFIRM_S])
        for path, file in self._files().items():
            self._hands.files.write(path, file.data, file.mode)
        wanted = {
            self._plan.phone_nic: [self._plan.phone_address],
            self._plan.internal_nic: [self._plan.internal_address],
        }
        self._load(self._plan.host_name, wanted)
        self._notes.put("placed", True)

    def _load(self, host_name: str, wanted: Mapping[str, Sequence[str]]) -> None:
        """networkd keeps what it finds on an interface, as it must for the cluster IP: what is not wanted is taken away here."""
        self._hands.network.reconfigure((self._plan.phone_nic, self._plan.internal_nic))
        for nic in self._hands.network.nics():
            for address in nic.addresses if nic.name in wanted else ():
                if address not in wanted[nic.name]:
                    self._hands.network.drop(nic.name, address)
        if host_name and host_name != self._hands.host.name():
            self._hands.host.set_name(host_name)

    def _back(self) -> None:
        raw = self._hands.files.read(places.NETWORK_UNDO)
        if raw is None:
            return
        for path, was in kept.unpack(raw).items():
            placing.give_back(self._hands, path, was)
        self._load(str(self._notes.get("name_before") or ""), self._notes.get("addresses_before") or {})
        self._hands.files.remove(places.NETWORK_UNDO)

    def _wait(self) -> None:
        boot, until_s = self._notes.get("until") or ("", 0.0)
        while (said := self._notes.get(KEPT)) is None:
            left_s = until_s - self._hands.clock.now_s()
            if boot != self._boot() or not 0 < left_s <= CONFIRM_S:
                hint = "Do it again, and confirm at the new address: `ishmael network confirm`, or in the browser."
                message = f"Nobody confirmed the new network settings within {CONFIRM_S:.0f} s: the old ones are back."
                raise RequestRefused("not-confirmed-in-time", message, hint)
            self._notes.count(round(CONFIRM_S - left_s), round(CONFIRM_S), "seconds")
            self._hands.clock.sleep(_LOOK_S)
        if not said:
            raise RequestRefused("not-kept", "The new network settings were taken back as you wished.", "")
        if not self._holds():
            raise HostFault(
                "network-not-applied", "The interfaces do not have the addresses that were set: the old ones are back.",
                "See: networkctl status; journalctl -u systemd-networkd",
            )  # fmt: skip

    def _holds(self) -> bool:
        nics = {nic.name: nic for nic in self._hands.network.nics()}
        wanted = (
            (self._plan.phone_nic, self._plan.phone_address),
            (self._plan.internal_nic, self._plan.internal_address),
        )
        return all(nic in nics and text in nics[nic].addresses for nic, text in wanted)

    def _boot(self) -> str:
        return (self._hands.files.read(places.BOOT_ID) or b"").decode().strip()

    def result(self) -> Mapping[str, Any]:
        """What holds now."""
        self._hands.files.remove(places.NETWORK_UNDO)
        return {"host_name": self._hands.host.name(), "phone_address": self._plan.phone_address,
                "internal_address": self._plan.internal_address}  # fmt: skip
