"""A small model of the workload's data: who wrote what, what was acknowledged, and how far the follower is.

A database is a history: a list of (timeline, transactions) pairs. Opening it for writing begins a new timeline. A
transaction is acknowledged at once when the writer works alone, and only when the follower has it when replication is
synchronous. Commits that wait pile up to a limit, like the connections of a pool.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ishmael.sim.agenda import Agenda

if TYPE_CHECKING:
    from ishmael.sim.node import Node

_STEP_MS = 20
_LAG_MAX = 3
_COMMITS_WAITING_MAX = 20


@dataclass
class History:
    """One node's data.

    Args:
        parts: (timeline, number of its transactions), oldest first.
        writing: open for writing.
        following: streams from the other node when that one writes.
        synchronous: commits wait for the follower.
        crashed: its server does not run; what it holds is safe.
    """

    parts: list[tuple[int, int]] = field(default_factory=list)
    writing: bool = False
    following: bool = False
    synchronous: bool = False
    crashed: bool = False

    def has(self, timeline: int, count: int) -> bool:
        """Transaction number ``count`` of a timeline, and all before it, are here."""
        return count == 0 or any(t == timeline and n >= count for t, n in self.parts)

    def begins(self, other: History) -> bool:
        """This history is a beginning of the other."""
        mine, theirs = self.parts, other.parts
        if not mine:
            return True
        if len(mine) > len(theirs):
            return False
        last_timeline, last_count = mine[-1]
        timeline, count = theirs[len(mine) - 1]
        return mine[:-1] == theirs[: len(mine) - 1] and timeline == last_timeline and last_count <= count


class Database:
    """Both nodes' databases."""

    def __init__(
        self, agenda: Agenda, draw: random.Random, nodes: dict[int, Node], streams: Callable[[], bool]
    ) -> None:
        self._agenda = agenda
        self._nodes = nodes
        self._draw = draw
        self._streams = streams
        self.of = {number: History() for number in nodes}
        self.acknowledged: dict[int, int] = {}
        self.stalled_ms = 0.0
        self.stalls_since_ms: dict[int, float] = {}
        self._timelines = 0
        self._streams_since_ms = -1.0
        self.on_alone: Callable[[Node], None] = lambda _node: None
        self.on_open: Callable[[Node], None] = lambda _node: None
        agenda.after(_STEP_MS, self._step)

    # --- orders -----------------------------------------------------------------------------------------------------

    def open(self, node: int) -> None:
        """Promote, or go on writing."""
        mine = self.of[node]
        if mine.writing:
            return
        self.on_open(self._nodes[node])
        self._timelines += 1
        mine.parts.append((self._timelines, 0))
        mine.writing, mine.following = True, False

    def close(self, node: int) -> None:
        """Stop writing. What waited is neither acknowledged nor undone."""
        self.of[node].writing = False

    def follow(self, node: int) -> None:
        """Be a follower from now on."""
        mine = self.of[node]
        mine.writing, mine.following = False, True

    def set_synchronous(self, node: int, on: bool) -> None:
        """Commits from now on wait for the follower, or do not."""
        self.of[node].synchronous = on

    def power_off(self, node: int) -> None:
        """The machine is off; settings and committed data survive."""
        self.of[node].writing = self.of[node].following = self.of[node].crashed = False

    def crash(self, node: int, *, crashed: bool) -> None:
        """Its server dies, or systemd has started it again."""
        self.of[node].crashed = crashed

    def rewind(self, node: int) -> None:
        """The re-add work: throw away what the other node's history does not have."""
        mine, other = self.of[node], self.of[3 - node]
        if not mine.begins(other):
            mine.parts = list(other.parts)
        mine.following, mine.writing = True, False

    def write_off(self, node: int) -> None:
        """An admin's choice, rule 8: what this node lacks counts no more (it is kept for salvage)."""
        have = dict(self.of[node].parts)
        self.acknowledged = {t: min(n, have.get(t, 0)) for t, n in self.acknowledged.items()}

    def lacks(self, node: int) -> str:
        """What was acknowledged and is not here, or ``""``."""
        mine = self.of[node]
        lost = [(t, n) for t, n in self.acknowledged.items() if not mine.has(t, n)]
        return f"acknowledged {lost}, has {mine.parts[-4:]}" if lost else ""

    def in_step(self, writer: int) -> tuple[bool, str]:
        """What the writer sees of its follower: streaming, flushed, little lag."""
        mine, other = self.of[writer], self.of[3 - writer]
        if mine.crashed:
            return False, "the database does not run"
        if not self._follows(writer):
            diverged = other.following and not other.begins(mine)
            return False, "the slave's data has diverged" if diverged else "the slave does not stream"
        behind = (
            not other.parts or mine.parts[:-1] != other.parts[:-1] or mine.parts[-1][1] - other.parts[-1][1] > _LAG_MAX
        )
        return (False, "the slave is behind") if behind else (True, "")

    # --- time -------------------------------------------------------------------------------------------------------

    def _follows(self, writer: int) -> bool:
        other = self._nodes[3 - writer]
        mine, theirs = self.of[writer], self.of[3 - writer]
        run = other.machine.runs and not (mine.crashed or theirs.crashed)
        return self._streams() and run and theirs.following and theirs.begins(mine)

    def _stream(self, writer: History, follower: History) -> None:
        """Without a commit that waits for it, the follower is always a little behind."""
        behind = 0 if writer.synchronous else self._draw.randrange(4)
        timeline, count = writer.parts[-1]
        have = dict(follower.parts).get(timeline, 0)
        follower.parts = [*writer.parts[:-1], (timeline, max(have, count - behind))]

    def _step(self) -> None:
        self._agenda.after(_STEP_MS, self._step)
        for number, node in self._nodes.items():
            if self.of[number].writing and node.machine.runs and not self.of[number].crashed:
                before = sum(self.acknowledged.values())
                self._write(number, node)
                if sum(self.acknowledged.values()) == before:
                    self.stalls_since_ms.setdefault(number, self._agenda.now_ms)
                    continue
            self.stalls_since_ms.pop(number, None)

    def _write(self, number: int, node: Node) -> None:
        mine = self.of[number]
        timeline, count = mine.parts[-1]
        waiting = count - self.acknowledged.get(timeline, 0)
        if mine.synchronous and waiting >= _COMMITS_WAITING_MAX:
            self.stalled_ms += _STEP_MS
        else:
            mine.parts[-1] = (timeline, count + 1)
        if self._follows(number):
            self._stream(mine, self.of[3 - number])
        if not mine.synchronous:
            self.on_alone(node)
            self.acknowledged[timeline] = mine.parts[-1][1]
            return
        received = dict(self.of[3 - number].parts).get(timeline, 0)
        self.acknowledged[timeline] = max(self.acknowledged.get(timeline, 0), received)
