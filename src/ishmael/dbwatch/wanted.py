"""What the keeper wants of the database, and what it is told: one JSON object a line each, whole every time.

The wish is a level, not an order: whoever starts later, or missed a line, does the same from the next one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

MODES = ("idle", "open", "warm", "closed")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The wish.

    Args:
        n: raised by every change of it; comes back with what was found under it.
        mode: ``idle``: leave it as it is; ``open``: written to here; ``warm``: follow the other node; ``closed``: stopped.
        synchronous: commits wait for the slave.
        once_caught_up: not before it has nearly caught up.
        peer: id of the other node, or 0.
        stop_ms: time limit for stopping.
    """

    n: int = 0
    mode: str = "idle"
    synchronous: bool = False
    once_caught_up: bool = False
    peer: int = 0
    stop_ms: int = 3000


def wanted_from_mapping(raw: Any) -> Wanted | None:
    """Read a line of the keeper; None when it is none."""
    if not isinstance(raw, dict):
        return None
    known = {f.name for f in fields(Wanted)}
    try:
        made = Wanted(**{name: value for name, value in raw.items() if name in known})
    except TypeError:
        return None
    numbers = (made.n, made.peer, made.stop_ms)
    return made if made.mode in MODES and all(type(number) is int for number in numbers) else None


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found.

    Args:
        n: of the wish it was found under.
        done: the mode is reached.
        failed: why not, in plain words, when it cannot be.
        synchronous: what is true for commits now; None while it is not known.
        in_step: the slave streams and has what it must have; on the master only.
        why: why not.
        lag_bytes: log that the slave has not applied.
        canary_age_ms: age of the newest canary row that the slave has applied.
        promoted_ms: how long the last promotion took; -1 before any.
    """

    n: int = 0
    done: bool = False
    failed: str = ""
    synchronous: bool | None = None
    in_step: bool = False
    why: str = ""
    lag_bytes: int | None = None
    canary_age_ms: int | None = None
    promoted_ms: int = -1

    def to_mapping(self) -> dict[str, Any]:
        """For a line of JSON."""
        return asdict(self)
