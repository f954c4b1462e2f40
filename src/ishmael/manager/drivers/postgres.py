"""PostgreSQL in Debian's layout: pg_createcluster(1), pg_ctlcluster(1), psql(1); no query needs more than psql here."""

from __future__ import annotations

import fcntl
import os
import pwd
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ishmael.manager.drivers.files import DiskFiles
from ishmael.manager.drivers.half_copy import forget_copy, give_up_copy
from ishmael.manager.drivers.joinstate import JoinState
from ishmael.manager.drivers.programs import PATH, run, words_of
from ishmael.manager.ports.database import Pairing
from ishmael.words import places
from ishmael.words.database import (
    ADMIN_ROLE,
    OWN_DATABASE,
    REPLICATION_ROLE,
    SOCKETS,
    Database,
    application_name,
    database_from_bytes,
)
from ishmael.words.errors import HostFault

PASSFILE = "/var/lib/postgresql/.ishmael-pgpass"
JOIN_UNIT = "ishmael-database-join.service"
_BEGIN, _END = "# BEGIN Ishmael: written at set-up, replaced as a whole", "# END Ishmael"
_BLOCK = re.compile(rf"{re.escape(_BEGIN)}\n.*?{re.escape(_END)}\n", re.DOTALL)
_STARTING_LIMIT_S = 70.0
_START_LIMIT_S = 120.0

_SETTINGS = """\
# Written by Ishmael at set-up; see docs/reference/database.md.
listen_addresses = '*'
wal_log_hints = on
max_slot_wal_keep_size = {keep_mb}MB
wal_keep_size = 64MB
wal_recycle = off
wal_compression = lz4
recovery_init_sync_method = syncfs
wal_sender_timeout = 10s
wal_receiver_timeout = 10s
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 200ms
tcp_user_timeout = 2000
max_standby_streaming_delay = 200ms
hot_standby = on
synchronous_commit = on
lc_messages = 'C'
primary_conninfo = '{source}'
primary_slot_name = '{slot}'
"""

# The function grants are those pg_rewind(1) asks for, which whole_copy.py reads files with, too, and those for its backup.
_OURS = """\
SELECT 'CREATE ROLE {admin} SUPERUSER LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{admin}') \\gexec
SELECT 'CREATE ROLE {replica} REPLICATION LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{replica}') \\gexec
ALTER ROLE {replica} REPLICATION LOGIN PASSWORD '{password}';
SELECT 'CREATE DATABASE {own} OWNER {admin}' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{own}') \\gexec
\\connect {own}
CREATE TABLE IF NOT EXISTS canary (one boolean PRIMARY KEY DEFAULT true CHECK (one),
  at timestamptz NOT NULL DEFAULT clock_timestamp(), beat bigint NOT NULL DEFAULT 0) WITH (fillfactor = 20);
ALTER TABLE canary OWNER TO {admin};
INSERT INTO canary DEFAULT VALUES ON CONFLICT DO NOTHING;
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean) TO {replica};
GRANT EXECUTE ON FUNCTION pg_stat_file(text, boolean) TO {replica};
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text) TO {replica};
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text, bigint, bigint, boolean) TO {replica};
GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean) TO {replica};
GRANT EXECUTE ON FUNCTION pg_backup_stop(boolean) TO {replica};
"""
# The log is kept for the slave from now on; the checkpoint puts this server's timeline where pg_rewind(1) looks for it.
_FOR_SLAVE = """\
SELECT pg_create_physical_replication_slot('{slot}', true)
  WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '{slot}') \\g /dev/null
CHECKPOINT;
"""


