"""Starting the server through systemd, which may wait without end for one that was killed in its first seconds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ishmael.dbwatch import server
from ishmael.dbwatch.server import Server
from ishmael.words.database import Database

# A start blocks until there was a stop, as that of a unit whose server is gone.
SYSTEMCTL = """#!/bin/sh
echo "$*" >>{log}
case "$*" in *" start "*) while ! grep -q " stop " {log}; do sleep 0.02; done ;; esac
"""


def test_a_start_that_is_stuck_is_given_up_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before its time: a recovery may take long, and one that is slow is no reason to stop it."""
    log = tmp_path / "log"
    (tmp_path / "systemctl").write_text(SYSTEMCTL.format(log=log))
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(server, "_START_AGAIN_S", 0.1)
    watched = Server(Database("0", "none", 1))
    watched.start()
    watched.start()
    assert "stop" not in log.read_text()
    monkeypatch.setattr(server, "_STUCK_S", 0.2)
    time.sleep(0.3)
    watched.start()
    assert "--no-block stop postgresql@0-none.service" in log.read_text()
    deadline_s = time.monotonic() + 5
    while log.read_text().count(" start ") < 2 and time.monotonic() < deadline_s:
        watched.start()
        time.sleep(0.02)
    assert log.read_text().count(" start ") == 2
