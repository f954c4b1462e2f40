"""Lines of an admin's own in a service's files: what was changed by hand and taken over, kept as changes to what Ishmael writes.

Kept as changes and not as whole files, so that settings can still be changed, and what a node has of its own (its name) stays
its own. Pure.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

OWN_SCHEMA = 1
LIMIT_BYTES = 262144


@dataclass(frozen=True, slots=True)
class Hunk:
    """One place where a file differs from what Ishmael writes.

    Args:
        at: number of the line, from 0, in the file as it was written when this was taken over.
        after: the line before it; empty at the top.
        gone: lines that Ishmael writes and that are not wanted.
        new: lines in their place.
    """

    at: int
    after: str
    gone: tuple[str, ...]
    new: tuple[str, ...]


Own = Mapping[str, tuple[Hunk, ...]]
"""By the path of the file."""


def hunks(meant: bytes, found: bytes) -> tuple[Hunk, ...]:
    """What was changed by hand.

    Args:
        meant: the file as Ishmael writes it from the settings alone.
        found: as it is.

    Raises:
        ValueError: it is no text, or too long.
    """
    if len(found) > LIMIT_BYTES:
        raise ValueError("it is too long")
    try:
        old, new = meant.decode().split("\n"), found.decode().split("\n")
    except UnicodeError as error:
        raise ValueError("it is no text") from error
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    return tuple(
        Hunk(first, old[first - 1] if first else "", tuple(old[first:last]), tuple(new[start:end]))
        for kind, first, last, start, end in matcher.get_opcodes()
        if kind != "equal"
    )


def applied(data: bytes, own: Sequence[Hunk]) -> bytes:
    """A file as it is meant: as Ishmael writes it, with the lines of the admin's own.

    Lines that are not wanted and that Ishmael does not write (any longer) are not missed; lines whose place is not there
    stand at the end.
    """
    lines, homeless = data.decode().split("\n"), list[str]()
    # From the last one up, so that the numbers of those before stay right.
    for hunk in sorted(own, key=lambda each: -each.at):
        place = _nearest(lines, hunk.gone, hunk.at) if hunk.gone else None
        if place is not None:
            lines[place : place + len(hunk.gone)] = hunk.new
            continue
        for line in hunk.gone:
            if line and line in lines:
                lines.remove(line)
        at = _behind(lines, hunk)
        if at is None:
            homeless[:0] = hunk.new
        else:
            lines[at:at] = hunk.new
    # The last piece is what stands behind the last line end: nothing.
    end = len(lines) - 1 if not lines[-1] else len(lines)
    return "\n".join([*lines[:end], *homeless, *lines[end:]]).encode()


def _nearest(lines: Sequence[str], wanted: Sequence[str], at: int) -> int | None:
    """Where these lines stand one after the other, nearest to a place."""
    places = [n for n in range(len(lines) - len(wanted) + 1) if tuple(lines[n : n + len(wanted)]) == tuple(wanted)]
    return min(places, key=lambda place: abs(place - at), default=None)


def _behind(lines: Sequence[str], hunk: Hunk) -> int | None:
    """Where new lines belong; None when the line before them is not there."""
    if hunk.at == 0:
        return 0
    before = _nearest(lines, (hunk.after,), hunk.at - 1)
    return None if before is None else before + 1


def to_json(own: Own) -> bytes:
    """As it lies on disk, and in the notes of a job."""
    files = {path: [asdict(hunk) for hunk in each] for path, each in own.items() if each}
    return json.dumps({"schema": OWN_SCHEMA, "files": files}, indent=1).encode() + b"\n"


def from_json(raw: bytes | str) -> dict[str, tuple[Hunk, ...]]:
    """The opposite.

    Raises:
        ValueError: it is not what Ishmael writes.
    """
    try:
        return {str(path): tuple(map(_hunk, each)) for path, each in json.loads(raw)["files"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("it does not hold what Ishmael writes there") from error


def _hunk(raw: Mapping[str, Any]) -> Hunk:
    return Hunk(int(raw["at"]), str(raw["after"]), tuple(map(str, raw["gone"])), tuple(map(str, raw["new"])))
