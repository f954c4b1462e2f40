"""Which Debian packages both nodes must have in one version, and how their names are written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ishmael.words.errors import RequestRefused
from ishmael.words.profile import profile_from_toml

OWN_PACKAGE = "ishmael"
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{1,99}")
_DEPENDED = re.compile(r"\s*([a-z0-9][a-z0-9+.-]+)")


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


def depended(fields: str) -> tuple[str, ...]:
    """Names of all packages in a Depends field, alternatives too."""
    named = (_DEPENDED.match(part) for part in re.split(r"[,|]", fields))
    return tuple(dict.fromkeys(found.group(1) for found in named if found))


def differing(names: Iterable[str], here: Mapping[str, str | None], there: Mapping[str, str | None]) -> list[str]:
    """Which packages are installed here, and there in another version or not at all."""
    return [name for name in names if here.get(name) is not None and there.get(name) != here[name]]


def difference_text(names: Iterable[str], mine: Mapping[str, str | None], its: Mapping[str, str | None]) -> str:
    """Such as ``asterisk 1 instead of 2``."""
    return ", ".join(f"{name} {its.get(name) or 'missing'} instead of {mine.get(name) or 'none'}" for name in names)
