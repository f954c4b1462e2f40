"""Files that act by lying there (Asterisk's call files): they act on the master only, and never twice.

On a node that is not master they wait below /var/lib/ishmael/held. When the node becomes master, those whose time (that
of the file's last change, which Asterisk takes for the time of the call) is still to come are put in place: the former
master cannot have acted on them. Those whose time had come may have acted; they are kept aside for the admin. So are those
whose call had begun: Asterisk sets their time to that of the next try, and writes ``StartRetry`` into them (pbx_spool.c).
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ishmael.words import places
from ishmael.words.profile import FileSet

_TOLD_BYTES = 1_000_000
CERTAIN_S = 5.0
"""Two clocks of a cluster differ by less than this; a file that close to its time may have acted."""


def place(files: FileSet) -> Path:
    """Where they wait."""
    return Path(places.HELD) / files.slug


def hold(files: FileSet, since_s: float) -> list[str]:
    """Take everything out of the directory, so that nothing acts on this node.

    Args:
        files: the directory.
        since_s: wall time until which everything here is known to be on the other node, too; the names of what changed later are
            noted, for the move makes every file one that was just changed.

    Returns:
        The names taken.
    """
    source, target = Path(files.path), place(files)
    taken = []
    if fresh := [os.path.relpath(path, source) for path in _changed_after(source, since_s)]:
        # What matters is that nothing acts here, also on a full disk.
        with suppress(OSError):
            _note(files, sorted({*maybe_alone(files), *fresh}))
    for name in _names(source):
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            _move(source / name, target / name)
            taken.append(name)
    return taken


def _changed_after(top: Path, since_s: float) -> Iterator[str]:
    """Plain files and links below a directory; by the time of change that no program can set."""
    for where, _, names in os.walk(top):
        for name in names:
            with suppress(FileNotFoundError):
                path = f"{where}/{name}"
                seen = os.lstat(path)
                if (stat.S_ISREG(seen.st_mode) or stat.S_ISLNK(seen.st_mode)) and seen.st_ctime > since_s:
                    yield path


def maybe_alone(files: FileSet) -> list[str]:
    """Names of what waits here, and that the other node may never have got."""
    try:
        noted = json.loads(_notes(files).read_text())
    except (OSError, ValueError):
        return []
    return [str(name) for name in noted if os.path.lexists(place(files) / str(name))]


def _note(files: FileSet, names: list[str]) -> None:
    place(files).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = _notes(files).with_suffix(".new")
    fresh.write_text(json.dumps(names))
    fresh.rename(_notes(files))


def _notes(files: FileSet) -> Path:
    # Beside the directory: that one becomes what the master's is.
    return place(files).with_name(f"{files.slug}.alone.json")


def release(files: FileSet, now_wall_s: float) -> tuple[list[str], list[str]]:
    """Put in place what cannot have acted yet.

    Returns:
        Names put in place, and names that wait on for they may have acted on the former master.
    """
    source, target = place(files), Path(files.path)
    placed, doubtful = [], []
    for name in _names(source):
        try:
            due_s = (source / name).lstat().st_mtime
        except FileNotFoundError:
            continue
        if due_s <= now_wall_s + CERTAIN_S or (target / name).exists() or _has_begun(source / name):
            doubtful.append(name)
            continue
        target.mkdir(parents=True, exist_ok=True)
        _move(source / name, target / name)
        placed.append(name)
    _notes(files).unlink(missing_ok=True)
    return placed, doubtful


def _has_begun(path: Path) -> bool:
    """The last try that the file tells of has not ended."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        told = file.read(_TOLD_BYTES)
    return told.rfind(b"\nStartRetry:") > max(told.rfind(b"\nEndRetry:"), told.rfind(b"\nAbortRetry:"))


def _names(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))  # noqa: PTH208 - names alone
    except (FileNotFoundError, NotADirectoryError):
        return []


def _move(source: Path, target: Path) -> None:
    """Move with owner, mode and times; what lies there whole appears at once."""
    try:
        source.rename(target)
    except OSError:
        owner = source.lstat()
        fresh = target.with_name(f".{target.name}.new")
        shutil.copy2(source, fresh, follow_symlinks=False)
        os.chown(fresh, owner.st_uid, owner.st_gid, follow_symlinks=False)
        fresh.rename(target)
        source.unlink()
