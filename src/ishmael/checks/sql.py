"""One query at the local database, bounded in time; root is let in by the database's own rule for it."""

from __future__ import annotations

from pathlib import Path

from ishmael.checks.base import program
from ishmael.words import places
from ishmael.words.database import ADMIN_ROLE, OWN_DATABASE, SOCKETS, Database, database_from_bytes
from ishmael.words.errors import HostFault


def database() -> Database | None:
    """The replicated database of this node; None without one."""
    try:
        return database_from_bytes(Path(places.DATABASE).read_bytes())
    except (FileNotFoundError, HostFault):
        return None


def ask(found: Database, query: str) -> tuple[int, str]:
    """Exit code and rows, columns divided by a bar."""
    return program(
        [
            f"{found.programs}/psql", "--no-psqlrc", "-AtqX", "--no-password", "--set=ON_ERROR_STOP=1",
            f"--host={SOCKETS}", f"--port={found.port}", f"--username={ADMIN_ROLE}", f"--dbname={OWN_DATABASE}",
            "-c", query,
        ],
        4.0,
    )  # fmt: skip
