"""Which Debian packages both nodes must have in one version, and how their names are written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ishmael.words.errors import RequestRefused
from ishmael.words.profile import profile_from_toml

OWN_PACKAGE = "ishmael"
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{1,99}")
_DEPENDED = re.compile(r"\s*([a-z0-9][a-z0-9+.-]+)(?::[a-z0-9]+)?\s*(?:\(\s*(<<|<=|=|>=|>>)\s*([^\s)]+)\s*\))?")


@dataclass(frozen=True, slots=True)
class Need:
    """One package that another depends on, as one of several perhaps.

    Args:
        name: of the package.
        relation: ``<<``, ``<=``, ``=``, ``>=`` or ``>>``; empty when any version will do.
        version: what it is compared with.
    """

    name: str
    relation: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.relation} {self.version})" if self.relation else self.name


def is_package_name(text: str) -> bool:
    """Debian would call a package so (Debian Policy 5.6.7)."""
    return _NAME.fullmatch(text) is not None


def packages_of(profile: str | None) -> tuple[str, ...]:
    """Ishmael and the packages of the workload.

    Args:
        profile: text of the workload profile, or None; one that cannot be read names none.
    """
    try:
        named = profile_from_toml(profile).packages if profile else ()
    except RequestRefused:
        named = ()
    return (OWN_PACKAGE, *(name for name in named if name != OWN_PACKAGE))


def file_name(name: str, version: str, architecture: str) -> str:
    """Of a package's file, as APT writes it."""
    return f"{name}_{version.replace(':', '%3a')}_{architecture}.deb"


def needs_of(fields: str) -> tuple[tuple[Need, ...], ...]:
    """What a Depends field asks for: of each group of alternatives one (Debian Policy 7.1)."""
    groups = ([_DEPENDED.match(part) for part in group.split("|")] for group in fields.split(","))
    made = (tuple(Need(m[1], m[2] or "", m[3] or "") for m in group if m) for group in groups)
    return tuple(group for group in made if group)


def depended(fields: str) -> tuple[str, ...]:
    """Names of all packages in a Depends field, alternatives too."""
    return tuple(dict.fromkeys(need.name for group in needs_of(fields) for need in group))


def differing(names: Iterable[str], here: Mapping[str, str | None], there: Mapping[str, str | None]) -> list[str]:
    """Which packages are installed here, and there in another version or not at all."""
    return [name for name in names if here.get(name) is not None and there.get(name) != here[name]]


def difference_text(names: Iterable[str], mine: Mapping[str, str | None], its: Mapping[str, str | None]) -> str:
    """Such as ``asterisk 1 instead of 2``."""
    return ", ".join(f"{name} {its.get(name) or 'missing'} instead of {mine.get(name) or 'none'}" for name in names)
