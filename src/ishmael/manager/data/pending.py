"""Changes that the slave does not have yet: collected, given out in batches, put back when they did not get there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ishmael.words.profile import FileSet

OPEN_S = 1.0
"""How long a file that is being written may wait for its closing before its present state is sent."""
BATCH_MAX = 2000
_AGAIN_S_FIRST, _AGAIN_S_MAX = 1.0, 30.0
_UNREACHED_S_MAX = 1.0
_PARTS = 8


@dataclass(slots=True)
class _Waiting:
    since_s: float
    due_s: float
    tries: int = 0
    share: int = 0
    """So many at most go together, for a batch with it failed; 0: as many as there are."""


class Pending:
    """What waits, by directory and name. Knows no clock: every call says what time it is.

    Not locked: one thread at a time.
    """

    def __init__(self) -> None:
        self._waiting: dict[tuple[FileSet, bytes], _Waiting] = {}
        self._flying: dict[tuple[FileSet, bytes], _Waiting] = {}

    def note(self, files: FileSet, path: bytes, now_s: float, *, settled: bool, since_s: float | None = None) -> None:
        """This name changed; one that is still being written may wait a little for its end.

        Args:
            files: the directory.
            path: relative to it.
            now_s: the time, in seconds.
            settled: nobody is writing to it.
            since_s: when it changed, if that was before now.
        """
        due_s = now_s if settled else now_s + OPEN_S
        found = self._waiting.get((files, path))
        if found is None:
            self._waiting[files, path] = _Waiting(now_s if since_s is None else since_s, due_s)
        elif found.tries == 0:
            found.due_s = min(found.due_s, due_s)

    def take(self, now_s: float) -> tuple[FileSet, list[bytes]] | None:
        """The names of one directory that are due, now on their way; None when there are none."""
        due = [key for key, waits in self._waiting.items() if waits.due_s <= now_s]
        if not due:
            return None
        files, first = min(due, key=lambda key: (self._waiting[key].share > 0, self._waiting[key].since_s))
        share = self._waiting[files, first].share
        names = [path for where, path in due if where == files and self._waiting[where, path].share == share]
        names = names[: share or BATCH_MAX]
        for path in names:
            waits = self._waiting.pop((files, path))
            self._flying[files, path] = waits
        return files, names

    def arrived(self, files: FileSet, paths: Iterable[bytes]) -> None:
        """The slave has these."""
        for path in paths:
            self._flying.pop((files, path), None)

    def failed(
        self, files: FileSet, paths: Iterable[bytes], now_s: float, *, reached: bool = True, together: bool = False
    ) -> None:
        """It has not; try again, later each time.

        Args:
            files: the directory.
            paths: relative to it.
            now_s: the time, in seconds.
            reached: a slave that was not reached at all may be back any moment.
            together: the next time with others, though they were split.
        """
        most_s = _AGAIN_S_MAX if reached else _UNREACHED_S_MAX
        for path in paths:
            waits = self._flying.pop((files, path), None)
            if waits is None:
                continue
            waits.tries += 1
            waits.share = 0 if together else waits.share
            waits.due_s = now_s + min(most_s, _AGAIN_S_FIRST * 2 ** (waits.tries - 1))
            newer = self._waiting.get((files, path))
            if newer is not None:
                waits.due_s = min(waits.due_s, newer.due_s)
            self._waiting[files, path] = waits

    def split(self, files: FileSet, paths: Sequence[bytes], now_s: float) -> None:
        """Some name of this batch failed, and it is not known which: the next time they go in smaller ones."""
        for path in paths:
            waits = self._flying.pop((files, path), None)
            if waits is not None:
                waits.due_s, waits.share = now_s, max(1, len(paths) // _PARTS)
                self._waiting[files, path] = waits

    def is_part(self, files: FileSet, paths: Sequence[bytes]) -> bool:
        """This batch, which is on its way, is a part of one that failed."""
        return any(waits.share for waits in (self._flying.get((files, path)) for path in paths) if waits is not None)

    def has(self, files: FileSet, path: bytes) -> bool:
        """This name waits or is on its way."""
        return (files, path) in self._waiting or (files, path) in self._flying

    def lag_s(self, now_s: float) -> float:
        """Age of the oldest change that the slave does not have; 0 when it has all, in seconds."""
        oldest = [waits.since_s for waits in (*self._waiting.values(), *self._flying.values())]
        return now_s - min(oldest) if oldest else 0.0

    def next_due_s(self) -> float | None:
        """When the next batch is due; None when nothing waits."""
        return min((waits.due_s for waits in self._waiting.values()), default=None)

    def stuck(self) -> list[str]:
        """Names that were tried and did not get there, as paths."""
        return sorted(
            f"{files.path}/{path.decode(errors='backslashreplace')}"
            for (files, path), waits in (*self._waiting.items(), *self._flying.items())
            if waits.tries
        )

    def __len__(self) -> int:
        return len(self._waiting) + len(self._flying)


def left_out(path: bytes, patterns: Sequence[str]) -> bool:
    """Whether a name is left out, as rsync decides it (rsync(1), FILTER RULES): a pattern that begins with a slash is meant
    from the top, one that ends with it only for directories, one without a slash inside for any part of the path.

    Args:
        path: relative to the directory.
        patterns: rsync patterns.
    """
    parts = path.decode(errors="surrogateescape").split("/")
    for pattern in patterns:
        whole = pattern.strip("/")
        only_directory = pattern.endswith("/")
        anchored = pattern.startswith("/")
        width = whole.count("/") + 1
        starts = (0,) if anchored else range(len(parts) - width + 1)
        for start in starts:
            end = start + width
            if end > len(parts) or (only_directory and end == len(parts)):
                continue
            if all(fnmatchcase(part, want) for part, want in zip(parts[start:end], whole.split("/"), strict=True)):
                return True
    return False
