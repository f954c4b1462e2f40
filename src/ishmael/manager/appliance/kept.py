"""What lies on disk of the services: settings that both nodes share, and this node's own notes of what it wrote."""

from __future__ import annotations

import base64
import difflib
import hashlib
import ipaddress
import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from ishmael.manager.appliance import own
from ishmael.manager.appliance.dns import Dns
from ishmael.manager.appliance.fax import Fax
from ishmael.manager.appliance.mail import Mail
from ishmael.manager.appliance.ntp import Ntp
from ishmael.manager.appliance.shape import File, Place, Service, Values, defaults, read
from ishmael.manager.ports.hands import Hands
from ishmael.words import places
from ishmael.words.errors import HostFault, IshmaelError, RequestRefused
from ishmael.words.settings import settings_from_toml

SERVICES: Mapping[str, Service] = {each.about.name: each for each in (Dns(), Ntp(), Mail(), Fax())}
_DEFAULT_ROUTE = "0.0.0.0/0"
_CAP_SYS_TIME = 25
_HEAD = "# Written by Ishmael; the same on both nodes. Change it with `ishmael services set`, on the master.\n"


def named(name: str) -> Service:
    """The service of this name.

    Raises:
        RequestRefused: there is none.
    """
    if name not in SERVICES:
        hint = f"One of: {', '.join(SERVICES)}."
        raise RequestRefused("no-such-service", f"There is no service {name[:64]!r}.", hint)
    return SERVICES[name]


def settings_path(service: Service) -> str:
    """Where its settings lie."""
    return f"{places.SERVICES}/{service.about.name}.toml"


def secret_path(service: Service) -> str:
    """Where its password lies, for root alone."""
    return f"{places.SERVICES}/{service.about.name}.password"


def own_path(service: Service) -> str:
    """Where the lines lie that were taken over from changes by hand."""
    return f"{places.SERVICES}/{service.about.name}.own.json"


def own_lines(hands: Hands, service: Service) -> dict[str, tuple[own.Hunk, ...]]:
    """Lines of the admin's own in its files, by path.

    Raises:
        RequestRefused: they are there, but not what Ishmael writes.
    """
    raw = hands.files.read(own_path(service))
    try:
        return own.from_json(raw) if raw is not None else {}
    except ValueError as error:
        message = f"{own_path(service)} cannot be read: {error}."
        raise RequestRefused("service-settings-unreadable", message, "Remove it, and set it anew.") from error


def settings(hands: Hands, service: Service) -> dict[str, Any]:
    """Its settings; the defaults where there are none.

    Raises:
        RequestRefused: they are there, but not what Ishmael writes.
    """
    raw = hands.files.read(settings_path(service))
    if raw is None:
        return defaults(service.about)
    try:
        found, findings = read(service.about, tomllib.loads(raw.decode()), {})
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        raise RequestRefused(
            "service-settings-unreadable",
            f"{settings_path(service)} is not TOML: {error}.",
            "Remove it, and set it anew.",
        ) from error
    if findings:
        raise RequestRefused("service-settings-unreadable", findings[0].message, f"See {settings_path(service)}.")
    return found


def to_toml(values: Values) -> bytes:
    """Settings as they lie on disk; JSON's texts, numbers and lists are TOML's too."""
    lines = [f"{name} = {json.dumps(list(v) if isinstance(v, tuple) else v)}" for name, v in values.items()]
    return (_HEAD + "\n".join(lines) + "\n").encode()


def secret(hands: Hands, service: Service) -> str:
    """Its password, or empty."""
    return (hands.files.read(secret_path(service)) or b"").decode(errors="replace").strip()


def place(hands: Hands) -> Place:
    """Where services run on this node: towards the telephones.

    Raises:
        RequestRefused: there is no network to serve.
    """
    routes = hands.network.routes()
    default = next((route for route in routes if route.destination == _DEFAULT_ROUTE), None)
    raw, host_name = hands.files.read(places.SETTINGS), hands.host.name()
    cap = re.search(rb"^CapBnd:\s*([0-9a-f]+)", hands.files.read("/proc/1/status") or b"", re.MULTILINE)
    sets_clock = cap is None or bool(int(cap[1], 16) >> _CAP_SYS_TIME & 1)
    gateway = (default.gateway if default else None) or ""
    cluster = settings_from_toml(raw.decode()) if raw else None
    own = cluster.named(host_name) if cluster else None
    if cluster is not None and own is not None:
        network = ipaddress.IPv4Interface(f"{own.phone_ip}/{cluster.phone_prefix}").network
        taken = frozenset({cluster.cluster_ip, *(node.phone_ip for node in cluster.nodes), gateway} - {""})
        return Place(network, cluster.cluster_ip, taken, gateway, host_name, sets_clock)
    nics = [nic for nic in hands.network.nics() if nic.addresses]
    nic = next((nic for nic in nics if default and nic.name == default.nic), nics[0] if nics else None)
    if nic is None:
        raise RequestRefused("no-network", "No network interface has an address.", "Give one a fixed address first.")
    first = nic.interfaces[0]
    return Place(
        first.network,
        str(first.ip),
        frozenset({str(first.ip), gateway} - {""}),
        gateway,
        host_name,
        sets_clock,
    )


