"""How the admin is told: mail, Icinga, and which failover checks only notify. A file of its own, apart from the settings.

A mistake in it can keep nobody from failing over: the keeper never reads it, and hears of ``notify_only`` from the running
manager alone. It holds passwords (mode 0600).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from ishmael.words.errors import RequestRefused
from ishmael.words.mail_address import is_mail_address

MONITORING_SCHEMA = 1
SECURITIES = ("starttls", "tls", "none")
LANGUAGES = ("en", "de")
OF_THE_KEEPER = frozenset({"F1", "F2", "F4"})
"""Failover checks that the keeper acts upon by its own rules."""
FAILOVER_CHECKS = OF_THE_KEEPER | {"F3"}
_Part = TypeVar("_Part", "Mail", "Icinga", "Ami")


@dataclass(frozen=True, slots=True)
class Mail:
    """The smarthost and who is written to.

    Args:
        host: name or address of the smarthost; empty for no mail.
        port: TCP port (587 for submission).
        security: ``starttls``, ``tls`` (from the first byte) or ``none``.
        user, password: login; empty for none.
        sender: address mails come from.
        to: address mails go to; empty for the settings' ``email``.
        language: ``en`` or ``de``.
        ca_file: certificates to trust beside the system's, or empty.
    """

    host: str = ""
    port: int = 587
    security: str = "starttls"
    user: str = ""
    password: str = ""
    sender: str = ""
    to: str = ""
    language: str = "en"
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class Icinga:
    """Icinga 2's API, for passive results; an empty url for none."""

    url: str = ""
    user: str = ""
    password: str = ""
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class Ami:
    """Login at Asterisk's manager interface; empty: the first user of /etc/asterisk/manager.conf."""

    user: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class Monitoring:
    """Everything of the file.

    Args:
        mail, icinga, ami: its tables.
        notify_only: ids of failover checks that only notify (``F1`` to ``F4``).
        ntp_servers: asked for the time; empty: those of chrony or timesyncd.
        raid: RAID controllers' state is checked.
    """

    mail: Mail = field(default_factory=Mail)
    icinga: Icinga = field(default_factory=Icinga)
    ami: Ami = field(default_factory=Ami)
    notify_only: tuple[str, ...] = ()
    ntp_servers: tuple[str, ...] = ()
    raid: bool = True

    def to_toml(self) -> str:
        """The file's text."""
        lines = [f"schema = {MONITORING_SCHEMA}", f"raid = {'true' if self.raid else 'false'}"]
        for name in ("notify_only", "ntp_servers"):
            lines += [f"{name} = [{', '.join(_text(item) for item in getattr(self, name))}]"]
        for name in ("mail", "icinga", "ami"):
            part = getattr(self, name)
            lines += ["", f"[{name}]"]
            for each in fields(part):
                value = getattr(part, each.name)
                lines.append(f"{each.name} = {value if isinstance(value, int) else _text(value)}")
        return "\n".join(lines) + "\n"

    def shown(self) -> dict[str, Any]:
        """For people: without passwords."""
        shown = {
            name: {each.name: getattr(getattr(self, name), each.name) for each in fields(getattr(self, name))}
            for name in ("mail", "icinga", "ami")
        }
        for part in shown.values():
            part["password"] = "set" if part["password"] else ""
        lists = {"notify_only": list(self.notify_only), "ntp_servers": list(self.ntp_servers), "raid": self.raid}
        return {"schema": MONITORING_SCHEMA, **shown, **lists}


def monitoring_from_toml(text: str) -> Monitoring:
    """Read the file.

    Raises:
        RequestRefused: not TOML, or a value that cannot be.
    """
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _refused(f"it is not TOML: {error}") from error
    return monitoring_from_mapping(raw)


def monitoring_from_mapping(raw: Mapping[str, Any]) -> Monitoring:
    """Build it from values.

    Raises:
        RequestRefused: a value that cannot be, by name.
    """
    values = dict(raw)
    if values.pop("schema", MONITORING_SCHEMA) != MONITORING_SCHEMA:
        raise _refused(f"schema must be {MONITORING_SCHEMA}")
    unknown = set(values) - {each.name for each in fields(Monitoring)}
    if unknown:
        raise _refused(f"unknown key {sorted(unknown)[0]!r}")
    for name in ("notify_only", "ntp_servers"):
        listed = values.get(name, ())
        if not isinstance(listed, (list, tuple)) or not all(isinstance(item, str) for item in listed):
            raise _refused(f"{name} is no list of texts")
        values[name] = tuple(listed)
    if not isinstance(values.get("raid", True), bool):
        raise _refused("raid is neither true nor false")
    wrong = set(values["notify_only"]) - FAILOVER_CHECKS
    if wrong:
        raise _refused(f"notify_only knows {', '.join(sorted(FAILOVER_CHECKS))}, not {sorted(wrong)[0]!r}")
    parts = {name: _part(kind, name, values.get(name, {})) for name, kind in _PARTS.items()}
    found = Monitoring(**{**values, **parts})
    _check_mail(found.mail)
    if found.icinga.url and not found.icinga.url.startswith("https://"):
        raise _refused(f"icinga.url is {found.icinga.url!r}; it begins with https://")
    return found


_PARTS: dict[str, Any] = {"mail": Mail, "icinga": Icinga, "ami": Ami}


def _part(kind: type[_Part], name: str, raw: Any) -> _Part:
    kinds = {each.name: type(each.default) for each in fields(kind)}
    if not isinstance(raw, Mapping):
        raise _refused(f"{name} is no table")
    for key, value in raw.items():
        if key not in kinds:
            raise _refused(f"unknown key {name}.{key}")
        if type(value) is not kinds[key]:
            raise _refused(f"{name}.{key} is {value!r}, not {kinds[key].__name__}")
        if isinstance(value, str) and any(ord(char) < ord(" ") for char in value):
            raise _refused(f"{name}.{key} has a control character")
    return kind(**raw)


def _check_mail(mail: Mail) -> None:
    if mail.security not in SECURITIES:
        raise _refused(f"mail.security is {mail.security!r}, not one of {', '.join(SECURITIES)}")
    if mail.language not in LANGUAGES:
        raise _refused(f"mail.language is {mail.language!r}, not one of {', '.join(LANGUAGES)}")
    if not 1 <= mail.port <= 65535:
        raise _refused(f"mail.port is {mail.port}, not 1 to 65535")
    if mail.user and mail.security == "none":
        raise _refused("mail.user has a password that security none would show to everybody")
    for name in ("sender", "to"):
        value = getattr(mail, name)
        if value and not is_mail_address(value):
            raise _refused(f"mail.{name} is {value!r}, no mail address")


def _text(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _refused(why: str) -> RequestRefused:
    return RequestRefused(
        "monitoring-invalid", f"The monitoring file is not valid: {why}.", "See docs/reference/notifications.md."
    )