def as_postgres(
    argv: Sequence[str], *, given: str = "", limit_s: float = 60.0, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a program as the database's own user and wait for it.

    Raises:
        HostFault: it is not there, or not done in time.
    """
    user = pwd.getpwnam("postgres")
    try:
        return subprocess.run(
            list(argv), input=given.encode(), capture_output=True, timeout=limit_s, check=False, cwd="/",
            user=user.pw_uid, group=user.pw_gid, extra_groups=os.getgrouplist("postgres", user.pw_gid),
            env={"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": user.pw_dir, **(env or {})},
        )  # fmt: skip
    except FileNotFoundError as error:
        raise HostFault("program-missing", f"The program {argv[0]} is not installed.", "Install PostgreSQL.") from error
    except subprocess.TimeoutExpired as error:
        raise HostFault("database-slow", f"{argv[0]} did not end within {limit_s:.0f} s.", "See: df -h; top") from error


def source_of(pairing: Pairing) -> str:
    """How the follower on this node reaches the other one: by cable, else over the telephone network.

    The password proves both sides to each other and binds the encrypted channel to it (SCRAM-SHA-256-PLUS, RFC 5802
    and RFC 5929), so certificates need no authority.
    """
    peer = pairing.settings.peer_of(pairing.me)
    if peer is None:
        return ""
    words = {
        "host": f"{peer.internal_ip},{peer.phone_ip}", "user": REPLICATION_ROLE, "passfile": PASSFILE,
        "application_name": application_name(pairing.me), "sslmode": "require", "channel_binding": "require",
        "connect_timeout": "2", "tcp_user_timeout": "2000", "keepalives_idle": "1", "keepalives_interval": "1",
        "keepalives_count": "2",
    }  # fmt: skip
    return " ".join(f"{key}={value}" for key, value in words.items())


def comes_up(database: Database) -> bool:
    """Whether its unit is active. One that is being started is waited for: systemd could neither reload nor stop it in order."""
    deadline_s = time.monotonic() + _STARTING_LIMIT_S
    while True:
        said = run(["systemctl", "is-active", database.unit]).stdout.strip()
        if said != b"activating" or time.monotonic() > deadline_s:
            return said == b"active"
        time.sleep(0.1)


class Postgres:
    """The real one."""

    def __init__(self) -> None:
        self._files = DiskFiles()

    def installed(self) -> str:
        """Newest major version whose server is there."""
        found = [path.parts[4] for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
        return max((version for version in found if version.isdigit()), key=int, default="")

    def managed(self) -> Database | None:
        """The cluster that is ours to keep in step, or None."""
        raw = self._files.read(places.DATABASE)
        return database_from_bytes(raw) if raw is not None else None

    # --- the files --------------------------------------------------------------------------------------------------

    def _named(self, pairing: Pairing) -> Database:
        """The cluster there is, or the one to be made."""
        managed = self.managed()
        if managed is not None:
            return managed
        found: list[Database] = []
        for path in Path("/etc/postgresql").glob(f"*/{pairing.wanted.cluster}/postgresql.conf"):
            port = re.search(r"^\s*port\s*=\s*(\d+)", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
            start = (path.parent / "start.conf").read_text(encoding="utf-8", errors="replace")
            was = "auto" if re.search(r"^\s*auto\b", start, re.MULTILINE) else "manual"
            found.append(Database(path.parts[3], pairing.wanted.cluster, int(port[1]) if port else 5432, was))
        best = max(found, key=lambda one: int(one.version), default=None)
        return best or Database(self.installed(), pairing.wanted.cluster, 5432, "auto", made=True)

    def _texts(self, database: Database, pairing: Pairing) -> dict[str, tuple[bytes, int]]:
        settings = _SETTINGS.format(
            keep_mb=pairing.wanted.keep_mb, source=source_of(pairing), slot=application_name(pairing.me)
        )
        hba = [f"local all {ADMIN_ROLE} peer map=ishmael"]
        for node in pairing.settings.nodes:
            for address in (node.internal_ip, node.phone_ip):
                hba += [
                    f"hostssl {what} {REPLICATION_ROLE} {address}/32 scram-sha-256"
                    for what in ("replication", OWN_DATABASE)
                ]
        return {
            database.settings_file: (settings.encode(), 0o640),
            f"{database.etc}/pg_hba.conf": (self._with_block(f"{database.etc}/pg_hba.conf", hba), 0o640),
            f"{database.etc}/pg_ident.conf": (
                self._with_block(f"{database.etc}/pg_ident.conf", [f"ishmael root {ADMIN_ROLE}"]), 0o640,
            ),
            f"{database.etc}/start.conf": (b"# Ishmael starts it, as what it may be.\nmanual\n", 0o644),
            f"{database.etc}/postgresql.conf": (self._with_include(f"{database.etc}/postgresql.conf"), 0o644),
            PASSFILE: (f"*:*:*:{REPLICATION_ROLE}:{pairing.password}\n".encode(), 0o600),
        }  # fmt: skip

    def _with_block(self, path: str, lines: Sequence[str]) -> bytes:
        text = _BLOCK.sub("", (self._files.read(path) or b"").decode(errors="replace"))
        block = "".join(f"{line}\n" for line in (_BEGIN, *lines, _END)) if lines else ""
        return (block + text).encode()

    def _with_include(self, path: str) -> bytes:
        """Debian's clusters read conf.d; one made by other rules has to be told to."""
        text = (self._files.read(path) or b"").decode(errors="replace")
        bare = _BLOCK.sub("", text)
        if re.search(r"^\s*include_dir\s*=?\s*'conf\.d'", bare, re.MULTILINE):
            return bare.encode()
        return f"{bare}{_BEGIN}\ninclude_dir = 'conf.d'\n{_END}\n".encode()

    def _write(self, path: str, data: bytes, mode: int) -> None:
        self._files.write(path, data, mode)
        os.chown(path, *_owner())

    def is_prepared(self, pairing: Pairing) -> bool:
        """It is configured exactly so."""
        database = self.managed()
        return database is not None and all(
            self._files.read(path) == data for path, (data, _) in self._texts(database, pairing).items()
        )

    # --- acting -----------------------------------------------------------------------------------------------------

    def prepare(self, pairing: Pairing, *, master: bool) -> None:
        """Adopt or make the cluster and configure it; as master also start it and make what is ours in it."""
        first = self.managed() is None
        database = self._named(pairing)
        if not (Path(database.etc) / "postgresql.conf").exists():
            _must(
                run(["pg_createcluster", "--port", str(database.port), database.version, database.cluster, "--",
                     "--data-checksums"], limit_s=_START_LIMIT_S),
                "the database cluster could not be made",
            )  # fmt: skip
        Path(database.settings_file).parent.mkdir(mode=0o755, exist_ok=True)
        os.chown(Path(database.settings_file).parent, *_owner())
        for path, (data, mode) in self._texts(database, pairing).items():
            if self._files.read(path) != data or self._files.mode(path) != mode:
                self._write(path, data, mode)
        self._files.write(places.REPLICATION_PASSWORD, pairing.password.encode(), 0o600)
        if master:
            self._start(database, anew=first)
            peer = pairing.settings.peer_of(pairing.me)
            self._make_ours(database, pairing.password, application_name(peer.id) if peer is not None else "")
        elif self._running(database):
            run(["systemctl", "reload", database.unit], limit_s=30)
        self._files.write(places.DATABASE, database.to_bytes(), 0o644)

    def _running(self, database: Database) -> bool:
        return comes_up(database)

    def _start(self, database: Database, *, anew: bool) -> None:
        verb = "restart" if anew or not self._running(database) else "reload"
        _must(run(["systemctl", verb, database.unit], limit_s=_START_LIMIT_S), "the database did not start")

    def _make_ours(self, database: Database, password: str, slot: str) -> None:
        script = _OURS.format(admin=ADMIN_ROLE, replica=REPLICATION_ROLE, own=OWN_DATABASE, password=password)
        script += _FOR_SLAVE.format(slot=slot) if slot else ""
        psql = [
            *("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--host={SOCKETS}"),
            *(f"--port={database.port}", "--dbname=postgres"),
        ]
        # Nothing of it may wait for a slave that is not there.
        env = {"PGOPTIONS": "-c synchronous_commit=local -c log_statement=none"}
        _must(as_postgres(psql, given=script, env=env), "what Ishmael needs in the database could not be made")

    def release(self) -> None:
        """Let it be an ordinary database of this machine again; its data stays."""
        database = self.managed()
        if database is None:
            return
        data, seen = Path(database.data), JoinState().read()
        if (seen["state"], seen.get("rung")) == ("running", "copy"):
            give_up_copy(data, lambda: _must(run(["systemctl", "stop", JOIN_UNIT]), "the copying does not stop"))
        # The watch, which still keeps it as a follower, leaves it alone meanwhile, and then finds that it is not ours.
        with Path(places.DATABASE_LOCK).open("w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Of a copy that was cut before.
            forget_copy(data)
            self._release(database)

    def _release(self, database: Database) -> None:
        signal = Path(database.data) / "standby.signal"
        if signal.exists() and self._running(database):
            as_postgres([f"{database.programs}/pg_ctl", "promote", f"--pgdata={database.data}"], limit_s=60)
        elif signal.exists():
            self._files.remove(str(signal))
        for path in (database.settings_file, database.role_file, PASSFILE, places.REPLICATION_PASSWORD):
            self._files.remove(path)
        if (Path(database.etc) / "postgresql.conf").exists():
            for name, mode in (("pg_hba.conf", 0o640), ("pg_ident.conf", 0o640), ("postgresql.conf", 0o644)):
                self._write(f"{database.etc}/{name}", self._with_block(f"{database.etc}/{name}", ()), mode)
            self._write(f"{database.etc}/start.conf", f"{database.start}\n".encode(), 0o644)
            run(["systemctl", "reload" if self._running(database) else "start", database.unit], limit_s=_START_LIMIT_S)
        self._files.remove(places.DATABASE)

    # --- joining ----------------------------------------------------------------------------------------------------

    def join(self, key: str) -> None:
        """Begin to join this node's data to the master's; one under way goes on."""
        if self._joining():
            return
        JoinState().begin(key)
        argv = [
            *("systemd-run", "--quiet", "--collect", f"--unit={JOIN_UNIT}", "--property=KillMode=mixed"),
            *("--property=UMask=0077", "--", sys.executable, "-I", "-m", "ishmael.manager.drivers.database_join", key),
        ]
        _must(run(argv), "the copying of the database could not be started")

    def joined(self) -> Mapping[str, Any]:
        """How far that is."""
        seen = JoinState().read()
        # It holds this lock for as long as it lives; asking systemd takes a program.
        if seen.get("state") == "running" and not _lock_is_held() and not self._joining():
            seen = JoinState().read()
            if seen.get("state") == "running":
                error = {"code": "join-cut-off", "message": "The copying of the database was cut off."}
                return {**seen, "state": "failed", "error": error}
        return seen

    def _joining(self) -> bool:
        said = run(["systemctl", "show", "--property=ActiveState", "--value", JOIN_UNIT]).stdout.decode().strip()
        return said in ("active", "activating", "deactivating", "reloading")


def _lock_is_held() -> bool:
    """Somebody joins this node's data (flock(2))."""
    try:
        with Path(places.DATABASE_LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _owner() -> tuple[int, int]:
    user = pwd.getpwnam("postgres")
    return user.pw_uid, user.pw_gid


def _must(done: subprocess.CompletedProcess[bytes], what: str) -> None:
    if done.returncode:
        raise HostFault("database-failed", f"PostgreSQL: {what}: {words_of(done)}.", "See: journalctl; df -h")
