"""What PostgreSQL's own tools say of a data directory and of the other node: control data, history, log, copies."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ishmael.manager.drivers.postgres import PASSFILE, as_postgres
from ishmael.manager.drivers.programs import PATH
from ishmael.words.database import OWN_DATABASE, Database
from ishmael.words.errors import HostFault, PeerFault

_SEGMENT = re.compile(r"[0-9A-F]{24}")
_PAGE_HEAD_BYTES = 40
SILENT = "master-database-silent"
"""Code of the error of a master's database that cannot be reached, for now or for good."""
_PATIENCE_S, _PAUSE_S = 20.0, 1.0
# How the end of a log looks: a record that is none, no whole record behind the position, no further file.
_ENDS_OF_LOG = ("error in WAL record", "could not find a valid record", "could not find file")
_KILOBYTES = re.compile(rb"(\d+)/(\d+) kB \(\d+%\)")


def lsn(text: str) -> int:
    """A position in the log ("0/3000148") as a number of bytes."""
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def lsn_text(position: int) -> str:
    """And back."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


@dataclass(frozen=True, slots=True)
class Master:
    """The other node's server: who it is, and where each earlier timeline of it ended."""

    system: str
    timeline: int
    position: int
    forks: Mapping[int, int]


class Source:
    """The other node's server, over the replication protocol (PostgreSQL manual, "Streaming Replication Protocol").

    Args:
        database: this node's cluster.
        conninfo: how it is reached.
        master: host name of its node.
    """

    def __init__(self, database: Database, conninfo: str, master: str) -> None:
        self._database, self.conninfo, self.master = database, conninfo, master

    def look(self) -> Master:
        """Who it is now; one that is only just starting, or whose cable is put back in, is waited for.

        Raises:
            PeerFault: it cannot be reached, or refuses the password.
        """
        until_s = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return self._look()
            except PeerFault as error:
                if error.code != SILENT or time.monotonic() > until_s:
                    raise
                time.sleep(_PAUSE_S)

    def _look(self) -> Master:
        system, timeline, position, _ = self._ask("IDENTIFY_SYSTEM")[0]
        forks: dict[int, int] = {}
        if int(timeline) > 1:
            text = self._ask(f"TIMELINE_HISTORY {int(timeline)}")
            for line in "\n".join(" ".join(row) for row in text).splitlines():
                found = re.match(r"\s*(?:\S+\.history )?(\d+)\s+([0-9A-F]+/[0-9A-F]+)", line)
                if found:
                    forks[int(found[1])] = lsn(found[2])
        return Master(system, int(timeline), lsn(position), forks)

    def _ask(self, statement: str) -> list[list[str]]:
        argv = [
            *(f"{self._database.programs}/psql", "--no-psqlrc", "--no-align", "--tuples-only", "--quiet"),
            *(
                "--field-separator=\t",
                f"--command={statement}",
                f"{self.conninfo} dbname={OWN_DATABASE} replication=database",
            ),
        ]
        done = as_postgres(argv, limit_s=30, env={"PGPASSFILE": PASSFILE})
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            said = next((line for line in lines if "FATAL" in line), "; ".join(line.strip() for line in lines))
            refused = "password authentication" in said or "no pg_hba.conf entry" in said
            code = "replication-refused" if refused else SILENT
            hint = (
                "The replication password differs: re-add this node." if refused
                else "Is PostgreSQL running on the master, and port 5432 open between the nodes?"
            )  # fmt: skip
            raise PeerFault(code, f"The master's database cannot be followed: {said}.", hint)
        return [line.split("\t") for line in done.stdout.decode(errors="replace").splitlines()]


@dataclass(frozen=True, slots=True)
class Control:
    """A data directory's own account (pg_controldata(1))."""

    system: str
    timeline: int
    shut_down: bool


def control_of(database: Database) -> Control | None:
    """None when it is no data directory, or damaged."""
    done = as_postgres([f"{database.programs}/pg_controldata", f"--pgdata={database.data}"])
    found: dict[str, str] = {}
    for line in done.stdout.decode(errors="replace").splitlines():
        name, _, value = line.partition(":")
        found[name.strip()] = value.strip()
    try:
        return Control(
            found["Database system identifier"], int(found["Latest checkpoint's TimeLineID"]),
            found["Database cluster state"] in ("shut down", "shut down in recovery"),
        )  # fmt: skip
    except (KeyError, ValueError):
        return None


def transactions_after(database: Database, timeline: int, position: int) -> tuple[bool, list[str]]:
    """What this data directory's log holds beyond a position (pg_waldump(1)).

    The server must be stopped.

    Returns:
        Whether there is anything, and the numbers of the transactions committed there.

    Raises:
        HostFault: the log cannot be read; nobody may conclude from that that there is nothing.
    """
    remove_empty_segments(Path(database.data) / "pg_wal")
    argv = [
        *(f"{database.programs}/pg_waldump", f"--path={database.data}/pg_wal", f"--timeline={timeline}"),
        f"--start={lsn_text(position)}",
    ]
    done = as_postgres(argv, limit_s=300)
    lines = done.stdout.decode(errors="replace").splitlines()
    records = [line for line in lines if line.startswith("rmgr:")]
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode and not any(end in said for end in _ENDS_OF_LOG):
        last = said.splitlines()[-1] if said else f"exit code {done.returncode}"
        raise HostFault(
            "database-log-unreadable", f"The log of this node's database cannot be read: {last}.", "See: pg_waldump(1)"
        )
    found = [re.search(r"tx:\s+(\d+)", line) for line in records if " desc: COMMIT" in line]
    return bool(records), [match[1] for match in found if match is not None and match[1] != "0"]


def remove_empty_segments(log: Path) -> None:
    """Remove log files that were made and never written to, as a power cut leaves one: pg_waldump(1) may take the size of all from it.

    Args:
        log: the directory ``pg_wal`` of a server that is stopped.
    """
    for path in log.glob("*"):
        if _SEGMENT.fullmatch(path.name):
            with path.open("rb") as file:
                empty = not any(file.read(_PAGE_HEAD_BYTES))
            if empty:
                path.unlink()


def copy_with_progress(argv: list[str], tell: Callable[[int, int], None], *, what: str) -> str:
    """Run a tool of PostgreSQL that shows its progress, as the database's user.

    Args:
        argv: the tool.
        tell: gets bytes copied and bytes in all, now and then.
        what: in plain words, for the error.

    Returns:
        What it said besides.

    Raises:
        HostFault: it failed.
    """
    user = pwd.getpwnam("postgres")
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/",
        user=user.pw_uid, group=user.pw_gid, extra_groups=os.getgrouplist("postgres", user.pw_gid),
        env={"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": user.pw_dir, "PGPASSFILE": PASSFILE},
    )  # fmt: skip
    assert process.stderr is not None
    said, copied = b"", (-1, 0)
    while data := os.read(process.stderr.fileno(), 65536):
        said = (said + data)[-65536:]
        found = _KILOBYTES.findall(data)
        if found and (int(found[-1][0]) * 1024, int(found[-1][1]) * 1024) != copied:
            copied = (int(found[-1][0]) * 1024, int(found[-1][1]) * 1024)
            tell(*copied)
    text = said.decode(errors="replace").replace("\r", "\n")
    if process.wait() != 0:
        lines = [line.strip() for line in text.splitlines() if line.strip() and not _KILOBYTES.search(line.encode())]
        last = lines[-1] if lines else f"exit code {process.returncode}"
        code = "disk-full" if "No space left" in text else "database-copy-failed"
        raise HostFault(code, f"{what}: {last}", "See: df -h; and the log of PostgreSQL on the master")
    return text
