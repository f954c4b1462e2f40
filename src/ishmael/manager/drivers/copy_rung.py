"""The rung "copy": everything of the master's database, into a new directory; a copy that was cut goes on where it was."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ishmael.manager.drivers.masters_files import OtherWay
from ishmael.manager.drivers.pgtools import SILENT, copy_with_progress
from ishmael.manager.drivers.programs import PATH
from ishmael.manager.drivers.whole_copy import Counted, Wanted, must_fit
from ishmael.words.errors import HostFault, IshmaelError, PeerFault

Tell = Callable[[Counted], None]

PATIENCE_S, _PAUSE_S = 60.0, 3.0
_PLAIN_TRIES = 3


class CopyRung:
    """Brings the copy.

    Args:
        wanted: what is to be copied where.
        count: gets how far the attempt under way is.
        tried: gets why one was cut.
        attempt: makes one; the program ``whole_copy``, when left out.
        clock_s: a clock that only goes forward, in seconds.
        sleep: waits, in seconds.
    """

    def __init__(
        self, wanted: Wanted, count: Tell, tried: Callable[[str], None],
        attempt: Callable[[Wanted, Tell], None] | None = None,
        clock_s: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self._wanted, self._count, self._tried = wanted, count, tried
        self._attempt, self._clock_s, self._sleep = attempt or copy_apart, clock_s, sleep
        self._since_s = 0.0

    def bring(self) -> None:
        """Copy; by pg_basebackup(1), which begins at nothing each time, where the files cannot be read otherwise.

        Raises:
            IshmaelError: it does not get there; what is there is used the next time.
        """
        try:
            self._bring()
        except OtherWay as why:
            print(f"pg_basebackup copies: {why}", flush=True)
            self._bring_plainly()

    def _bring(self) -> None:
        """A connection that is cut is waited for, as long as the copy comes on between the cuts."""
        self._since_s = self._clock_s()
        while True:
            try:
                self._attempt(self._wanted, self._come_on)
            except PeerFault as error:
                if error.code != SILENT or self._clock_s() - self._since_s > PATIENCE_S:
                    raise
                self._tried(error.message)
                self._sleep(_PAUSE_S)
            else:
                return

    def _come_on(self, counted: Counted) -> None:
        if counted.moved:
            self._since_s = self._clock_s()
        self._count(counted)

    def _bring_plainly(self) -> None:
        wanted = self._wanted
        argv = [
            *(f"{wanted.programs}/pg_basebackup", f"--pgdata={wanted.new}", "--progress", "--checkpoint=fast"),
            "--no-sync",
            *("--wal-method=stream", f"--slot={wanted.slot}", f"--dbname={wanted.conninfo}"),
        ]

        def tell(copied: int, total: int) -> None:
            must_fit(Path(wanted.new).parent, total - copied, total)
            self._count(Counted(copied, 0, total))

        for left in reversed(range(_PLAIN_TRIES)):
            shutil.rmtree(wanted.new, ignore_errors=True)
            try:
                copy_with_progress(argv, tell, what="pg_basebackup failed")
            except HostFault as error:
                # The cable may have been out for a moment; a full disk is full the next time, too.
                if error.code == "disk-full" or not left:
                    raise
                self._tried(error.message)
                self._sleep(_PAUSE_S)
            else:
                return


def copy_apart(wanted: Wanted, tell: Tell) -> None:
    """Run the program ``whole_copy`` as the database's user, whose files these are.

    Args:
        wanted: what is to be copied where.
        tell: gets how far it is, now and then.

    Raises:
        OtherWay: the files cannot be read like this.
        IshmaelError: it was cut, or this node's disk is full.
    """
    user = pwd.getpwnam("postgres")
    new = Path(wanted.new)
    new.mkdir(mode=0o700, exist_ok=True)
    os.chown(new, user.pw_uid, user.pw_gid)
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "ishmael.manager.drivers.whole_copy", json.dumps(asdict(wanted))],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd="/", env={"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": user.pw_dir},
        user=user.pw_uid, group=user.pw_gid, extra_groups=os.getgrouplist("postgres", user.pw_gid),
    )  # fmt: skip
    assert process.stdout is not None
    ended: Mapping[str, Any] = {}
    with process:
        for line in process.stdout:
            said = json.loads(line)
            if "counted" in said:
                tell(Counted(**said["counted"]))
            else:
                ended = said
    if "other_way" in ended:
        raise OtherWay(str(ended["other_way"]))
    if process.returncode:
        raise _error(ended.get("error"))


def _error(said: Mapping[str, Any] | None) -> IshmaelError:
    if said is None:
        return HostFault(
            "database-copy-failed", "The program that copies the database was killed.", "See: journalctl; free"
        )
    kind = PeerFault if said["whose"] == "peer" else HostFault
    return kind(str(said["code"]), str(said["message"]), str(said["hint"]))
