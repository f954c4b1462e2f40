"""Looking at the other node before anything is changed: is it the right one, and fit to be the slave?"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ishmael.manager.ports.hands import Hands
from ishmael.manager.ports.network import Nic, Route, nic_from_mapping, route_from_mapping
from ishmael.manager.ports.node import Peer
from ishmael.manager.works import cable, machine
from ishmael.manager.works.room import SPARE_BYTES, lacking
from ishmael.manager.works.set_up_master import corosync_missing, units_missing
from ishmael.manager.works.ssh_keys import PublicKey, read_public_key
from ishmael.manager.works.versions import bringing, not_kept
from ishmael.words.errors import Finding, IshmaelError, RequestRefused
from ishmael.words.roles import Role
from ishmael.words.settings import NodeSettings, Settings, check_settings
from ishmael.words.versions import OWN_PACKAGE

CLOCK_MS_MAX = 2000
_SERVING = (Role.MASTER, Role.TAKING, Role.HANDING)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The other node as the admin named it, or as it is remembered."""

    id: int
    name: str
    phone_ip: str
    internal_ip: str


@dataclass(frozen=True, slots=True)
class Met:
    """The other node as it was found: its entry in the settings, its host key, and what it told."""

    node: NodeSettings
    host_key: str
    hello: Mapping[str, Any]

    @property
    def peer(self) -> Peer:
        """How to reach it."""
        return Peer((self.node.internal_ip, self.node.phone_ip), self.host_key)

    @property
    def fingerprint(self) -> str:
        """Its host key as ``ssh-keygen -l`` shows it."""
        key = read_public_key(self.host_key)
        return key.fingerprint if isinstance(key, PublicKey) else "?"


