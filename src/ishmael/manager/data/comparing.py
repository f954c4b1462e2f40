"""Which directories are to be compared whole, and when; and what is doubtful until that was done.

Changes can get lost: the kernel's queue runs over, or more names wait than are kept. Then nobody knows what the slave lacks
until the directory was compared by a comparison that began afterwards; so long its lag counts from the first loss.
"""

from __future__ import annotations

from ishmael.words.profile import FileSet

EVERY_S = 600.0
AFTER_LOSS_S = 2.0
"""Whoever loses one change loses many; a comparison in the middle of them would be for nothing."""
_AGAIN_S = 5.0


class Comparisons:
    """Knows no clock: every call says what time it is, in seconds. Not locked: one thread at a time."""

    def __init__(self) -> None:
        self._due_s: dict[FileSet, float] = {}
        self._compared: set[FileSet] = set()
        self._lost: dict[FileSet, list[float]] = {}
        # How often each was asked for, and doubted: what happens while a comparison runs is not answered by it.
        self._asked: dict[FileSet, int] = {}
        self._doubted: dict[FileSet, int] = {}

    def ask(self, files: FileSet, at_s: float = 0.0) -> None:
        """Have this directory compared, at that time or earlier."""
        self._asked[files] = self._asked.get(files, 0) + 1
        self._due_s[files] = min(at_s, self._due_s.get(files, at_s))

    def lose(self, files: FileSet, now_s: float) -> None:
        """A change in it, or more than one, is not known any more."""
        self._lost.setdefault(files, []).append(now_s)
        self.ask(files, now_s + AFTER_LOSS_S)

    def doubt(self, files: FileSet) -> None:
        """What had arrived may not be there: it is in step only when it was compared once more."""
        self._doubted[files] = self._doubted.get(files, 0) + 1
        self._compared.discard(files)
        self.ask(files)

    def due(self, now_s: float) -> list[FileSet]:
        """Those whose time has come."""
        return [files for files, at_s in self._due_s.items() if at_s <= now_s]

    def begin(self, files: FileSet) -> tuple[int, int, int]:
        """It is compared from now on; what is given back is needed for ``end``."""
        self._due_s.pop(files, None)
        return self._asked.get(files, 0), self._doubted.get(files, 0), len(self._lost.get(files, ()))

    def end(self, files: FileSet, begun: tuple[int, int, int], began_s: float) -> None:
        """It was compared, and all that was found waits to be brought over: what got lost before it began is answered."""
        asked, doubted, lost = begun
        self._lost[files] = self._lost.get(files, [])[lost:]
        if doubted == self._doubted.get(files, 0):
            self._compared.add(files)
        if asked == self._asked.get(files, 0):
            self._due_s[files] = began_s + EVERY_S

    def fail(self, files: FileSet, now_s: float) -> None:
        """It could not be compared."""
        self.ask(files, now_s + _AGAIN_S)

    def forget(self, files: FileSet) -> None:
        """There is no such directory any more, so nothing of it is missing anywhere."""
        self._lost.pop(files, None)
        self._compared.discard(files)

    def compared(self, files: FileSet) -> bool:
        """It was, since it was doubted last."""
        return files in self._compared

    def lost_since_s(self, files: FileSet) -> float | None:
        """When the first change of it got lost that no comparison has found since; None when none did."""
        return next(iter(self._lost.get(files, ())), None)

    def lag_s(self, now_s: float) -> float:
        """Age of the first change that got lost."""
        return max((now_s - times[0] for times in self._lost.values() if times), default=0.0)

    def lost(self) -> int:
        """How many changes are not known any more, at the least."""
        return sum(len(times) for times in self._lost.values())
