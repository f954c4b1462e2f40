"""The two network interfaces and the host name: what is wanted, what is wrong with it, and the files made of it. Pure.

The files are systemd-networkd's (systemd.network(5)). Their names begin with 05, so that they win over Debian's own.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ishmael.manager.appliance.shape import File
from ishmael.manager.ports.network import Nic
from ishmael.words import places
from ishmael.words.errors import Finding
from ishmael.words.settings import CABLE_HINT, public_network

_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PREFIX_MAX = 30
_HEAD = "# Written by Ishmael; change it with `ishmael network set`, while this node belongs to no cluster.\n"
Interface = ipaddress.IPv4Interface
Address = ipaddress.IPv4Address


@dataclass(frozen=True, slots=True)
class Plan:
    """What is wanted of this node's networks, as it was typed.

    Args:
        phone_nic, internal_nic: names of the interfaces.
        phone_address, internal_address: with prefix length, such as ``192.168.1.11/24``.
        gateway: of the telephone network, or empty.
        dns: name servers.
        host_name: of this node; empty leaves it.
    """

    phone_nic: str
    phone_address: str
    internal_nic: str
    internal_address: str
    gateway: str = ""
    dns: tuple[str, ...] = ()
    host_name: str = ""


def objections(plan: Plan, nics: Mapping[str, Nic]) -> list[Finding]:
    """All that is wrong with a plan.

    Args:
        plan: what is wanted.
        nics: interfaces of this machine by name.
    """
    phone, wrong_phone = _interface("phone_address", plan.phone_address)
    internal, wrong_internal = _interface("internal_address", plan.internal_address)
    findings = [*_nics(plan, nics), *wrong_phone, *wrong_internal]
    if phone and internal and phone.network.overlaps(internal.network):
        message = f"The telephone network {phone.network} and the internal network {internal.network} overlap."
        findings.append(Finding("internal_address", "networks-overlap", message, CABLE_HINT))
    if internal:
        findings += public_network("internal_address", internal.network)
    findings += _gateway(plan, phone)
    for server in plan.dns:
        if _address(server) is None:
            findings.append(
                Finding("dns", "bad-address", f"{server[:64]!r} is no IPv4 address.", "Such as 192.168.1.1.")
            )
    if plan.host_name and not _HOST_NAME.fullmatch(plan.host_name):
        message = f"{plan.host_name[:64]!r} is no host name."
        hint = "Letters a to z, digits and hyphens, at most 63, such as pbx1."
        findings.append(Finding("host_name", "bad-host-name", message, hint))
    return findings


def _nics(plan: Plan, nics: Mapping[str, Nic]) -> list[Finding]:
    findings = []
    for field, name in (("phone_nic", plan.phone_nic), ("internal_nic", plan.internal_nic)):
        nic = nics.get(name)
        if nic is None:
            hint = f"There are: {', '.join(nics) or 'none'}."
            findings.append(Finding(field, "nic-missing", f"There is no network interface {name[:32]!r}.", hint))
        elif not nic.carrier:
            message = f"{name} has no link: nothing is plugged in at its other end."
            findings.append(Finding(field, "nic-no-link", message, "Plug the cable in.", overridable=True))
    if plan.phone_nic == plan.internal_nic and plan.phone_nic in nics:
        message = f"{plan.phone_nic} is named for both networks."
        findings.append(Finding("internal_nic", "same-nic-twice", message, "Each network has an interface of its own."))
    return findings


def _interface(field: str, text: str) -> tuple[Interface | None, list[Finding]]:
    hint = "Such as 192.168.1.11/24: a host address, and the prefix length (1 to 30)."
    try:
        found = Interface(text) if "/" in text else None
    except ValueError:
        found = None
    if found is None:
        return None, [Finding(field, "bad-address", f"{text[:64]!r} is no IPv4 address with prefix length.", hint)]
    edges = (found.network.network_address, found.network.broadcast_address)
    unusable = found.ip.is_loopback or found.ip.is_multicast or found.ip.is_unspecified or found.ip.is_link_local
    if unusable or not 1 <= found.network.prefixlen <= _PREFIX_MAX or found.ip in edges:
        return None, [Finding(field, "bad-address", f"{text} is no host address of a network.", hint)]
    return found, []


def _address(text: str) -> Address | None:
    try:
        return Address(text)
    except ValueError:
        return None


def _gateway(plan: Plan, phone: Interface | None) -> list[Finding]:
    if not plan.gateway:
        return []
    gateway = _address(plan.gateway)
    if gateway is None:
        message = f"{plan.gateway[:64]!r} is no IPv4 address."
        return [Finding("gateway", "bad-address", message, "Such as 192.168.1.1; or leave it empty.")]
    if phone and (gateway not in phone.network or gateway == phone.ip):
        message = f"The gateway {gateway} is no other host of the telephone network {phone.network}."
        return [Finding("gateway", "outside-network", message, "Name the gateway of that network, or none.")]
    return []


def path_of(nic: str) -> str:
    """Where the settings of an interface lie."""
    return f"{places.NETWORKD}/05-ishmael-{nic}.network"


def files_of(plan: Plan) -> dict[str, File]:
    """The files made of a plan without objections, by path."""
    more = [f"Gateway={plan.gateway}"] if plan.gateway else []
    more += [f"DNS={server}" for server in plan.dns]
    return {
        path_of(plan.phone_nic): _file(plan.phone_nic, plan.phone_address, more),
        path_of(plan.internal_nic): _file(plan.internal_nic, plan.internal_address, []),
    }


def _file(nic: str, address: str, more: list[str]) -> File:
    lines = ["[Match]", f"Name={nic}", "", "[Network]", f"Address={address}", *more]
    # The cluster IP comes and goes by the keeper's hand, and an interface without link keeps its address.
    lines += ["LinkLocalAddressing=no", "IPv6AcceptRA=no", "KeepConfiguration=static", "ConfigureWithoutCarrier=yes"]
    return File((_HEAD + "\n".join(lines) + "\n").encode())


def hosts_with(text: str, name: str) -> str:
    """``/etc/hosts`` with Debian's line for this node's own name (127.0.1.1) renewed.

    Args:
        text: as it is.
        name: the new host name.
    """
    kept = [line for line in text.splitlines() if line.split("#")[0].split()[:1] != ["127.0.1.1"]]
    return "\n".join([*kept, f"127.0.1.1\t{name}"]) + "\n"
