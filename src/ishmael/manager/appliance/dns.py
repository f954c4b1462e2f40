"""Names and addresses for the telephones: dnsmasq(8), one program for DNS and DHCP."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from ishmael.manager.appliance.shape import (
    ENABLED,
    About,
    Field,
    File,
    Place,
    Values,
    address,
    invalid,
    is_host,
    needed,
)
from ishmael.words.errors import Finding

CONF = "/etc/dnsmasq.d/ishmael.conf"
LEASES = "/var/lib/ishmael-leases"
"""The package brings this directory. Of what lies there the slave has a copy, so no file of a service's settings may."""
_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", re.IGNORECASE)
_URL = re.compile(r"[A-Za-z0-9:/._~%?=&+@-]+")


class Dns:
    """The service."""

    about = About(
        name="dns",
        title="DNS and DHCP",
        program="/usr/sbin/dnsmasq",
        package="dnsmasq",
        fields=(
            ENABLED,
            Field("domain", "domain of the telephone network", "phones.internal"),
            Field("name", "name of the phone system in that domain", "pbx"),
            Field("upstream", "name servers that are asked for everything else", ()),
            Field("hosts", "further names, each NAME=ADDRESS", ()),
            Field("dhcp", "telephones get their addresses from here", default=False),
            Field("range_from", "first address for telephones"),
            Field("range_to", "last address for telephones"),
            Field("lease_minutes", "how long a telephone keeps an address without asking again", 720, 2, 100000),
            Field("router", "gateway for the telephones; empty: the one of this network"),
            Field("ntp", "time server for the telephones; empty: the cluster"),
            Field("provisioning", "where telephones get their configuration; empty: the cluster"),
            Field("reservations", "fixed addresses, each MAC=ADDRESS", ()),
        ),
        units=("dnsmasq.service",),
        enable=("dnsmasq.service",),
        with_master=True,
        checkers=(("/usr/sbin/dnsmasq", "--test", "-C", "{dir}/ishmael.conf"),),
    )

    def check(self, values: Values, place: Place) -> list[Finding]:
        """Names and addresses that can be, in the telephone network where they have to."""
        findings = [
            invalid(name, f"{values[name]!r} is no name.", "Letters, digits and hyphens.")
            for name in ("domain", "name")
            if not is_host(values[name])
        ]
        for upstream in values["upstream"]:
            if address(upstream) is None or upstream == place.address:
                message = f"{upstream!r} is no address of another name server."
                findings.append(invalid("upstream", message, "Enter addresses like 192.0.2.53."))
        findings += _pairs(values, "hosts", is_host, "NAME=ADDRESS")
        if values["dhcp"]:
            findings += _check_dhcp(values, place)
        return findings

    def files(self, values: Values, place: Place, secret: str) -> dict[str, File]:
        """One file beside Debian's own, which stays as it is."""
        del secret
        domain, name = values["domain"], values["name"]
        lines = [
            "# Written by Ishmael; change it with `ishmael services set dns`.",
            # Not by interface: dnsmasq would call itself by the node's own address there, and telephones would renew their
            # leases at a node that is gone. Whoever is named here is the server identifier (option 54).
            f"listen-address={place.address}",
            "bind-dynamic",
            "no-resolv",
            "no-hosts",
            "domain-needed",
            "bogus-priv",
            f"domain={domain}",
            f"local=/{domain}/",
            f"host-record={name}.{domain},{name},{place.address}",
            f"srv-host=_sip._udp.{domain},{name}.{domain},5060",
            *(f"server={upstream}" for upstream in values["upstream"]),
            *("host-record={},{}".format(*pair.split("=")) for pair in values["hosts"]),
        ]
        if values["dhcp"]:
            lines += _dhcp(values, place)
        return {CONF: File(("\n".join(lines) + "\n").encode())}


