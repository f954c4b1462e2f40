"""Directories watched with all that is below them (inotify(7)), names in bytes as the kernel gives them.

Of our own because the library for it ends at the first name that is not UTF-8: docs/decisions/0017.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ishmael.words.errors import HostFault

_ACCESS = {"modify": 0x2, "attrib": 0x4, "close_write": 0x8, "moved_from": 0x40, "moved_to": 0x80, "create": 0x100,
           "delete": 0x200, "delete_self": 0x400, "move_self": 0x800}  # fmt: skip
_OVERFLOW, _IGNORED, _IS_DIRECTORY = 0x4000, 0x8000, 0x40000000
_ONLY_DIRECTORY, _DONT_FOLLOW, _EXCL_UNLINK = 0x1000000, 0x2000000, 0x4000000
_MASK = sum(_ACCESS.values()) | _ONLY_DIRECTORY | _DONT_FOLLOW | _EXCL_UNLINK
_NONBLOCK, _CLOEXEC = 0o4000, 0o2000000
_HEAD = struct.Struct("iIII")
_READ_BYTES = 1 << 18
_DEEP_MAX = 200


@dataclass(frozen=True, slots=True)
class Change:
    """Something below a watched directory is not as it was.

    Args:
        root: the watched directory.
        path: relative to it; empty for the directory itself.
        whole: everything below is to be looked at (a directory came).
        settled: nobody is writing: the file was closed, renamed, removed or the like.
    """

    root: bytes
    path: bytes
    whole: bool = False
    settled: bool = True


class Inotify:
    """One inotify instance for any number of trees.

    Raises:
        HostFault: the kernel gives none, or (when watching) no more watches.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self._libc.inotify_init1(_NONBLOCK | _CLOEXEC)
        if self.fd < 0:
            raise _fault("cannot be used", ctypes.get_errno())
        self._places: dict[int, tuple[bytes, bytes]] = {}
        self._watches: dict[tuple[bytes, bytes], int] = {}

    def close(self) -> None:
        """Watch nothing any more."""
        os.close(self.fd)

    @property
    def directories(self) -> int:
        """How many are watched."""
        return len(self._places)

    def watch(self, root: bytes) -> None:
        """Watch a tree; one that is not there is skipped."""
        self._add(root, b"")

    def watches(self, root: bytes) -> bool:
        """This tree is watched; no longer when its directory was removed or moved away."""
        return (root, b"") in self._watches

    def changes(self, wait_s: float) -> tuple[list[Change], bool]:
        """What changed, and whether some of it was lost (the queue ran over).

        Args:
            wait_s: how long to wait for the first, in seconds.
        """
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        if not poll.poll(int(wait_s * 1000)):
            return [], False
        found: list[Change] = []
        lost = False
        try:
            raw = os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            return [], False
        for watch, mask, name in _events(raw):
            if mask & _OVERFLOW:
                lost = True
            elif mask & _IGNORED:
                self._forget(watch)
            elif watch in self._places:
                found += self._change(watch, mask, name)
        return found, lost

    def _change(self, watch: int, mask: int, name: bytes) -> Iterator[Change]:
        root, directory = self._places[watch]
        path = b"/".join(part for part in (directory, name) if part)
        came = mask & (_ACCESS["create"] | _ACCESS["moved_to"])
        if not name and mask & (_ACCESS["delete_self"] | _ACCESS["move_self"]):
            if not directory:
                self._leave(root, b"")
            return
        if mask & _IS_DIRECTORY and mask & _ACCESS["moved_from"]:
            self._leave(root, path)
        if mask & _IS_DIRECTORY and came:
            self._add(root, path)
            yield Change(root, path, whole=True)
            return
        # A file that is created is written next; its closing is worth more than its beginning. Links and sockets are not
        # opened, hard links not written: those come with `create` alone.
        writing = mask & _ACCESS["modify"] or (mask & _ACCESS["create"] and _is_open_soon(root, path))
        yield Change(root, path, settled=not writing)

    def _add(self, root: bytes, path: bytes) -> None:
        stack = [path]
        while stack:
            here = stack.pop()
            # A root that is a link is followed, as rsync does; nothing below it is.
            full = root + b"/" + (here or b".")
            watch = self._libc.inotify_add_watch(self.fd, full, _MASK)
            if watch < 0:
                code = ctypes.get_errno()
                if code in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                    continue
                raise _fault(f"cannot watch {os.fsdecode(full)!a}", code)
            self._places[watch] = (root, here)
            self._watches[root, here] = watch
            if here.count(b"/") < _DEEP_MAX:
                stack += _directories(full, here)

    def _forget(self, watch: int) -> None:
        place = self._places.pop(watch, None)
        if place is not None and self._watches.get(place) == watch:
            del self._watches[place]

    def _leave(self, root: bytes, path: bytes) -> None:
        """A directory was moved away: what it does elsewhere is not ours."""
        below = path + b"/" if path else b""
        for place in [p for p in self._watches if p[0] == root and (p[1] == path or p[1].startswith(below))]:
            watch = self._watches.pop(place)
            self._places.pop(watch, None)
            self._libc.inotify_rm_watch(self.fd, watch)


def _is_open_soon(root: bytes, path: bytes) -> bool:
    try:
        seen = os.lstat(root + b"/" + path)
    except OSError:
        return False
    return seen.st_nlink == 1 and (seen.st_mode & 0o170000) == 0o100000


def _directories(full: bytes, here: bytes) -> list[bytes]:
    try:
        with os.scandir(full) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [here + b"/" + name if here else name for name in names]


def _events(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at < len(raw):
        watch, mask, _, length = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        yield watch, mask, raw[at : at + length].rstrip(b"\0")
        at += length


def _fault(what: str, code: int) -> HostFault:
    hint = "See: dmesg | tail"
    if code in (errno.ENOSPC, errno.EMFILE):
        hint = "Raise it: sysctl fs.inotify.max_user_watches=1048576 fs.inotify.max_user_instances=1024"
    return HostFault("inotify-failed", f"The kernel's file watcher {what}: {os.strerror(code)}.", hint)
