"""Files of this machine: replaced atomically, with file and directory synced (fsync(2), rename(2))."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ishmael.manager.ports.files import Room
from ishmael.words.errors import HostFault

_CODES = {errno.ENOSPC: "disk-full", errno.EDQUOT: "disk-full", errno.EROFS: "disk-readonly"}


@contextmanager
def _blame(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        code = _CODES.get(error.errno or 0, "disk-failing")
        raise HostFault(code, f"{path} cannot be written: {error.strerror}.", "See: df -h; dmesg | tail") from error


def sync_directory(path: Path) -> None:
    """Have names in a directory on disk (fsync(2))."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_filesystem(path: Path) -> None:
    """Have everything on disk that was written to the file system a path lies in (syncfs(2)).

    One call instead of an fsync(2) for each of some thousand files; what could not be written is told since Linux 5.8.

    Raises:
        HostFault: the disk took something of it not.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle) != 0:
            with _blame(str(path)):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(handle)


class DiskFiles:
    """The real disk."""

    def read(self, path: str) -> bytes | None:
        """The content, or None when there is no such file."""
        try:
            return Path(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise HostFault("disk-failing", f"{path} cannot be read: {error.strerror}.", "See: dmesg | tail") from error

    def write(self, path: str, data: bytes, mode: int) -> None:
        """Put the content in place atomically; directories that are missing are as closed as the file."""
        with _blame(path):
            target = Path(os.path.realpath(path))
            closed = mode & 0o077 == 0
            for parent in reversed([p for p in target.parents if not p.exists()]):
                parent.mkdir(mode=0o700 if closed else 0o755)
                parent.chmod(0o700 if closed else 0o755)
                sync_directory(parent.parent)
            handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
            try:
                with os.fdopen(handle, "wb") as new:
                    new.write(data)
                    new.flush()
                    os.fchmod(new.fileno(), mode)
                    os.fsync(new.fileno())
                Path(name).replace(target)
            except BaseException:
                with suppress(OSError):
                    Path(name).unlink()
                raise
            sync_directory(target.parent)

    def age(self, path: str, by_s: float) -> None:
        """By its time of modification."""
        at_s = time.time() - by_s
        with suppress(FileNotFoundError):
            os.utime(path, (at_s, at_s))

    def remove(self, path: str) -> None:
        """Remove the file, if there is one."""
        with _blame(path):
            try:
                Path(path).unlink()
            except (FileNotFoundError, NotADirectoryError):
                return
            sync_directory(Path(path).parent)

    def sync(self, directory: str) -> None:
        """All of its file system."""
        sync_filesystem(Path(directory))

    def names(self, directory: str) -> list[str]:
        """Names of the files in a directory, sorted."""
        try:
            return sorted(entry.name for entry in Path(directory).iterdir() if entry.is_file())
        except OSError:
            return []

    def mode(self, path: str) -> int | None:
        """The permission bits, or None."""
        try:
            return Path(path).stat().st_mode & 0o7777
        except OSError:
            return None

    def free_bytes(self, path: str) -> int:
        """Free space for root, in bytes."""
        return shutil.disk_usage(path).free

    def room(self, path: str) -> Room:
        """By statvfs(3) of the nearest directory there is, and the sizes of all files."""
        there = Path(path)
        while not there.is_dir() and there != there.parent:
            there = there.parent
        used = tree_bytes(path)
        return Room(there.stat().st_dev, shutil.disk_usage(there).free, used)


def tree_bytes(path: str) -> int:
    """Bytes of all files below a directory; those that vanish meanwhile count nothing."""
    total = 0
    for where, _, names in os.walk(os.fsencode(path)):
        for name in names:
            with suppress(OSError):
                total += os.lstat(where + b"/" + name).st_size
    return total
