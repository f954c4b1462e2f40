"""What an admin, or a check on his behalf, asks of the keeper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Wish = Literal["form", "admit", "dismiss", "switch", "forget", "hold", "release", "serve", "stop"]


@dataclass(frozen=True, slots=True)
class Ask:
    """One ask; an event of the core.

    Args:
        what: ``form`` the first master, ``admit`` or ``dismiss`` the slave, ``switch`` (hand over), ``forget`` the
            cluster, ``hold`` or ``release`` automatic takeovers, ``serve`` (nobody else does), ``stop`` (this node shuts
            down).
        ticket: whom to answer; 0 for nobody.
        node: the node it is about, for ``admit`` and ``dismiss``.
        why: one sentence for the event list.
        since_ms: when it came in; set by the core.
    """

    what: Wish
    ticket: int = 0
    node: int = 0
    why: str = ""
    since_ms: int = 0
