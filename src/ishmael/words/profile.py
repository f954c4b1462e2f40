"""Workload profiles: what a cluster moves. One TOML file each; the shipped ones lie in /usr/share/ishmael/profiles."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ishmael.words.errors import RequestRefused

PROFILE_SCHEMA = 1
_PATH = re.compile(r"(/[A-Za-z0-9._+-]+)+")
_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,99}")
_DIRECTORY = re.compile(r"/[^/\x00-\x1f]+(/[^/\x00-\x1f]+)+")


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
        when_failing: what a master does when systemd cannot keep it up: ``notify`` tells the admin, ``hand-over`` gives the
            role to the slave as well.
    """

    name: str
    warm: bool = False
    on_close: str = "stop"
    start_ms: int = 30000
    stop_ms: int = 3000
    when_failing: str = "notify"


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
class FileSet:
    """A directory that the slave has a copy of.

    Args:
        path: the directory.
        exclude: patterns of rsync(1) for what is worth no copy (caches, temporary files).
        local: names below it that each node has for itself, such as the files that name the machine.
        held: the copy waits in a place of Ishmael's and is put in place only at a takeover, for files that act by lying
            there (Asterisk's call files). Of those, only files whose time is still to come are put in place.
        on_change: commands (argument lists) run on the slave when something below it has changed.
    """

    path: str
    exclude: tuple[str, ...] = ()
    local: tuple[str, ...] = ()
    held: bool = False
    on_change: tuple[tuple[str, ...], ...] = ()

    @property
    def slug(self) -> str:
        """Its name where a path cannot stand."""
        return self.path.strip("/").replace("/", "-")


@dataclass(frozen=True, slots=True)
class SqliteSet:
    """A table of keys and values in a SQLite file that a program of the workload has open on both nodes.

    Args:
        path: the file. It is never copied as a file: rows are merged into the one the slave's program has open.
        table: its table, with columns ``key`` and ``value``.
        local: beginnings of keys that each node has for itself.
        release: a command (argument list) that makes the program end its transaction; run on the slave when the program
            holds the file. Asterisk keeps what it has read locked until it writes.
    """

    path: str
    table: str = "astdb"
    local: tuple[str, ...] = ()
    release: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """Its name where a path cannot stand."""
        return self.path.strip("/").replace("/", "-")


@dataclass(frozen=True, slots=True)
class Profile:
    """A workload.

    Args:
        name: of the file, without suffix.
        units: in start order; closed in reverse.
        on_open: commands (argument lists) run on the master once the cluster IP is up; a failure is reported only.
        command_ms: time limit of each command.
        database: kept in step on both nodes, or None.
        files: directories that the slave has a copy of.
        sqlite: SQLite files whose rows the slave has too.
        packages: Debian packages that both nodes must have in one version, beside Ishmael's own.
        firmware: directories (of telephones and the like) that re-adding makes the same as the master's.
    """

    name: str
    units: tuple[Unit, ...] = ()
    on_open: tuple[tuple[str, ...], ...] = ()
    command_ms: int = 5000
    database: DatabaseWanted | None = None
    files: tuple[FileSet, ...] = ()
    sqlite: tuple[SqliteSet, ...] = ()
    packages: tuple[str, ...] = ()
    firmware: tuple[str, ...] = ()


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
    wanted = values.pop("database", None)
    database = None if wanted is None else _database(wanted)
    files = tuple(_file_set(entry) for entry in values.pop("files", ()))
    sqlite = tuple(_sqlite_set(entry) for entry in values.pop("sqlite", ()))
    _no_nesting([entry.path for entry in files])
    packages = _matching("packages", values.pop("packages", ()), _PACKAGE)
    firmware = _matching("firmware", values.pop("firmware", ()), _DIRECTORY)
    return Profile(
        units=units, on_open=on_open, database=database, files=files, sqlite=sqlite, packages=packages, firmware=firmware,
        **values,
    )  # fmt: skip


def _matching(key: str, raw: Any, pattern: re.Pattern[str]) -> tuple[str, ...]:
    if not isinstance(raw, (list, tuple)):
        raise TypeError(f"{key} is no list of texts")
    for text in raw:
        if not isinstance(text, str) or not pattern.fullmatch(text) or "/../" in f"{text}/":
            raise ValueError(f"{text!r} in {key} is not valid")
    return tuple(raw)


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


def _texts(raw: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = raw.get(key, ())
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) and item for item in value):
        raise ValueError(f"{key} of {raw.get('path')!r} is no list of texts")
    if any(ord(char) < ord(" ") for item in value for char in item):
        raise ValueError(f"{key} of {raw.get('path')!r} has a control character")
    return tuple(value)


def _safe_path(path: object) -> str:
    """A path that may be copied over: absolute, plain, and not the machine itself."""
    if not isinstance(path, str) or not _PATH.fullmatch(path) or ".." in path.split("/"):
        raise ValueError(f"{path!r} is no absolute path of letters, digits and . _ + - without a slash at its end")
    if path.count("/") < 2:
        raise ValueError(f"{path} is too much to be copied: name a directory below it")
    return path


def _file_set(raw: Mapping[str, Any]) -> FileSet:
    commands = tuple(tuple(str(word) for word in argv) for argv in raw.get("on_change", ()))
    lists = {"exclude": _texts(raw, "exclude"), "local": _texts(raw, "local"), "on_change": commands}
    found = FileSet(**{**raw, **lists})
    _safe_path(found.path)
    if not isinstance(found.held, bool):
        raise ValueError(f"held of {found.path} is neither true nor false")  # noqa: TRY004 - told as one of the values
    return found


def _sqlite_set(raw: Mapping[str, Any]) -> SqliteSet:
    found = SqliteSet(**{**raw, "local": _texts(raw, "local"), "release": _texts(raw, "release")})
    _safe_path(found.path)
    if not isinstance(found.table, str) or not _TABLE.fullmatch(found.table):
        raise ValueError(f"{found.table!r} is no name of a table")
    return found


def _no_nesting(paths: list[str]) -> None:
    for one in paths:
        for other in paths:
            if one is not other and (other == one or other.startswith(one + "/")):
                raise ValueError(f"{other} lies in {one}: name it once")


def _unit(raw: Mapping[str, Any]) -> Unit:
    unit = Unit(**raw)
    if "." not in unit.name or "/" in unit.name or unit.name.startswith("-"):
        raise ValueError(f"{unit.name!r} is no unit name with a suffix")
    if unit.on_close not in ("stop", "kill"):
        raise ValueError(f"on_close of {unit.name} is {unit.on_close!r}, not stop or kill")
    if unit.when_failing not in ("notify", "hand-over"):
        raise ValueError(f"when_failing of {unit.name} is {unit.when_failing!r}, not notify or hand-over")
    return unit
