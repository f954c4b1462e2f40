"""The same versions on both nodes: what differs, and whether this node can bring it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ishmael.manager.ports.hands import Hands
from ishmael.manager.ports.node import Peer
from ishmael.words import places
from ishmael.words.errors import Finding, PeerFault
from ishmael.words.versions import Need, difference_text, differing, packages_of

OBJECTION = "versions"
"""Under which name the manager objects to the fitness of a slave with other versions."""


def wanted(hands: Hands) -> tuple[str, ...]:
    """Names of the packages that both nodes must have in one version."""
    raw = hands.files.read(places.PROFILE)
    return packages_of(raw.decode(errors="replace") if raw is not None else None)


def here_and_there(
    hands: Hands, peer: Peer, names: Iterable[str]
) -> tuple[dict[str, str | None], dict[str, str | None]]:
    """Versions on this node and on the other.

    Raises:
        PeerFault, RequestRefused: the other node does not tell.
    """
    listed = list(names)
    answer = hands.node.ask(peer, "versions", {"packages": listed})["versions"]
    if not isinstance(answer, dict):
        raise PeerFault("peer-nonsense", "The other node told no versions.", "Install the same version there.")
    return hands.packages.versions(listed), {name: answer.get(name) for name in listed}


@dataclass(frozen=True, slots=True)
class Bringing:
    """What would make the versions the same.

    Args:
        differing: packages that are installed here, and there in another version or not at all.
        text: the difference in words.
        files: package files kept here that make up for it, by package.
        missing: packages of another version whose file is not kept here.
        lacking: what kept files depend on, that is neither there in a version that will do nor kept here.
    """

    differing: tuple[str, ...]
    text: str
    files: Mapping[str, str]
    missing: tuple[str, ...]
    lacking: tuple[Need, ...] = ()


def bringing(hands: Hands, peer: Peer) -> Bringing:
    """Look what differs on both nodes, dependencies of what differs among it."""
    names = wanted(hands)
    here, there = here_and_there(hands, peer, names)
    different = differing(names, here, there)
    files, missing, seen, queue = dict[str, str](), list[str](), set(names), list(different)
    groups, all_there = list[tuple[Need, ...]](), dict(there)
    while queue:
        needed: list[str] = []
        for name in queue:
            path = hands.packages.kept(name, here[name] or "")
            if path is not None:
                files[name] = path
                wants = hands.packages.needs(path)
                groups += wants
                needed += [need.name for group in wants for need in group if need.name not in seen]
            elif name in different:
                missing.append(name)
        seen.update(needed)
        queue = []
        if needed:
            more_here, more_there = here_and_there(hands, peer, dict.fromkeys(needed))
            here |= more_here
            all_there |= more_there
            queue = differing(more_here, more_here, more_there)
    after = all_there | {name: here[name] for name in files}
    text = difference_text(different, here, there)
    return Bringing(tuple(different), text, files, tuple(missing), _lacking(hands, groups, here, after))


def _lacking(
    hands: Hands, groups: Iterable[tuple[Need, ...]], here: Mapping[str, str | None], after: Mapping[str, str | None]
) -> tuple[Need, ...]:
    """Of each group that nothing there satisfies, the one that this node has.

    A group that only a virtual package satisfies, here or there, cannot be judged: it is left to APT.
    """
    found: list[Need] = []
    for group in groups:
        if any((version := after.get(need.name)) and hands.packages.fits(version, need) for need in group):
            continue
        found += [need for need in group if here.get(need.name)][:1]
    return tuple(dict.fromkeys(found))


def not_kept(found: Bringing, name: str) -> Finding | None:
    """What stands against bringing the other node to these versions."""
    if not found.missing:
        return _dependency_not_kept(found, name) if found.lacking else None
    listed = " ".join(found.missing)
    return Finding(
        "name", "version-differs", f"{name} has other versions ({found.text}), and this node keeps no file of {listed}.",
        f"Install the same there; or let this node keep it: apt install --reinstall {listed} (or ./FILE.deb) here.",
        whose="peer",
    )  # fmt: skip


def _dependency_not_kept(found: Bringing, name: str) -> Finding:
    listed, names = ", ".join(map(str, found.lacking)), " ".join(need.name for need in found.lacking)
    return Finding(
        "name", "dependency-not-kept",
        f"{name} lacks {listed}, which the packages that are to be brought there need, and this node keeps no file of it.",
        f"Install it there; or let this node keep it: apt install --reinstall {names} here.",
        overridable=True, whose="peer",
    )  # fmt: skip
