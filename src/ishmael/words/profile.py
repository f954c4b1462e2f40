"""Workload profiles: what a cluster moves. One TOML file each; the shipped ones lie in /usr/share/ishmael/profiles."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ishmael.words.errors import RequestRefused

PROFILE_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Unit:
    """A systemd unit of the workload.

    Args:
        name: with its suffix (``asterisk.service``).
        warm: runs on the slave as well, so that a takeover need not start it.
        on_close: what happens on a node that stops being master: ``stop``, or ``kill`` for programs whose orderly end
            would undo the new master's work (Asterisk unregisters its trunks when it stops).
        start_ms: time limit for starting.
        stop_ms: time limit for stopping; after that it is killed.
    """

    name: str
    warm: bool = False
    on_close: str = "stop"
    start_ms: int = 30000
    stop_ms: int = 3000


@dataclass(frozen=True, slots=True)
class DatabaseWanted:
    """The database that both nodes keep in step, when PostgreSQL is installed.

    Args:
        engine: ``postgresql``.
        cluster: name of the PostgreSQL cluster; adopted when there is one, else made.
        required: a node without PostgreSQL is refused; else it works without a replicated database.
        keep_mb: how much log the master keeps for a slave that is away; one that is away for longer is copied anew.
    """

    engine: str = "postgresql"
    cluster: str = "main"
    required: bool = False
    keep_mb: int = 1024


@dataclass(frozen=True, slots=True)
class Profile:
    """A workload.

    Args:
        name: of the file, without suffix.
        units: in start order; closed in reverse.
        on_open: commands (argument lists) run on the master once the cluster IP is up; a failure is reported only.
        command_ms: time limit of each command.
        database: kept in step on both nodes, or None.
    """

    name: str
    units: tuple[Unit, ...] = ()
    on_open: tuple[tuple[str, ...], ...] = ()
    command_ms: int = 5000
    database: DatabaseWanted | None = None


def profile_from_toml(text: str) -> Profile:
    """Read a profile.

    Raises:
        RequestRefused: not TOML, or keys missing, unknown or of the wrong type.
    """
    try:
        raw = tomllib.loads(text)
        return _from_mapping(raw)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RequestRefused("profile-not-toml", f"The workload profile is not TOML: {error}.") from error
    except (TypeError, ValueError, KeyError) as error:
        raise RequestRefused("profile-invalid", f"The workload profile is not valid: {error}.") from error


def _from_mapping(raw: Mapping[str, Any]) -> Profile:
    values = dict(raw)
    if values.pop("schema", None) != PROFILE_SCHEMA:
        raise ValueError(f"schema must be {PROFILE_SCHEMA}")
    units = tuple(_unit(entry) for entry in values.pop("units", ()))
    on_open = tuple(tuple(str(word) for word in argv) for argv in values.pop("on_open", ()))
    database = values.pop("database", None)
    return Profile(units=units, on_open=on_open, database=None if database is None else _database(database), **values)


def _database(raw: Mapping[str, Any]) -> DatabaseWanted:
    wanted = DatabaseWanted(**raw)
    if wanted.engine != "postgresql":
        raise ValueError(f"the engine of the database is {wanted.engine!r}, not postgresql")
    if not isinstance(wanted.cluster, str) or not wanted.cluster.isidentifier():
        raise ValueError(f"{wanted.cluster!r} is no name of a database cluster")
    if type(wanted.required) is not bool:
        raise ValueError("required of the database is neither true nor false")
    if type(wanted.keep_mb) is not int or not 64 <= wanted.keep_mb <= 1_000_000:
        raise ValueError("keep_mb of the database is no number from 64 to 1000000")
    return wanted


def _unit(raw: Mapping[str, Any]) -> Unit:
    unit = Unit(**raw)
    if "." not in unit.name or "/" in unit.name or unit.name.startswith("-"):
        raise ValueError(f"{unit.name!r} is no unit name with a suffix")
    if unit.on_close not in ("stop", "kill"):
        raise ValueError(f"on_close of {unit.name} is {unit.on_close!r}, not stop or kill")
    return unit
