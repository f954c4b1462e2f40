"""What of a copy of the master's database is on this node's disk for sure, so that one that was cut goes on there.

A file is not read again when nobody can have written to it since it was read. The master's file system says when a file was
written last, to the second: what was written in the second of the reading could look the same afterwards, so a file counts
only when it had been at rest for two seconds before. The same question as rsync(1) asks, with the change time beside it,
which no program can set (inode(7)).
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from ishmael.manager.drivers.files import DiskFiles, sync_filesystem
from ishmael.words.errors import HostFault

MANIFEST = "ishmael-manifest"
"""Lies in a copy that is being made: what of it is whole, and of whom it is."""
REST_S = 2
_SCHEMA = 1
_INTERVAL_S = 2.0
# Syncing shall take a small part of the time, however slow the disk and however many the files.
_PAUSE_PER_S = 5.0


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose files they are; those of another server, or of another history, are worth nothing.

    Args:
        system: PostgreSQL's system identifier.
        timeline: of the master while they were read.
        master: host name of the node they were read on.
    """

    system: str
    timeline: int
    master: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as the master saw it.

    Args:
        size: in bytes.
        modified_s: its modification time, in whole seconds since 1970.
        changed_s: its change time, the same way.
        seen_s: the master's clock before it looked.
    """

    size: int
    modified_s: int
    changed_s: int
    seen_s: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What is here of a file.

    Args:
        seen: before its first byte was read.
        have: bytes of it that are on disk, from its beginning.
    """

    seen: Seen
    have: int

    def holds(self, now: Seen) -> bool:
        """What is here is what the master has now.

        Args:
            now: the same file, as it is.
        """
        then = self.seen
        same = (then.size, then.modified_s, then.changed_s) == (now.size, now.modified_s, now.changed_s)
        at_rest = max(then.modified_s, then.changed_s) + REST_S <= then.seen_s
        return same and at_rest and then.seen_s <= now.seen_s and self.have <= now.size


def read_manifest(new: Path, origin: Origin) -> dict[str, Kept]:
    """What an earlier attempt left, by name.

    Args:
        new: where the copy is made.
        origin: whose files are wanted.

    Returns:
        Nothing when it is of another origin, damaged, or not there.
    """
    try:
        digest, body = (DiskFiles().read(str(new / MANIFEST)) or b"").split(b"\n", 1)
        if hashlib.sha256(body).hexdigest().encode() != digest:
            return {}
        found: dict[str, Any] = json.loads(body)
        if found["schema"] != _SCHEMA or found["origin"] != asdict(origin):
            return {}
        return {name: Kept(Seen(*map(int, row[:4])), int(row[4])) for name, row in found["files"].items()}
    except (HostFault, ValueError, TypeError, KeyError, AttributeError, IndexError):
        return {}


def write_manifest(new: Path, origin: Origin, files: Mapping[str, Kept]) -> None:
    """Put it on disk; what it names has to be there already.

    Raises:
        HostFault: the disk does not take it.
    """
    rows = {name: [*astuple(kept.seen), kept.have] for name, kept in files.items()}
    body = json.dumps({"schema": _SCHEMA, "origin": asdict(origin), "files": rows}, separators=(",", ":")).encode()
    DiskFiles().write(str(new / MANIFEST), hashlib.sha256(body).hexdigest().encode() + b"\n" + body, 0o600)


class Keeping:
    """Notes, beside the copying, what of it is on disk: first the files are synced, then the note of them is.

    Args:
        new: where the copy is made.
        origin: whose files they are.
        files: what is there for sure already.
        sync: has everything on disk that was written below a directory.
    """

    def __init__(
        self, new: Path, origin: Origin, files: Mapping[str, Kept], sync: Callable[[Path], None] = sync_filesystem
    ) -> None:
        self._new, self._origin, self._files, self._sync = new, origin, dict(files), sync
        self._fresh: dict[str, Kept] = {}
        self._lock, self._ending = threading.Lock(), threading.Event()
        self._failed: HostFault | None = None
        self._beside = threading.Thread(target=self._go, name="keeping", daemon=True)

    def __enter__(self) -> Keeping:
        self._beside.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends it; what was read until now is noted."""
        self._ending.set()
        self._beside.join()

    def note(self, files: Mapping[str, Kept]) -> None:
        """So much was written of these; what is named again counts as it is named last.

        Raises:
            HostFault: the disk did not take an earlier note.
        """
        with self._lock:
            self._fresh.update(files)
        self.check()

    def check(self) -> None:
        """Look whether all is well.

        Raises:
            HostFault: the disk did not take a note.
        """
        if self._failed is not None:
            raise self._failed

    def _go(self) -> None:
        pause_s = _INTERVAL_S
        while not self._ending.wait(pause_s) and self._failed is None:
            begun_s = time.monotonic()
            self._save()
            pause_s = max(_INTERVAL_S, _PAUSE_PER_S * (time.monotonic() - begun_s))
        if self._failed is None:
            self._save()

    def _save(self) -> None:
        with self._lock:
            fresh, self._fresh = self._fresh, {}
        if not fresh:
            return
        try:
            self._sync(self._new)
            self._files.update(fresh)
            write_manifest(self._new, self._origin, self._files)
        except HostFault as error:
            self._failed = error
        except OSError as error:
            self._failed = HostFault("disk-failing", f"{self._new} cannot be written: {error}.", "See: dmesg | tail")
