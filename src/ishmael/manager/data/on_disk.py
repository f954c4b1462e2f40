"""The master's own files get onto its disk soon after the slave has them.

Who writes a voice mail or a recording leaves it to the kernel when that reaches the disk, which takes half a minute. A power
cut of the whole site within that time would take it from both nodes, or bring back a master without it, whose slave then gives up its
own. So the slave's rsync server syncs what has come (packaging/lib/rsync-settle), and this does it here.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

from ishmael.words.errors import IshmaelError
from ishmael.words.profile import FileSet

log = logging.getLogger(__name__)
EVERY_S = 1.0
_SINGLE_MAX = 100


class OnDisk:
    """Collects names for a moment, so that the disk is not asked for each.

    Args:
        sync: has everything on disk that was written to the file system of a directory.
    """

    def __init__(self, sync: Callable[[str], None]) -> None:
        self._sync = sync
        self._lock = threading.Lock()
        self._noted: dict[FileSet, set[bytes]] = {}

    def note(self, files: FileSet, paths: Iterable[bytes]) -> None:
        """The slave has these, or knows that they are gone."""
        with self._lock:
            self._noted.setdefault(files, set()).update(paths)

    def run(self, halt: threading.Event) -> None:
        """Go on until told to stop, and once more then."""
        while not halt.wait(EVERY_S):
            self.turn()
        self.turn()

    def turn(self) -> None:
        """Have on disk what was noted: single names by themselves, many with all that its file system has."""
        with self._lock:
            noted, self._noted = self._noted, {}
        for files, paths in noted.items():
            try:
                if len(paths) > _SINGLE_MAX:
                    self._sync(files.path)
                else:
                    _settle(os.fsencode(files.path), paths)
            except (IshmaelError, OSError) as error:
                log.warning("what changed below %s may not be on this node's disk: %s", files.path, error)


def _settle(root: bytes, paths: Iterable[bytes]) -> None:
    """Files first, then the directories with their names."""
    full = [root + b"/" + path for path in paths]
    for path in full:
        _fsync(path)
    for directory in {os.path.dirname(path.rstrip(b"/")) for path in full}:  # noqa: PTH120 - bytes
        _fsync(directory)


def _fsync(path: bytes) -> None:
    """What is no file or directory, or is gone, has nothing to be synced."""
    with suppress(FileNotFoundError, NotADirectoryError):
        kind = os.lstat(path).st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            return
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
