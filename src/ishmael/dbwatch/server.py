"""The PostgreSQL server as a process: whether it runs, starting it through systemd, stopping it within a limit."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from ishmael.words import places
from ishmael.words.database import REWINDING, Database

_START_AGAIN_S = 3.0
_STUCK_S = 8.0
_PATIENCE = 0.7
"""Share of the time limit that an orderly stop may take, before sessions are cut off without a checkpoint."""


class Server:
    """One cluster's server.

    Args:
        database: which one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._data = Path(database.data)
        self._started_s = -_START_AGAIN_S
        self._starting: subprocess.Popen[bytes] | None = None

    def pid(self) -> int | None:
        """The postmaster's process, from its own lock file; None when it does not run."""
        try:
            first = (self._data / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0]
            pid = int(first)
            name = Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None
        # After a power cut the file names a process of the life before.
        return pid if name == "postgres" else None

    @property
    def follows(self) -> bool:
        """The data directory is a follower's: it starts in recovery and stays there until promoted."""
        return (self._data / "standby.signal").exists()

    def objection(self) -> str:
        """Why it must not be started; empty when nothing stands against it."""
        if being_joined():
            return "its data is being joined to the master's"
        if (self._data / REWINDING).exists():
            return "its data was left half way between two histories; re-add this node"
        if not (self._data / "PG_VERSION").exists():
            return f"there is no data in {self._data}"
        return ""

    def start(self) -> None:
        """Begin to start it, unless that was just tried; does not wait for the end."""
        if self._starting is not None and self._starting.poll() is None:
            self._give_up_if_stuck()
            return
        if time.monotonic() - self._started_s < _START_AGAIN_S:
            return
        self._started_s = time.monotonic()
        subprocess.run(["systemctl", "reset-failed", self._database.unit], capture_output=True, timeout=5, check=False)
        self._starting = subprocess.Popen(
            ["systemctl", "--quiet", "start", self._database.unit],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def _give_up_if_stuck(self) -> None:
        """Killed in the first two seconds, its unit waits without end for a server that is not there: Debian's has no time limit."""
        if time.monotonic() - self._started_s > _STUCK_S and self.pid() is None:
            argv = ["systemctl", "--quiet", "--no-block", "stop", self._database.unit]
            subprocess.run(argv, capture_output=True, timeout=5, check=False)

    def may_start_at_once(self) -> None:
        """Forget when it was last tried."""
        self._started_s = -_START_AGAIN_S

    def stop(self, limit_ms: int) -> bool:
        """Stop it: in order, then without a checkpoint, then by force. True when it has stopped.

        In order ("fast", postgres(1)) the log is sent to the slave to its last byte before the server ends.
        """
        pid = self.pid()
        if pid is None:
            return True
        for number, until_ms in ((signal.SIGINT, int(limit_ms * _PATIENCE)), (signal.SIGQUIT, limit_ms)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            if self._gone(pid, until_ms - (0 if number is signal.SIGINT else int(limit_ms * _PATIENCE))):
                return True
        argv = ["systemctl", "--quiet", "kill", "--signal=SIGKILL", self._database.unit]
        subprocess.run(argv, capture_output=True, timeout=5, check=False)
        return self._gone(pid, 500)

    def _gone(self, pid: int, limit_ms: int) -> bool:
        deadline_s = time.monotonic() + limit_ms / 1000
        while Path(f"/proc/{pid}").exists() and self.pid() == pid:
            if time.monotonic() > deadline_s:
                return False
            time.sleep(0.005)
        return True


@contextlib.contextmanager
def undisturbed(path: Path = Path(places.DATABASE_LOCK), named: Path = Path(places.DATABASE)) -> Iterator[bool]:
    """True while nobody joins the data, or gives it back to the machine; who wants to waits until this has ended."""
    with contextlib.ExitStack() as held:
        try:
            lock = held.enter_context(path.open("rb"))
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            free = True
        except FileNotFoundError:
            free = True
        except OSError:
            free = False
        yield free and named.exists()


def being_joined() -> bool:
    """The program that joins the data holds its lock: nobody else starts the server meanwhile (flock(2))."""
    try:
        with Path(places.DATABASE_LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
