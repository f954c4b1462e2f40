"""The cluster's settings: one file, identical on both nodes; a node finds itself in it by host name."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, TypeVar

from ishmael.words.errors import Finding, RequestRefused
from ishmael.words.mail_address import is_mail_address

SETTINGS_SCHEMA = 1
CABLE_HINT = "Use a private network for the cable that is used nowhere else, such as 10.255.0.0/30."
_CLUSTER_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9 ._-]{0,62}[A-Za-z0-9])?")
_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", re.IGNORECASE)
_Made = TypeVar("_Made", "NodeSettings", "Times", "Settings")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """One node: host name, addresses and network interfaces (NICs) with their hardware addresses."""

    id: int
    name: str
    phone_ip: str
    phone_nic: str
    phone_mac: str
    internal_ip: str
    internal_nic: str
    internal_mac: str

    @property
    def macs(self) -> frozenset[str]:
        """Both hardware addresses, lower case."""
        return frozenset({self.phone_mac, self.internal_mac})


@dataclass(frozen=True, slots=True)
class Times:
    """The failover protocol's times, all in milliseconds. What must hold between them: docs/reference/times.md."""

    tick_ms: int = 20
    echo_ms: int = 50
    hears_ms: int = 200
    isolation_ms: int = 200
    take_min_ms: int = 300
    suspect_ms: int = 150
    probe_ms: int = 20
    probes: int = 6
    released_probes: int = 5
    probes_when_lossy: int = 12
    reference_ms: int = 50
    reference_lost: int = 4
    reference_good: int = 3
    lease_ms: int = 1000
    refresh_ms: int = 200
    fitness_ms: int = 3000
    alone_ms: int = 3300
    pause_ms: int = 150
    pause_drop_ms: int = 100
    save_ms: int = 500
    release_ms: int = 5000
    offer_ms: int = 1000
    settle_ms: int = 5000
    own_corosync_ms: int = 1500
    boot_ms: int = 10000
    dial_tone_ms: int = 30000
    conflict_ms: int = 80
    witness_off_ms: int = 60000
    fence_ms: int = 1500


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the cluster was told at set-up.

    Args:
        cluster_name: shown to people; also the name Corosync uses, in a file that knows no quotes.
        cluster_ip: IPv4 address that is up on the master only.
        phone_prefix: prefix length of the telephone network, in bits.
        internal_prefix: prefix length of the internal cluster network, in bits (30 works).
        references: IPv4 addresses on the telephone network that should answer ARP (the gateway and more).
        email: notification address, or empty.
        policy: ``dial-tone-first`` or ``data-first`` (rule 8).
        profile: name of the workload profile.
        nodes: one entry at "master ready", two once the slave was added.
        revision: raised by every change.
    """

    cluster_ip: str
    phone_prefix: int
    internal_prefix: int
    references: tuple[str, ...]
    nodes: tuple[NodeSettings, ...]
    email: str = ""
    cluster_name: str = "ishmael"
    policy: str = "dial-tone-first"
    profile: str = "asterisk"
    revision: int = 1
    times: Times = field(default_factory=Times)

    def node(self, node_id: int) -> NodeSettings | None:
        """The node with this id, if it is part of the cluster."""
        return next((node for node in self.nodes if node.id == node_id), None)

    def named(self, name: str) -> NodeSettings | None:
        """The node with this host name (compared without case), if it is part of the cluster."""
        return next((node for node in self.nodes if node.name.lower() == name.lower()), None)

    def peer_of(self, node_id: int) -> NodeSettings | None:
        """The other node, if there is one."""
        return next((node for node in self.nodes if node.id != node_id), None)

    def changed(self, **changes: Any) -> Settings:
        """A copy with some fields changed and the revision raised."""
        return replace(self, revision=self.revision + 1, **changes)

    def to_toml(self) -> str:
        """The settings file's text (TOML 1.0)."""
        return _to_toml(self)


def settings_from_toml(text: str) -> Settings:
    """Read the settings file.

    Raises:
        RequestRefused: not TOML, unknown or missing keys, or findings; all findings are listed.
    """
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RequestRefused("settings-not-toml", f"The settings file is not TOML: {error}.") from error
    return settings_from_mapping(raw)


