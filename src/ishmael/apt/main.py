"""APT's hook, run before packages are unpacked: ``python -m ishmael.apt.main`` with APT's plan on standard input.

While the cluster is formed, Ishmael and the workload's packages stay as they are. Otherwise their files are kept, so that
the other node can be brought to the same versions without the internet.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ishmael.apt.plan import OVERRIDE, locked, read_plan
from ishmael.apt.pool import keep, to_keep
from ishmael.words import places
from ishmael.words.errors import RequestRefused
from ishmael.words.settings import Settings, settings_from_toml
from ishmael.words.versions import packages_of

_LOCKED = 1


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return None


def _settings() -> Settings | None:
    """Settings that cannot be read lock nothing: an update may be what repairs them."""
    text = _text(places.SETTINGS)
    try:
        return settings_from_toml(text) if text is not None else None
    except RequestRefused:
        return None


def explain(names: list[str], settings: Settings) -> str:
    """Why these packages are locked, and what the way is."""
    listed = " ".join(names)
    return (
        f"ishmael: {', '.join(names)} cannot be changed now: this node is in the cluster of "
        f"{' and '.join(node.name for node in settings.nodes)}, and both have to have the same versions.\n"
        "  the way: on the master `ishmael remove-slave` (phones go on), update it with apt as usual, try it, then\n"
        "    `ishmael add-slave`: it brings the other node to the same versions, without the internet.\n"
        f"  all other packages: apt-mark hold {listed}; then apt as before; then apt-mark unhold {listed}\n"
        f"  in an emergency: give apt `-o {OVERRIDE}=yes`. Until the nodes have the same versions again, there is no failover.\n"
    )


def main() -> int:
    """0 when APT may go on, 1 when it may not."""
    names = packages_of(_text(places.PROFILE))
    try:
        plan = read_plan(sys.stdin)
    except ValueError as error:
        print(f"ishmael: what apt is about to do is not understood, so it is not checked: {error}", file=sys.stderr)
        return 0
    settings = _settings()
    if settings is not None and len(settings.nodes) > 1:
        held = locked(plan, names)
        if held and not plan.override:
            print(explain(held, settings), end="", file=sys.stderr)
            return _LOCKED
    try:
        keep(to_keep(plan.changes, names), Path(places.PACKAGES))
    except OSError as error:
        # The update itself is more important; adding the other node says what it lacks.
        print(f"ishmael: packages are not kept for the other node: {error}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
