"""The replicated database of a node: which PostgreSQL cluster it is, and what both programs call its parts.

Written at set-up (``places.DATABASE``); a node without that file has no replicated database.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from ishmael.words.errors import HostFault

DATABASE_SCHEMA = 1
ADMIN_ROLE = "ishmael"
"""Superuser that root on this machine, and nobody else, may be (peer authentication)."""
REPLICATION_ROLE = "ishmael_replica"
OWN_DATABASE = "ishmael"
"""Holds the canary row and nothing else."""
SOCKETS = "/var/run/postgresql"
REWINDING = "ishmael-rewinding"
"""Lies in the data directory while pg_rewind works: a directory that has it is half of two histories."""

COPY_SUFFIX = ".ishmael-new"
"""What the name of a data directory has at its end while a copy of the master's is made beside it."""


@dataclass(frozen=True, slots=True)
class Database:
    """One PostgreSQL cluster in Debian's layout (pg_createcluster(8)).

    Args:
        version: major version, as in ``/usr/lib/postgresql/15``.
        cluster: its name, ``main`` by default.
        port: TCP port and number of its Unix socket.
        start: what its ``start.conf`` said before Ishmael came.
        made: it was made by Ishmael, so what was in it first is worth nothing.
    """

    version: str
    cluster: str
    port: int
    start: str = "auto"
    made: bool = False

    @property
    def unit(self) -> str:
        """Its systemd unit."""
        return f"postgresql@{self.version}-{self.cluster}.service"

    @property
    def data(self) -> str:
        """Its data directory."""
        return f"/var/lib/postgresql/{self.version}/{self.cluster}"

    @property
    def copy(self) -> str:
        """Where a copy of the master's data directory is made, and waits if it was cut."""
        return f"{self.data}{COPY_SUFFIX}"

    @property
    def etc(self) -> str:
        """Its configuration."""
        return f"/etc/postgresql/{self.version}/{self.cluster}"

    @property
    def programs(self) -> str:
        """Directory of this version's own programs."""
        return f"/usr/lib/postgresql/{self.version}/bin"

    @property
    def log_file(self) -> str:
        """Where the server writes what it has to say."""
        return f"/var/log/postgresql/postgresql-{self.version}-{self.cluster}.log"

    @property
    def role_file(self) -> str:
        """Settings that change with the role of this node; written by dbwatch."""
        return f"{self.etc}/conf.d/zz-ishmael-role.conf"

    @property
    def settings_file(self) -> str:
        """Settings of replication; written at set-up."""
        return f"{self.etc}/conf.d/zz-ishmael.conf"

    def to_bytes(self) -> bytes:
        """The file's content."""
        return json.dumps({"schema": DATABASE_SCHEMA, **asdict(self)}, indent=1).encode() + b"\n"


def application_name(node: int) -> str:
    """What the follower on this node calls itself, and its slot on the other one."""
    return f"ishmael_{node}"


def database_from_bytes(raw: bytes) -> Database:
    """Read the file.

    Raises:
        HostFault: it is not what was written.
    """
    try:
        values: dict[str, Any] = json.loads(raw)
        schema, made = values.pop("schema"), Database(**values)
        whole = made.version.isdigit() and made.cluster.isidentifier() and type(made.port) is int
        why = "" if schema == DATABASE_SCHEMA and whole else "its fields are not those that were written"
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        why = str(error)
    if why:
        raise HostFault(
            "database-file", f"The file that names the database cannot be read: {why}.", "Re-add this node."
        )
    return made