def settings_from_mapping(raw: Mapping[str, Any]) -> Settings:
    """Build settings from TOML or JSON values.

    Raises:
        RequestRefused: with all findings.
    """
    values = dict(raw)
    schema = values.pop("schema", None)
    if schema != SETTINGS_SCHEMA:
        raise RequestRefused(
            "settings-schema",
            f"The settings have schema {schema!r}; this version reads {SETTINGS_SCHEMA}.",
            "Install the same version of Ishmael on both nodes.",
        )
    try:
        values["times"] = _typed(Times(**values.get("times", {})))
        values["nodes"] = tuple(_typed(NodeSettings(**node)) for node in values.get("nodes", ()))
        values["references"] = tuple(values.get("references", ()))
        settings = _typed(Settings(**values))
    except TypeError as error:
        raise RequestRefused("settings-keys", f"The settings have a missing or unknown key: {error}.") from error
    findings = check_settings(settings)
    if findings:
        raise RequestRefused("settings-invalid", findings[0].message, findings[0].hint, tuple(findings))
    return settings


def _typed(made: _Made) -> _Made:
    """Raise TypeError when a field is not of the type of the field's default or annotation (int, str or tuple)."""
    kinds = {"int": int, "str": str, "tuple[str, ...]": tuple, "tuple[NodeSettings, ...]": tuple}
    for f in fields(made):
        kind, value = kinds.get(str(f.type)), getattr(made, f.name)
        strings = f.type != "tuple[str, ...]" or all(type(item) is str for item in value)
        if kind is not None and (type(value) is not kind or not strings):
            raise TypeError(f"{f.name} is {value!r}, not {f.type}")
    return made


def _address(text: object) -> ipaddress.IPv4Address | None:
    try:
        return ipaddress.IPv4Address(str(text))
    except ipaddress.AddressValueError:
        return None


def check_settings(settings: Settings) -> list[Finding]:
    """All findings that stand against these settings, without looking at the machine."""
    findings = (
        _check_cluster_ip(settings) + _check_nodes(settings) + _check_references(settings) + _check_names(settings)
    )
    if settings.policy not in ("dial-tone-first", "data-first"):
        findings.append(
            Finding(
                "policy", "unknown-policy", f"Unknown policy {settings.policy!r}.", "Use dial-tone-first or data-first."
            )
        )
    return findings + check_times(settings.times)


def _check_names(settings: Settings) -> list[Finding]:
    findings: list[Finding] = []
    if not _CLUSTER_NAME.fullmatch(settings.cluster_name):
        message = f"{settings.cluster_name[:64]!r} is no name for a cluster."
        hint = "Use up to 64 letters (A to Z), digits, spaces, dots, hyphens and underscores; begin and end with a letter or digit."
        findings.append(Finding("cluster_name", "bad-cluster-name", message, hint))
    if settings.email and not is_mail_address(settings.email):
        message = f"{settings.email[:64]!r} is no mail address."
        findings.append(Finding("email", "bad-email", message, "Enter an address like admin@example.org, or none."))
    return findings


def _phone_network(settings: Settings) -> ipaddress.IPv4Network | None:
    if not settings.nodes or _address(settings.nodes[0].phone_ip) is None or not 8 <= settings.phone_prefix <= 30:
        return None
    return ipaddress.IPv4Network(f"{settings.nodes[0].phone_ip}/{settings.phone_prefix}", strict=False)


def _internal_network(settings: Settings) -> ipaddress.IPv4Network | None:
    if not settings.nodes or _address(settings.nodes[0].internal_ip) is None or not 8 <= settings.internal_prefix <= 30:
        return None
    return ipaddress.IPv4Network(f"{settings.nodes[0].internal_ip}/{settings.internal_prefix}", strict=False)


def not_an_address(field: str, value: str, example: str = "192.168.1.10") -> Finding:
    """What is said of a field that holds no IPv4 address."""
    return Finding(field, "not-an-address", f"{value!r} is no IPv4 address.", f"Enter an address like {example}.")


