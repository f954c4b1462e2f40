"""Writers on the client: insert rows over the cluster IP, and put every acknowledged one on the host's disk first.

``python -m ishmael.lab.writer URL DIRECTORY FIRST WORKERS``: so many workers, numbered from FIRST on.
Each worker appends "number milliseconds" to its own file once the
server has acknowledged the commit of that number; it ends with SIGTERM, or when its input ends.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psycopg

TABLE = "CREATE TABLE IF NOT EXISTS written (worker int, number bigint, at timestamptz DEFAULT now(), PRIMARY KEY (worker, number))"
_TRY_AGAIN_S = 0.05


class Writer:
    """One connection's worth of writing."""

    def __init__(self, url: str, directory: Path, worker: int) -> None:
        self._url, self._worker = url, worker
        path = directory / f"acknowledged-{worker}"
        lines = path.read_text(encoding="ascii").split("\n") if path.exists() else []
        last = next((line for line in reversed(lines) if line.strip()), "")
        # Far beyond whatever was sent before and never acknowledged.
        self._number = (int(last.split()[0]) if last else 0) + 1000
        self._out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.stop = False

    def run(self) -> None:
        """Write until told to stop; a connection that fails is made anew."""
        while not self.stop:
            try:
                # A number whose fate is not known is never used again: it may be there or not.
                with psycopg.connect(
                    self._url, connect_timeout=2, autocommit=True, tcp_user_timeout=1500, keepalives_idle=1,
                    keepalives_interval=1, keepalives_count=2, options="-c lock_timeout=0",
                ) as wire:  # fmt: skip
                    self._write(wire)
            except psycopg.Error:
                time.sleep(_TRY_AGAIN_S)

    def _write(self, wire: psycopg.Connection[Any]) -> None:
        warned: list[str] = []
        wire.add_notice_handler(lambda notice: warned.append(str(notice.message_primary)))
        while not self.stop:
            self._number += 1
            warned.clear()
            begun_s = time.monotonic()
            wire.execute("INSERT INTO written (worker, number) VALUES (%s, %s)", (self._worker, self._number))
            # A commit whose wait was cancelled is reported with a warning: it does not count as acknowledged.
            if not warned:
                took_ms = (time.monotonic() - begun_s) * 1000
                os.write(self._out, f"{self._number} {took_ms:.2f}\n".encode())


def main() -> int:
    """Write until the input ends."""
    url, directory, first, workers = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    writers = [Writer(url, directory, worker) for worker in range(first, first + workers)]
    threads = [threading.Thread(target=writer.run, daemon=True) for writer in writers]
    for thread in threads:
        thread.start()
    while select.select([sys.stdin], [], [], 1.0)[0] == [] or os.read(sys.stdin.fileno(), 1):
        pass
    for writer in writers:
        writer.stop = True
    for thread in threads:
        thread.join(timeout=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
