"""Files of a former master that the new one may lack: found by their time of change, kept aside as copies.

The last moment at which everything was known to be on the other node is on disk (``files-in-step.json``). What changed
after it, by this machine's own clock and the time of change that no program can set (ctime), may be here alone.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ishmael.manager.data.held import maybe_alone, place
from ishmael.manager.data.pending import left_out
from ishmael.manager.data.salvage import Find, Salvage
from ishmael.words import places
from ishmael.words.errors import HostFault
from ishmael.words.profile import FileSet

MARGIN_S = 2.0
CANDIDATES_MAX = 200_000


def stamp(wall_s: float, write: Any) -> None:
    """Note that everything changed before this moment is on the other node.

    Args:
        wall_s: this machine's wall time.
        write: puts a file in place (path, data, mode).
    """
    write(places.FILES_STAMP, json.dumps({"schema": 1, "wall_s": wall_s}).encode(), 0o600)


def stamped_s() -> float:
    """That moment; 0 when it is not known: then everything may be here alone."""
    try:
        return float(json.loads(Path(places.FILES_STAMP).read_text())["wall_s"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def since_s() -> float:
    """What changed after this moment may be here alone: wall time, with a margin."""
    return stamped_s() - MARGIN_S


def candidates(files: Sequence[FileSet]) -> list[dict[str, Any]]:
    """Files that may be here alone: path, size in bytes, time of modification in ns; of one that is held, the path it had."""
    found = []
    for each in files:
        for path in [*_changed_since(each, since_s()), *_held(each)]:
            seen = os.lstat(_where(path, files))
            found.append({"path": os.fsdecode(path), "size": seen.st_size, "mtime_ns": seen.st_mtime_ns})
            if len(found) >= CANDIDATES_MAX:
                return found
    return found


def _held(files: FileSet) -> list[bytes]:
    return [os.fsencode(f"{files.path}/{name}") for name in maybe_alone(files)] if files.held else []


def _where(path: bytes, files: Sequence[FileSet]) -> bytes:
    """Where a file lies now: one that would act on this node was taken out of its directory."""
    for each in files:
        top = os.fsencode(each.path) + b"/"
        if each.held and path.startswith(top):
            aside = os.fsencode(place(each)) + b"/" + path[len(top) :]
            return aside if os.path.lexists(aside) else path
    return path


def missing_here(listed: Sequence[dict[str, Any]]) -> list[str]:
    """Those of another node's candidates that are not here, or not the same."""
    lacking = []
    for each in listed:
        try:
            seen = os.lstat(os.fsencode(each["path"]))
        except OSError:
            lacking.append(str(each["path"]))
            continue
        if seen.st_size != each["size"] or seen.st_mtime_ns != each["mtime_ns"]:
            lacking.append(str(each["path"]))
    return lacking


def keep(salvage: Salvage, files: Sequence[FileSet], paths: Sequence[str], why: str) -> Find | None:
    """Keep these aside; None when none of them is there any more.

    Raises:
        HostFault: the disk is full.
    """
    roots = [each.path for each in files] + [str(place(each)) for each in files if each.held]
    fresh = salvage.begin("files")
    count = 0
    try:
        for path in paths:
            if any(path.startswith(f"{root}/") for root in roots) and ".." not in path.split("/"):
                source = _where(os.fsencode(path), files)
                count += _keep_one(source, os.fsencode(fresh / "content") + os.fsencode(path))
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise HostFault(
            "files-not-kept", f"What differs could not be kept aside: {error.strerror}.", "Free some disk space: df -h"
        ) from error
    if not count:
        shutil.rmtree(fresh, ignore_errors=True)
        return None
    return salvage.keep(fresh, "files", why, count)


def _changed_since(files: FileSet, since_s: float) -> Iterator[bytes]:
    top = os.fsencode(files.path)
    patterns = [*files.exclude, *(f"/{name.lstrip('/')}" for name in files.local)]
    for where, _, names in os.walk(top):
        for name in names:
            path = where + b"/" + name
            try:
                seen = os.lstat(path)
            except OSError:
                continue
            plain = stat.S_ISREG(seen.st_mode) or stat.S_ISLNK(seen.st_mode)
            if plain and seen.st_ctime > since_s and not left_out(path[len(top) + 1 :], patterns):
                yield path


def _keep_one(source: bytes, target: bytes) -> int:
    """A copy, not a link: the program on this node may write into the file in place."""
    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120 - names may be no UTF-8
    try:
        shutil.copy2(source, target, follow_symlinks=False)
        seen = os.lstat(source)
        os.chown(target, seen.st_uid, seen.st_gid, follow_symlinks=False)
    except FileNotFoundError:
        return 0
    return 1