def public_network(field: str, network: ipaddress.IPv4Network) -> list[Finding]:
    """What is said of an internal network whose addresses belong to somebody on the internet."""
    if not network.is_global:
        return []
    message = f"The internal network {network} is a public one: its addresses are somebody's on the internet."
    return [Finding(field, "internal-network-public", message, CABLE_HINT)]


def _check_cluster_ip(settings: Settings) -> list[Finding]:
    address = _address(settings.cluster_ip)
    if address is None:
        return [not_an_address("cluster_ip", settings.cluster_ip)]
    network = _phone_network(settings)
    if network is not None and (
        address not in network or address in (network.network_address, network.broadcast_address)
    ):
        return [
            Finding(
                "cluster_ip",
                "outside-telephone-network",
                f"The cluster IP {address} is no host address of the telephone network {network}.",
                f"Choose a free address of {network}.",
            )
        ]
    owner = next((node for node in settings.nodes if node.phone_ip == str(address)), None)
    if owner is not None:
        return [
            Finding(
                "cluster_ip",
                "nodes-own-address",
                f"The cluster IP {address} is the own address of {owner.name}.",
                "The cluster IP is a third address beside the two nodes' own: choose a free one.",
            )
        ]
    return []


def _check_nodes(settings: Settings) -> list[Finding]:
    findings: list[Finding] = []
    phone, internal = _phone_network(settings), _internal_network(settings)
    if phone is None:
        findings.append(
            Finding("phone_ip", "no-telephone-network", "The telephone network's address or prefix is not usable.", "")
        )
    if internal is None:
        findings.append(
            Finding("internal_ip", "no-internal-network", "The internal network's address or prefix is not usable.", "")
        )
    if phone is not None and internal is not None and phone.overlaps(internal):
        findings.append(
            Finding(
                "internal_ip",
                "networks-overlap",
                f"The internal network {internal} overlaps the telephone network {phone}.",
                CABLE_HINT,
            )
        )
    if internal is not None:
        findings += public_network("internal_ip", internal)
    for node in settings.nodes:
        findings += _check_node(node, phone, internal)
    findings += _check_pair(settings.nodes)
    return findings


def _check_node(
    node: NodeSettings, phone: ipaddress.IPv4Network | None, internal: ipaddress.IPv4Network | None
) -> list[Finding]:
    findings: list[Finding] = []
    if not _HOST_NAME.fullmatch(node.name) or len(node.name) > 253:
        findings.append(
            Finding(
                "name",
                "bad-host-name",
                f"{node.name!r} is no host name.",
                "Use letters, digits and hyphens (RFC 1123).",
            )
        )
    for field_name, value, network in (("phone_ip", node.phone_ip, phone), ("internal_ip", node.internal_ip, internal)):
        address = _address(value)
        if address is None:
            findings.append(not_an_address(field_name, value, "192.168.1.11"))
        elif network is not None and address not in network:
            findings.append(
                Finding(
                    field_name,
                    "outside-network",
                    f"{address} of {node.name} is not in {network}.",
                    f"Choose an address of {network}.",
                )
            )
    for field_name, mac in (("phone_mac", node.phone_mac), ("internal_mac", node.internal_mac)):
        if not _MAC.fullmatch(mac):
            findings.append(
                Finding(
                    field_name,
                    "bad-mac",
                    f"{mac!r} is no hardware address.",
                    "Six pairs of lower-case hex digits with colons.",
                )
            )
    if node.phone_nic == node.internal_nic:
        findings.append(
            Finding(
                "internal_nic",
                "same-nic-twice",
                f"{node.name} uses {node.phone_nic} for both networks.",
                "Choose two different network interfaces: one for the telephones, one for the cable.",
            )
        )
    return findings


