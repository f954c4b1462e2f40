"""Whether the master's data fits on the other node's disks, looked at before anything is copied."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from ishmael.manager.ports.files import Room
from ishmael.manager.ports.hands import Hands
from ishmael.manager.ports.node import Peer
from ishmael.manager.works import machine
from ishmael.words.errors import Finding, IshmaelError
from ishmael.words.profile import profile_from_toml

SPARE_BYTES = 200_000_000
_MB = 1_000_000
_LIMIT_S = 60.0
# An older node does not know the question, and one with very many files may take too long: the copying looks again.
_UNKNOWN = ("unknown-op", "peer-slow")


def sizes(hands: Hands) -> dict[str, int]:
    """What is to be on both nodes: bytes by directory."""
    found = {
        files.path: hands.copies.size(files)
        for files in profile_from_toml(machine.active_profile(hands)).files
        if not files.held
    }
    database = hands.database.managed()
    if database is not None:
        found[database.data] = hands.files.room(database.data).used_bytes
    return found


def lacking(hands: Hands, peer: Peer, name: str) -> list[Finding]:
    """A finding for each file system of the other node that is too small.

    Args:
        hands: ports to look with.
        peer: how to reach it.
        name: its host name.

    Raises:
        IshmaelError: it does not answer as it should.
    """
    wanted, database = sizes(hands), hands.database.managed()
    half = [database.copy] if database is not None else []
    try:
        told = hands.node.ask(peer, "room", {"paths": [*wanted, *half]}, limit_s=_LIMIT_S)["rooms"]
    except IshmaelError as error:
        if error.code in _UNKNOWN:
            return []
        raise
    rooms = {path: Room(*(int(told[path][key]) for key in ("device", "free_bytes", "used_bytes"))) for path in wanted}
    if database is not None:
        # What a copy that was cut has left is not copied again.
        kept = max(rooms[database.data].used_bytes, int(told[database.copy]["used_bytes"]))
        rooms[database.data] = replace(rooms[database.data], used_bytes=kept)
    return too_small(wanted, rooms, name)


def too_small(wanted: Mapping[str, int], rooms: Mapping[str, Room], name: str) -> list[Finding]:
    """Judge each file system by all that shall lie on it; what is there already needs no room.

    Args:
        wanted: bytes by directory.
        rooms: of the other node, by the same directories.
        name: its host name.
    """
    paths: dict[int, list[str]] = defaultdict(list)
    for path in wanted:
        if wanted[path] > rooms[path].used_bytes:
            paths[rooms[path].device].append(path)
    findings = []
    for there in paths.values():
        needed = sum(wanted[path] - rooms[path].used_bytes for path in there)
        free = min(rooms[path].free_bytes for path in there)
        if needed + SPARE_BYTES > free:
            message = f"{name} has {free // _MB} MB free for {', '.join(there)}, and {needed // _MB} MB are still to come there."
            hint = f"Make room there: df -h {there[0]}. {SPARE_BYTES // _MB} MB should be left over."
            findings.append(Finding("name", "no-space", message, hint, overridable=True, whose="peer"))
    return findings
