"""The shape every service of the appliance has: fields, files made of them, a checker, units, and what it keeps.

A service is a small module. Its settings are a table of values by the names of its fields; the same table feeds the command
line, the API and the pages.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ishmael.words.errors import Finding

Values = Mapping[str, Any]
_HOST = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", re.IGNORECASE
)
_TEXT_MAX = 253


@dataclass(frozen=True, slots=True)
class Field:
    """One setting.

    Args:
        name: of the setting.
        what: what it means, for a person.
        default: its value when nobody gave one; its type is the setting's (text, bool, number, list of texts).
        least, most: bounds of a number.
    """

    name: str
    what: str
    default: Any = ""
    least: int = 0
    most: int = 0


ENABLED = Field("enabled", "the service runs", default=False)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service runs: this node, now.

    Args:
        network: the telephone network.
        address: that others reach the service at: the cluster IP, or this node's own outside a cluster.
        taken: addresses that belong to a node, the cluster or the gateway.
        gateway: of the telephone network, or empty.
        host_name: of this node.
        sets_clock: this machine may set its clock; a container may not.
    """

    network: ipaddress.IPv4Network
    address: str
    taken: frozenset[str]
    gateway: str = ""
    host_name: str = ""
    sets_clock: bool = True


@dataclass(frozen=True, slots=True)
class File:
    """One file of a service, whole."""

    data: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class About:
    """What is fixed about a service.

    Args:
        name: in settings, commands and paths.
        title: for a person.
        program: that has to be installed.
        package: of Debian that brings it.
        fields: its settings.
        units: that run it, in start order.
        enable: units that are enabled for a start at boot.
        with_master: it runs on the master only, opened and closed with the role; else on both nodes.
        checkers: commands that must succeed on the staged files; ``{dir}`` is where those lie.
    """

    name: str
    title: str
    program: str
    package: str
    fields: tuple[Field, ...]
    units: tuple[str, ...]
    enable: tuple[str, ...]
    with_master: bool
    checkers: tuple[tuple[str, ...], ...] = ()
    quiet: bool = field(default=False)
    """A checker that says anything on its standard error has refused, whatever its exit code."""


class Service(Protocol):
    """One service."""

    about: About

    def check(self, values: Values, place: Place) -> list[Finding]:
        """All that is wrong with these settings; looks at nothing else."""
        ...

    def files(self, values: Values, place: Place, secret: str) -> dict[str, File]:
        """The files made of checked settings, by their paths.

        Args:
            values: the settings.
            place: where it runs.
            secret: the password kept beside the settings, or empty.
        """
        ...


def defaults(about: About) -> dict[str, Any]:
    """All settings as they are when nobody gave any."""
    return {each.name: each.default for each in about.fields}


def read(about: About, raw: Mapping[str, Any], known: Values) -> tuple[dict[str, Any], list[Finding]]:
    """Settings from what was given, on top of what is known.

    Args:
        about: the service.
        raw: given values; texts are read as what the setting is.
        known: settings that hold where nothing was given.

    Returns:
        The settings, and all that is wrong with what was given.
    """
    values, findings = {**defaults(about), **known}, list[Finding]()
    fields = {each.name: each for each in about.fields}
    for name, value in raw.items():
        wanted = fields.get(name)
        if wanted is None:
            hint = f"One of: {', '.join(fields)}."
            findings.append(Finding(name[:64], "unknown-setting", f"{about.title} has no setting {name[:64]!r}.", hint))
            continue
        try:
            values[name] = _value(wanted, value)
        except ValueError as error:
            findings.append(Finding(name, "setting-invalid", f"{name} is {error}.", f"It means: {wanted.what}."))
    return values, findings


def _value(wanted: Field, value: Any) -> Any:
    default = wanted.default
    if isinstance(default, bool):
        return _yes_or_no(value)
    if isinstance(default, int):
        return _number(wanted, value)
    if isinstance(default, tuple):
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, (list, tuple)):
            raise ValueError("no list")  # noqa: TRY004 - told as one of the values
        return tuple(text for text in (_text(item) for item in items) if text)
    return _text(value)


def _yes_or_no(value: Any) -> bool:
    found = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}.get(str(value).lower())
    if found is None:
        raise ValueError("neither true nor false")
    return found


def _number(wanted: Field, value: Any) -> int:
    text = str(value).strip()
    if not text.isascii() or not text.isdecimal() or not wanted.least <= int(text) <= wanted.most:
        raise ValueError(f"no number from {wanted.least} to {wanted.most}")
    return int(text)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("no text")  # noqa: TRY004 - told as one of the values
    text = value.strip()
    if len(text) > _TEXT_MAX or not all(" " <= char <= "~" for char in text):
        raise ValueError(f"no text of at most {_TEXT_MAX} plain characters")
    return text


# What checks share


def address(text: str) -> ipaddress.IPv4Address | None:
    """The IPv4 address, or None when it is none."""
    try:
        return ipaddress.IPv4Address(text)
    except ipaddress.AddressValueError:
        return None


def is_host(text: str) -> bool:
    """A host name or an address."""
    return _HOST.fullmatch(text) is not None


def invalid(name: str, message: str, hint: str) -> Finding:
    """A setting that cannot be."""
    return Finding(name, "setting-invalid", message, hint)


def needed(name: str, what: str) -> Finding:
    """A setting that has to be given."""
    return Finding(name, "setting-missing", f"{name} is missing: {what}.", "Fill it in.")