def _dhcp(values: Values, place: Place) -> list[str]:
    network, router = place.network, values["router"] or place.gateway
    provisioning = values["provisioning"] or place.address
    options = [
        f"dhcp-option=option:router,{router}" if router else "dhcp-option=option:router",
        f"dhcp-option=option:dns-server,{place.address}",
        f"dhcp-option=option:ntp-server,{values['ntp'] or place.address}",
        # RFC 3361: one byte 1, then the address; dnsmasq by the option's name takes host names only.
        f"dhcp-option=120,{_sip_server(place.address)}",
        f'dhcp-option-force=66,"{provisioning}"',
        f'dhcp-option-force=160,"{provisioning}"',
    ]
    return [
        f"dhcp-range={values['range_from']},{values['range_to']},{network.netmask},{values['lease_minutes']}m",
        f"dhcp-leasefile={LEASES}/dnsmasq.leases",
        # The only one on this network: also a lease it has not heard of is renewed rather than refused.
        "dhcp-authoritative",
        *options,
        *("dhcp-host={},{}".format(*pair.lower().split("=")) for pair in values["reservations"]),
    ]


def _sip_server(address_text: str) -> str:
    return ":".join(f"{byte:02x}" for byte in (1, *ipaddress.IPv4Address(address_text).packed))


def _check_dhcp(values: Values, place: Place) -> list[Finding]:
    findings, ends = list[Finding](), dict[str, ipaddress.IPv4Address]()
    for name in ("range_from", "range_to"):
        found = address(values[name])
        if not values[name]:
            findings.append(needed(name, "DHCP needs a range of addresses"))
        elif found is None or found not in place.network or found in _ends(place.network):
            message = f"{values[name]!r} is no address of the telephone network {place.network}."
            findings.append(Finding(name, "range-outside", message, "Choose free addresses of that network."))
        else:
            ends[name] = found
    if len(ends) == 2:
        findings += _check_range(ends["range_from"], ends["range_to"], values, place)
    for name in ("router", "ntp"):
        if values[name] and address(values[name]) is None:
            findings.append(invalid(name, f"{values[name]!r} is no address.", "Enter an address like 192.168.1.1."))
    if values["router"] and (router := address(values["router"])) and router not in place.network:
        message = f"The gateway {router} is outside the telephone network {place.network}."
        findings.append(Finding("router", "range-outside", message, "Telephones could not reach it."))
    if values["provisioning"] and not _URL.fullmatch(values["provisioning"]):
        message = f"{values['provisioning']!r} is neither a host nor a URL."
        findings.append(invalid("provisioning", message, "Such as http://192.168.1.10/provisioning."))
    return findings + _check_reservations(values, place)


def _ends(network: ipaddress.IPv4Network) -> tuple[Any, ...]:
    return (network.network_address, network.broadcast_address)


def _check_range(
    first: ipaddress.IPv4Address, last: ipaddress.IPv4Address, values: Values, place: Place
) -> list[Finding]:
    if first > last:
        message = f"The range ends at {last}, before it begins at {first}."
        return [Finding("range_to", "range-upside-down", message, "Swap the two addresses.")]
    router = values["router"] or place.gateway
    holds = sorted(a for a in {*place.taken, router} - {""} if first <= ipaddress.IPv4Address(a) <= last)
    if not holds:
        return []
    message = f"The range holds {', '.join(holds)}, which is no telephone's."
    hint = "Leave out the cluster IP, the nodes' own addresses and the gateway."
    return [Finding("range_from", "range-holds-address", message, hint)]


def _check_reservations(values: Values, place: Place) -> list[Finding]:
    findings = _pairs(values, "reservations", lambda mac: _MAC.fullmatch(mac) is not None, "MAC=ADDRESS")
    if findings:
        return findings
    pairs = [pair.lower().split("=") for pair in values["reservations"]]
    for column in (0, 1):
        given = [pair[column] for pair in pairs]
        for twice in sorted({each for each in given if given.count(each) > 1}):
            findings.append(Finding("reservations", "given-twice", f"{twice} is reserved twice.", "Name it once."))
    for _, wanted in pairs:
        if wanted in place.taken or ipaddress.IPv4Address(wanted) not in place.network:
            message = f"{wanted} cannot be reserved for a telephone."
            findings.append(Finding("reservations", "range-outside", message, f"Choose one of {place.network}."))
    return findings


def _pairs(values: Values, name: str, good: Any, form: str) -> list[Finding]:
    findings = []
    for pair in values[name]:
        left, sign, right = pair.partition("=")
        if not sign or not good(left) or address(right) is None:
            findings.append(invalid(name, f"{pair!r} is not {form}.", f"Write it as {form}."))
    return findings