# This node's notes: hashes of what it wrote, and what lay there before


def notes(hands: Hands) -> dict[str, Any]:
    """By the service's name.

    ``files`` (path to hash); ``writing`` while those are being written; ``switch_due`` from then on until its units are as they
    should be; ``trouble`` in plain words; ``refused``, the mark of settings that its own checker has refused.
    """
    raw = hands.files.read(places.SERVICES_NOTES)
    try:
        found = json.loads(raw) if raw else {}
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}


def note(hands: Hands, service: Service, **changes: Any) -> None:
    """Note something about a service; on disk when this returns."""
    all_notes = notes(hands)
    own = {**all_notes.get(service.about.name, {}), **changes}
    if own != all_notes.get(service.about.name):
        all_notes[service.about.name] = own
        hands.files.write(places.SERVICES_NOTES, json.dumps(all_notes).encode(), 0o600)


def digest(data: bytes | None) -> str:
    """Hash of a file's content; empty when there is none."""
    return "" if data is None else hashlib.sha256(data).hexdigest()


def changed_by_hand(hands: Hands, service: Service) -> list[str]:
    """Files that are not as this node wrote them; none while it writes them, or was cut while it did."""
    noted = notes(hands).get(service.about.name, {})
    if noted.get("writing"):
        return []
    found = [path for path, seen in noted.get("files", {}).items() if digest(here(hands, path)) != seen]
    # Written by a job between the two looks, they would not be what the older notes say.
    return found if not found or notes(hands).get(service.about.name, {}) == noted else []


def here(hands: Hands, path: str) -> bytes | None:
    """A file as it is; None also when something else lies at its place."""
    try:
        return hands.files.read(path)
    except HostFault:
        return None


def all_changed_by_hand(hands: Hands) -> dict[str, Service]:
    """Files of all services that are not as this node wrote them, each with its service."""
    return {path: service for service in SERVICES.values() for path in changed_by_hand(hands, service)}


def pack(files: Mapping[str, tuple[bytes | None, int]]) -> bytes:
    """Files as they were, to be put back."""
    whole = {p: [None if d is None else base64.b64encode(d).decode(), m] for p, (d, m) in files.items()}
    return json.dumps(whole).encode()


def unpack(raw: bytes) -> dict[str, tuple[bytes | None, int]]:
    """The opposite of pack."""
    return {p: (None if d is None else base64.b64decode(d), int(m)) for p, (d, m) in json.loads(raw).items()}


def difference(hands: Hands, files: Mapping[str, File], gone: list[str]) -> str:
    """What writing these files would change, as a unified diff; of secret ones only that they change."""
    parts = []
    for path in [*files, *gone]:
        old, new = hands.files.read(path), files[path].data if path in files else None
        parts.append(unified(path, old, new, secret=is_secret(path, files.get(path))))
    return "".join(parts)


def is_secret(path: str, file: File | None) -> bool:
    """Its content is for root alone."""
    return (file is not None and file.mode & 0o077 == 0) or path.endswith((".password", "_sasl"))


def unified(path: str, old: bytes | None, new: bytes | None, *, secret: bool) -> str:
    """From one content of a file to another, None where there is no file; of a secret one only that it changes."""
    if old == new:
        return ""
    if secret:
        return f"{path}: changed (not shown: it holds a password)\n"
    before, after = ((x or b"").decode(errors="replace").splitlines(keepends=True) for x in (old, new))
    names = (path if old is not None else "/dev/null", path if new is not None else "/dev/null")
    lines = difflib.unified_diff(before, after, *names)
    # A last line without an end would run into what follows.
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


# The profile: services that run with the master's role

_BEGIN, _END = "# --- services, written by Ishmael ---\n", "# --- end of services ---\n"


def units_of(hands: Hands) -> list[str]:
    """Units of services that run with the master's role."""
    found = []
    for service in SERVICES.values():
        try:
            on = service.about.with_master and settings(hands, service)["enabled"]
        except IshmaelError:
            on = False
        found += list(service.about.units) if on else []
    return found


def with_services(hands: Hands, profile: str) -> str:
    """A workload profile with the units of the services; those of an earlier time are replaced."""
    head, mark, rest = profile.partition(_BEGIN)
    if mark:
        profile = f"{head.rstrip()}\n{rest.partition(_END)[2]}"
    units = units_of(hands)
    if not units:
        return profile
    block = "".join(f'[[units]]\nname = "{unit}"\nstop_ms = 1000\n' for unit in units)
    return f"{profile.rstrip()}\n\n{_BEGIN}{block}{_END}"
