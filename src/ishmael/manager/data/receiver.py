"""The side of a node that is not master: takes files, merges rows, keeps what must not act from acting."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from ishmael.manager.data import astdb, diverged, held
from ishmael.manager.data.situation import Situation
from ishmael.manager.ports.server import Server, Serving
from ishmael.manager.ports.watcher import Watcher
from ishmael.words.errors import HostFault, IshmaelError
from ishmael.words.profile import FileSet, Profile, SqliteSet
from ishmael.words.roles import Role

log = logging.getLogger(__name__)
_SERVER_S = 3.0
_CALM_S = 1.0
_COMMAND_S = 20.0
_SETTLED_S = 2.0


class Receiver:
    """What is done again and again while this node is not master.

    Args:
        server: takes the files.
        make_watcher: watches directories whose changes the workload wants to be told.
        password: of the server.
        now_s: a clock that never jumps, in seconds.
        sync: has everything on disk that was written to the file system of a directory.
        doubtful: told which files, by their paths, may have acted on the former master.
    """

    def __init__(
        self, server: Server, make_watcher: Callable[[], Watcher], password: Callable[[], str],
        now_s: Callable[[], float] = time.monotonic, sync: Callable[[str], None] = lambda _: None,
        doubtful: Callable[[FileSet, Sequence[str]], object] = lambda _, __: None,
    ) -> None:  # fmt: skip
        self._server, self._make_watcher, self._password, self._now_s = server, make_watcher, password, now_s
        self._sync, self._doubtful = sync, doubtful
        self._served_at_s, self._trouble = 0.0, ""
        self._merged: dict[str, int] = {}
        self._watcher: Watcher | None = None
        self._told_at_s: dict[bytes, float] = {}

    @property
    def trouble(self) -> str:
        """What is wrong, empty when nothing is."""
        return self._trouble

    def turn(self, now: Situation) -> None:
        """Look at everything once."""
        try:
            self._hold(now)
            self._serve(now)
            self._merge(now)
            self._tell(now)
        except (IshmaelError, OSError) as error:
            said = error.message if isinstance(error, IshmaelError) else str(error)
            if said != self._trouble:
                log.warning("taking files: %s", said)
            self._trouble = said
        else:
            self._trouble = ""

    def stop(self, profile: Profile | None, *, master: bool) -> None:
        """This node takes files no longer: at once when it becomes master.

        Args:
            profile: of the workload.
            master: it is, so that what was held may act.
        """
        self._server.stop()
        self._served_at_s = 0.0
        self._end_watching()
        if profile is None or not master:
            return
        later = threading.Timer(_SETTLED_S, self._settle, (profile,))
        later.daemon = True
        later.start()
        for wanted in profile.sqlite:
            self._merge_one(wanted)
        for files in profile.files:
            if files.held:
                placed, doubtful = held.release(files, time.time())
                if placed:
                    log.info("put in place below %s: %d files whose time is to come", files.path, len(placed))
                if doubtful:
                    log.warning("%d files of %s may have acted on the former master", len(doubtful), files.path)
                    self._doubtful(files, [f"{held.place(files)}/{name}" for name in doubtful])

    def _settle(self, profile: Profile) -> None:
        """What came last is nowhere else now. Not in the moment of the takeover, in which the disk has other things to do."""
        for files in profile.files:
            with suppress(IshmaelError, OSError):
                self._sync(files.path)

    def _hold(self, now: Situation) -> None:
        for files in now.profile.files if now.profile else ():
            if files.held and (taken := held.hold(files, diverged.since_s())):
                log.info("took %d files out of %s: this node is not master", len(taken), files.path)

    def _serve(self, now: Situation) -> None:
        if self._now_s() < self._served_at_s + _SERVER_S and self._served_at_s:
            return
        assert now.own is not None and now.peer is not None
        assert now.settings is not None and now.profile is not None
        self._server.serve(
            Serving(
                now.own.internal_ip, now.peer.internal_ip, now.settings.cluster_ip, self._password(), now.profile.files
            )
        )
        self._served_at_s = self._now_s()

    def _merge(self, now: Situation) -> None:
        for wanted in now.profile.sqlite if now.profile else ():
            self._merge_one(wanted)

    def _merge_one(self, wanted: SqliteSet) -> None:
        try:
            seen = os.stat(astdb.snapshot_of(wanted)).st_mtime_ns  # noqa: PTH116 - asked several times a second
        except OSError:
            return
        if seen == self._merged.get(wanted.path):
            return
        try:
            count = _merge_or_release(wanted)
        except HostFault as error:
            self._trouble = error.message
            log.warning("%s", error.message)
            return
        self._merged[wanted.path] = seen
        if count:
            log.debug("%d rows merged into %s", count, wanted.path)

    # Telling the workload

    def _tell(self, now: Situation) -> None:
        """Run the commands of directories that have changed and are calm again."""
        wanted = {os.fsencode(f.path): f for f in (now.profile.files if now.profile else ()) if f.on_change}
        if now.role != Role.SLAVE or not wanted:
            self._end_watching()
            return
        if self._watcher is None:
            self._watcher = self._make_watcher()
        for root in wanted:
            if not self._watcher.watches(root):
                self._watcher.watch(root)
        changes, lost = self._watcher.changes(0)
        for root in wanted if lost else {change.root for change in changes}:
            self._told_at_s[root] = self._now_s() + _CALM_S
        for root, at_s in list(self._told_at_s.items()):
            if at_s <= self._now_s() and root in wanted:
                del self._told_at_s[root]
                _run(wanted[root].on_change)

    def _end_watching(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        self._told_at_s.clear()


def _merge_or_release(wanted: SqliteSet) -> int:
    if not wanted.release:
        return astdb.merge(wanted)
    try:
        return astdb.merge(wanted, astdb.IMPATIENT_S)
    except HostFault as error:
        if error.code != "sqlite-busy":
            raise
    _run((wanted.release,))
    return astdb.merge(wanted)


def _run(commands: Sequence[Sequence[str]]) -> None:
    for argv in commands:
        try:
            done = subprocess.run(list(argv), capture_output=True, timeout=_COMMAND_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            log.warning("%s: %s", " ".join(argv), error)
            continue
        if done.returncode:
            log.warning("%s ended with %d", " ".join(argv), done.returncode)
