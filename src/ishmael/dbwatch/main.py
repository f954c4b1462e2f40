"""The watch over the database: does what the keeper wants of it, and tells the keeper how it is.

A process of its own beside the keeper (ishmael-dbwatch.service), because everything here may wait: for a server that
starts, a disk, a lock. Two threads: this one talks to the keeper and never waits for the database; the other one does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ishmael.dbwatch.keeping import Keeping
from ishmael.dbwatch.wanted import Facts, Wanted, wanted_from_mapping
from ishmael.words import places
from ishmael.words.database import Database, database_from_bytes
from ishmael.words.errors import HostFault

_LINE_MAX_BYTES = 65536
_EVERY_S = 0.1
_TELL_EVERY_S = 0.5
_LOOK_FOR_DATABASE_S = 0.5


class Watch:
    """The thread that waits: one look after the other, at once when the wish changes."""

    def __init__(self, find: Path) -> None:
        self._find = find
        self._wanted = Wanted()
        self._facts = Facts()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._told_read, self._told_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._said = ""

    @property
    def fileno(self) -> int:
        """Readable when something new was found."""
        return self._told_read

    def want(self, wanted: Wanted) -> None:
        """Another wish."""
        with self._lock:
            changed = wanted != self._wanted
            self._wanted = wanted
        if changed:
            self._wake.set()

    def facts(self) -> Facts:
        """What was found last."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._told_read, 4096)
        with self._lock:
            return self._facts

    def run(self) -> None:
        """For ever."""
        keeping: Keeping | None = None
        database: Database | None = None
        while True:
            found = self._database()
            if found != database:
                database, keeping = found, Keeping(found) if found is not None else None
            with self._lock:
                wanted = self._wanted
            if keeping is not None:
                self._tell(keeping.once(wanted))
            self._wake.wait(_EVERY_S if keeping is not None else _LOOK_FOR_DATABASE_S)
            self._wake.clear()

    def _database(self) -> Database | None:
        try:
            return database_from_bytes(self._find.read_bytes())
        except OSError:
            return None
        except HostFault as error:
            self._say(error.message)
            return None

    def _tell(self, facts: Facts) -> None:
        with self._lock:
            self._facts = facts
        self._say(f"{facts.failed or facts.why}")
        with contextlib.suppress(BlockingIOError):
            os.write(self._told_write, b".")

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            print(text or "all is as the keeper wants it", flush=True)


class Talk:
    """The thread that never waits: one keeper at a time on a Unix socket."""

    def __init__(self, path: Path, watch: Watch) -> None:
        self._watch = watch
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        before = os.umask(0o177)
        try:
            self._listener.bind(str(path))
        finally:
            os.umask(before)
        self._listener.listen(2)
        self._keeper: socket.socket | None = None
        self._in = b""
        self._told: Facts | None = None
        self._told_s = 0.0

    def once(self) -> None:
        """Take in what came, and tell what is known."""
        wires: list[Any] = [self._listener, self._watch.fileno, *([self._keeper] if self._keeper is not None else [])]
        ready, _, _ = select.select(wires, [], [], _EVERY_S)
        if self._listener in ready:
            self._accept()
        if self._keeper is not None and self._keeper in ready:
            self._read(self._keeper)
        self._tell()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            keeper, _ = self._listener.accept()
            keeper.setblocking(False)
            self._hang_up()
            self._keeper, self._told = keeper, None

    def _read(self, keeper: socket.socket) -> None:
        try:
            data = keeper.recv(_LINE_MAX_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        *lines, self._in = (self._in + data).split(b"\n")
        if not data or len(self._in) > _LINE_MAX_BYTES:
            self._hang_up()
            return
        for line in lines:
            with contextlib.suppress(ValueError):
                wanted = wanted_from_mapping(json.loads(line))
                if wanted is not None:
                    self._watch.want(wanted)

    def _tell(self) -> None:
        facts = self._watch.facts()
        if self._keeper is None:
            return
        # What is only measured is told now and then: whoever listens should not be woken for it.
        plain, now_s = replace(facts, lag_bytes=None, canary_age_ms=None), time.monotonic()
        if plain == self._told and now_s - self._told_s < _TELL_EVERY_S:
            return
        self._told, self._told_s = plain, now_s
        try:
            self._keeper.send(json.dumps(facts.to_mapping()).encode() + b"\n")
        except BlockingIOError:
            self._told = None  # The next line says it again.
        except OSError:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._keeper is not None:
            self._keeper.close()
        self._keeper, self._in = None, b""


def main(argv: list[str] | None = None) -> int:
    """Entry point of ishmael-dbwatch.service.

    Args:
        argv: command line without the program's name.
    """
    parser = argparse.ArgumentParser(prog="python -m ishmael.dbwatch.main", description=__doc__)
    parser.add_argument("--socket", type=Path, default=Path(places.DBWATCH_SOCKET), help="where the keeper finds it")
    parser.add_argument("--database", type=Path, default=Path(places.DATABASE), help="the file that names the database")
    options = parser.parse_args(argv)
    watch = Watch(options.database)
    talk = Talk(options.socket, watch)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    worker = threading.Thread(target=watch.run, daemon=True)
    worker.start()
    while worker.is_alive():
        talk.once()
    # The other thread never ends by itself: systemd starts both anew.
    time.sleep(0.1)
    return 1


if __name__ == "__main__":
    sys.exit(main())
