"""What APT is about to do, as it tells its hooks (apt.conf(5), DPkg::Pre-Install-Pkgs, version 3)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from ishmael.words.versions import OWN_PACKAGE

OVERRIDE = "Ishmael::Override"
_WORDS = 9
_NONE = "-"
_YES = ("yes", "true", "on", "1", "with", "enable")


@dataclass(frozen=True, slots=True)
class Change:
    """One package that is about to change.

    Args:
        name: of the package.
        old: its installed version, or None.
        new: its version afterwards, or None when it is removed.
        file: the .deb about to be unpacked, or None.
    """

    name: str
    old: str | None
    new: str | None
    file: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it.

    Args:
        changes: in APT's order.
        override: the admin said ``-o Ishmael::Override=yes``.
    """

    changes: tuple[Change, ...]
    override: bool


def read_plan(lines: Iterable[str]) -> Plan:
    """Read what APT says on the hook's standard input.

    Raises:
        ValueError: it is not of version 3.
    """
    rows = iter(line.rstrip("\n") for line in lines)
    first = next(rows, "")
    if first != "VERSION 3":
        raise ValueError(f"the first line is {first[:40]!r}, not VERSION 3")
    override = False
    for row in rows:
        if not row:
            break
        name, _, value = row.partition("=")
        if unquote(name).lower() == OVERRIDE.lower():
            override = unquote(value).lower() in _YES
    return Plan(tuple(filter(None, map(_change, rows))), override)


def _change(row: str) -> Change | None:
    words = row.split(" ", _WORDS - 1)
    if len(words) != _WORDS:
        raise ValueError(f"a line has {len(words)} words: {row[:80]!r}")
    name, old, new, action = words[0], words[1], words[5], words[8]
    if action == "**CONFIGURE**":
        return None
    file = action if action.startswith("/") else None
    return Change(name, None if old == _NONE else old, None if new == _NONE else new, file)


def locked(plan: Plan, names: Collection[str]) -> list[str]:
    """Which of these packages would have another version afterwards. Ishmael itself may be removed.

    Args:
        plan: what APT is about to do.
        names: packages that both nodes must have in one version.
    """
    return sorted(
        {
            change.name
            for change in plan.changes
            if change.name in names and change.old != change.new and (change.new or change.name != OWN_PACKAGE)
        }
    )