class Meeting:
    """Meets the other node and collects all findings.

    Args:
        hands: ports to look with.
        settings: this cluster's settings.
        own: this node's entry in them.
        wanted: whom to meet.
        pinned: the host key it is known by, or None at first contact.
    """

    def __init__(self, hands: Hands, settings: Settings, own: NodeSettings, wanted: Wanted, pinned: str | None) -> None:
        self._hands, self._settings, self._own, self._wanted, self._pinned = hands, settings, own, wanted, pinned
        self.findings: list[Finding] = []

    def meet(self) -> Met | None:
        """Look at it; None when it could not be met, and ``findings`` says why."""
        self._check_inputs()
        if self.findings:
            return None
        host_key = self._host_key()
        if host_key is None:
            return None
        peer = Peer((self._wanted.internal_ip, self._wanted.phone_ip), host_key)
        units = machine.profile_units(machine.active_profile(self._hands))
        before_s = self._hands.host.wall_s()
        try:
            hello = self._hands.node.ask(peer, "hello", {"units": units})
            after_s = self._hands.host.wall_s()
            nics = [nic_from_mapping(raw) for raw in hello["nics"]]
            # A node that is older than this ask tells no routes.
            routes = [route_from_mapping(raw) for raw in hello.get("routes", ())]
            self._judge(hello, before_s, after_s)
            self._judge_versions(peer, hello)
            self.findings += lacking(self._hands, peer, str(hello["host_name"]))
        except IshmaelError as error:
            self._find("name", error.code, error.message, error.hint)
            return None
        except (KeyError, TypeError, ValueError) as error:
            self._find(
                "name",
                "peer-nonsense",
                f"{self._wanted.name} answered nonsense: {error!r}.",
                "Install the same version.",
            )
            return None
        node = self._node(nics, routes)
        return None if node is None else Met(node, host_key, hello)

    def _find(self, field: str, code: str, message: str, hint: str, *, overridable: bool = False) -> None:
        self.findings.append(Finding(field, code, message, hint, overridable, "peer"))

    def _refuse(self, field: str, code: str, message: str, hint: str) -> None:
        self.findings.append(Finding(field, code, message, hint))

    def _check_inputs(self) -> None:
        """What can be said without looking: names and addresses."""
        wanted, own = self._wanted, self._own
        placeholder = NodeSettings(
            wanted.id, wanted.name, wanted.phone_ip, own.phone_nic, "02:00:00:00:00:01",
            wanted.internal_ip, own.internal_nic, "02:00:00:00:00:02",
        )  # fmt: skip
        others = tuple(node for node in self._settings.nodes if node.id != wanted.id)
        self.findings += check_settings(self._settings.changed(nodes=(*others, placeholder)))

    def _host_key(self) -> str | None:
        wanted = self._wanted
        internal = self._hands.node.host_key(wanted.internal_ip)
        phone = self._hands.node.host_key(wanted.phone_ip)
        hint = "Is the machine on, are its SSH server and its network interface up, and is the address right?"
        if internal is None:
            message = f"No SSH server answers at {wanted.internal_ip} over the internal cable."
            self._find("internal_ip", "peer-unreachable", message, f"{hint} Is the cable plugged in?")
        if phone is None:
            message = f"No SSH server answers at {wanted.phone_ip} over the telephone network."
            self._find("phone_ip", "peer-unreachable", message, hint)
        if internal is None or phone is None:
            return None
        if internal != phone:
            message = f"{wanted.internal_ip} and {wanted.phone_ip} are two different machines."
            self._refuse("phone_ip", "two-machines", message, "Check both addresses, and whether cables are swapped.")
            return None
        if self._pinned is not None and self._pinned != internal:
            key = read_public_key(internal)
            shown = key.fingerprint if isinstance(key, PublicKey) else internal
            self.findings.append(
                Finding(
                    "name", "host-key-changed", f"{wanted.name} shows another SSH host key than before: {shown}.",
                    "If the machine was replaced or installed anew, compare it there (ssh-keygen -lf "
                    f"{machine.OWN_HOST_KEY}) and go on; else somebody is in between.",
                    overridable=True,
                )
            )  # fmt: skip
        return internal

    def _judge(self, hello: Mapping[str, Any], before_s: float, after_s: float) -> None:
        wanted, name = self._wanted, str(hello["host_name"])
        if name.lower() == self._own.name.lower():
            message = f"Both nodes are called {name}."
            self._refuse("name", "same-host-name", message, "Give one of them another host name, then try again.")
        elif name.lower() != wanted.name.lower():
            message = f"The machine at {wanted.internal_ip} is called {name}, not {wanted.name}."
            self._refuse("name", "other-host-name", message, f"Enter {name}, or correct the addresses.")
        if hello["architecture"] != self._hands.host.architecture():
            message = f"{name} is an {hello['architecture']} machine, this one {self._hands.host.architecture()}."
            self._find("name", "architecture-differs", message, "Both nodes have to be of one architecture.")
        self._judge_cluster(hello, name)
        # It looked at its clock at some time in between; on a busy machine that is a wide field.
        wall_s = float(hello["wall_s"])
        off_ms = max(before_s - wall_s, wall_s - after_s, 0.0) * 1000
        if off_ms > CLOCK_MS_MAX:
            message = f"The clocks differ by {off_ms / 1000:.1f} s."
            self._find(
                "name",
                "clock-differs",
                message,
                "Set up NTP on both nodes (systemd-timesyncd, chrony).",
                overridable=True,
            )
        if int(hello["disk_free_bytes"]) < SPARE_BYTES:
            message = f"{name} has only {int(hello['disk_free_bytes']) // 1_000_000} MB of free disk space."
            self._find("name", "disk-full", message, f"Free at least {SPARE_BYTES // 1_000_000} MB under /var/lib.")
        if not hello["corosync"]:
            self.findings.append(corosync_missing(name))
        self.findings += units_missing([str(unit) for unit in hello["missing_units"]], name)

    def _judge_versions(self, peer: Peer, hello: Mapping[str, Any]) -> None:
        """Other versions are no fault when this node can bring its own there."""
        name, own_version = str(hello["host_name"]), self._hands.host.version()
        try:
            found = bringing(self._hands, peer)
        except RequestRefused as error:
            if error.code != "unknown-op":
                raise
            message = f"{name} has Ishmael {hello['version']}, this node {own_version}."
            self._find("name", "version-differs", message, "Install the same version on both nodes.")
            return
        finding = not_kept(found, name)
        if finding is not None:
            self.findings.append(finding)
        elif hello["version"] != own_version and OWN_PACKAGE not in found.files:
            message = f"{name} runs Ishmael {hello['version']}, this node {own_version}."
            self._find("name", "version-differs", message, "Install the same version on both nodes.")

    def _judge_cluster(self, hello: Mapping[str, Any], name: str) -> None:
        cluster = hello["cluster"]
        if hello["role"] in _SERVING:
            message = f"{name} is serving as master of a cluster itself."
            self._refuse("name", "peer-is-master", message, "Reset it there first: ishmael reset")
        elif cluster is not None and cluster["public_key"] != machine.cluster_public_key(self._hands):
            message = f"{name} belongs to another cluster ({cluster['name']})."
            self._refuse("name", "in-another-cluster", message, "Reset it there first: ishmael reset")

    def _judge_cable(self, nics: list[Nic], routes: list[Route], phone: str, internal: str) -> None:
        network = ipaddress.IPv4Interface(f"{self._own.internal_ip}/{self._settings.internal_prefix}").network
        found = cable.overlapping(network, nics, routes, internal, (internal, phone))
        if found:
            message = f"On {self._wanted.name} the internal network {network} overlaps {found}."
            self.findings.append(cable.overlaps("internal_ip", message))

    def _node(self, nics: list[Nic], routes: list[Route]) -> NodeSettings | None:
        """Its entry in the settings: which of its NICs is which."""
        wanted, findings = self._wanted, len(self.findings)
        found: dict[str, Nic] = {}
        for field, address, own_ip, prefix in (
            ("phone_ip", wanted.phone_ip, self._own.phone_ip, self._settings.phone_prefix),
            ("internal_ip", wanted.internal_ip, self._own.internal_ip, self._settings.internal_prefix),
        ):
            nic = next((nic for nic in nics if nic.holds(address)), None)
            if nic is None:
                self._refuse(
                    field, "address-not-there", f"{wanted.name} does not have the address {address}.", "Correct it."
                )
                continue
            found[field] = nic
            network = ipaddress.IPv4Interface(f"{own_ip}/{prefix}").network
            there = next(i for i in nic.interfaces if str(i.ip) == address).network
            if there != network:
                message = f"{nic.name} of {wanted.name} is in {there}, this node's in {network}."
                self._find(field, "prefix-differs", message, "Give both the same prefix length.")
            if not (nic.up and nic.carrier):
                self._find(field, "nic-no-link", f"{nic.name} of {wanted.name} has no link.", "Plug the cable in.")
        if len(found) < 2:
            return None
        phone, internal = found["phone_ip"], found["internal_ip"]
        self._judge_cable(nics, routes, phone.name, internal.name)
        node = NodeSettings(
            wanted.id, wanted.name, wanted.phone_ip, phone.name, phone.mac,
            wanted.internal_ip, internal.name, internal.mac,
        )  # fmt: skip
        others = tuple(other for other in self._settings.nodes if other.id != wanted.id)
        self.findings += check_settings(self._settings.changed(nodes=(*others, node)))
        return None if len(self.findings) > findings and phone.name == internal.name else node