def _check_pair(nodes: tuple[NodeSettings, ...]) -> list[Finding]:
    if len(nodes) < 2:
        return []
    if len(nodes) > 2:
        return [Finding("nodes", "too-many-nodes", "A cluster has two nodes.", "Remove the slave first.")]
    findings: list[Finding] = []
    first, second = nodes
    if first.name.lower() == second.name.lower():
        findings.append(
            Finding(
                "name",
                "same-host-name",
                f"Both nodes are called {first.name}.",
                "Give one of them another host name, then try again.",
            )
        )
    if first.id == second.id:
        findings.append(Finding("id", "same-id", "Both nodes have the same id.", ""))
    findings.extend(
        Finding(
            name,
            "same-address",
            f"Both nodes have the address {getattr(first, name)}.",
            "Each node needs an address of its own.",
        )
        for name in ("phone_ip", "internal_ip")
        if getattr(first, name) == getattr(second, name)
    )
    if first.macs & second.macs:
        findings.append(Finding("phone_mac", "same-mac", "Both nodes have a NIC with the same hardware address.", ""))
    return findings


def _check_references(settings: Settings) -> list[Finding]:
    if not settings.references:
        return [
            Finding(
                "references",
                "no-reference",
                "No reference is given: a node alone could not tell a dead master from its own broken cable.",
                "Name the gateway, and better a second host that is always on.",
            )
        ]
    own = {settings.cluster_ip} | {node.phone_ip for node in settings.nodes}
    network = _phone_network(settings)
    findings: list[Finding] = []
    for reference in settings.references:
        address = _address(reference)
        if address is None or (network is not None and address not in network):
            findings.append(
                Finding(
                    "references",
                    "reference-outside",
                    f"The reference {reference} is no address of the telephone network.",
                    "References are asked by ARP, so they must be on the same network.",
                )
            )
        elif reference in own:
            findings.append(
                Finding(
                    "references",
                    "reference-own",
                    f"The reference {reference} belongs to the cluster itself.",
                    "Name a host that stays when both nodes are gone.",
                )
            )
    return findings


def check_times(times: Times) -> list[Finding]:
    """All inequalities between the times that do not hold; safety rests on them."""
    t = times
    holds = {
        "isolation_ms + tick_ms + 10 < take_min_ms - 50": t.isolation_ms + t.tick_ms + 10 < t.take_min_ms - 50,
        "take_min_ms > pause_ms": t.take_min_ms > t.pause_ms,
        "lease_ms >= 4 * refresh_ms": t.lease_ms >= 4 * t.refresh_ms,
        "lease_ms is whole seconds": t.lease_ms % 1000 == 0 and t.lease_ms > 0,
        "fitness_ms >= max(lease_ms, own_corosync_ms) + 300 + save_ms": t.fitness_ms
        >= max(t.lease_ms, t.own_corosync_ms) + 300 + t.save_ms,
        "alone_ms >= 1.01 * fitness_ms + hears_ms": t.alone_ms * 100 >= 101 * t.fitness_ms + 100 * t.hears_ms,
        "boot_ms > fitness_ms + 2000": t.boot_ms > t.fitness_ms + 2000,
        "fitness_ms > take_min_ms + fence_ms + save_ms": t.fitness_ms > t.take_min_ms + t.fence_ms + t.save_ms,
        "all positive": all(getattr(t, f.name) > 0 for f in fields(t)),
    }
    return [
        Finding(
            "times",
            "times-unsafe",
            f"The times do not hold together: {rule}.",
            "Use the defaults, or see docs/reference/times.md.",
        )
        for rule, good in holds.items()
        if not good
    ]


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    escaped = "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped)
    return f'"{escaped}"'


def _to_toml(settings: Settings) -> str:
    lines = [
        "# Written by Ishmael; identical on both nodes. Change it with `ishmael`, not by hand.",
        f"schema = {SETTINGS_SCHEMA}",
    ]
    plain = [f.name for f in fields(settings) if f.name not in ("nodes", "times")]
    lines += [f"{name} = {_value(getattr(settings, name))}" for name in plain]
    changed = {k: v for k, v in asdict(settings.times).items() if v != getattr(Times(), k)}
    if changed:
        lines += ["", "[times]", *(f"{key} = {value}" for key, value in changed.items())]
    for node in settings.nodes:
        lines += ["", "[[nodes]]", *(f"{key} = {_value(value)}" for key, value in asdict(node).items())]
    return "\n".join(lines) + "\n"
