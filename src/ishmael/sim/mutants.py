"""Defences taken away one at a time: each must be missed by the simulator's invariants."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ishmael.sim.world import World

Mutate = Callable[[World], None]


@dataclass(frozen=True)
class Mutant:
    """One defence less.

    Args:
        name: as on the command line.
        what: what is missing.
        applied: takes the defence away while it is open; gives what to do to each world.
    """

    name: str
    what: str
    applied: Callable[[], AbstractContextManager[Mutate]]


MUTANTS: dict[str, Mutant] = {}
