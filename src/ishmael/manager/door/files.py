"""What the door does about files: find and keep aside what a former master had, and show what was kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ishmael.manager.data import diverged
from ishmael.manager.data.salvage import Salvage
from ishmael.manager.ports.hands import Hands
from ishmael.manager.works import machine
from ishmael.words.errors import RequestRefused
from ishmael.words.profile import profile_from_toml
from ishmael.words.roles import Role

_SERVING = (Role.MASTER, Role.TAKING, Role.HANDING)
_PATHS_MAX = 20_000
_SETTLE_MS_MAX = 5000


def salvage(hands: Hands, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept on this node."""
    if arguments:
        raise RequestRefused("bad-arguments", "salvage takes no arguments.")
    return {"finds": [find.to_mapping() for find in Salvage(hands.host.name()).finds()]}


def settle(hands: Hands, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Wait until the other node has every file of this master."""
    limit_ms = arguments.get("limit_ms")
    if set(arguments) != {"limit_ms"} or type(limit_ms) is not int or not 0 <= limit_ms <= _SETTLE_MS_MAX:
        raise RequestRefused("bad-arguments", f"files-settle takes limit_ms, 0 to {_SETTLE_MS_MAX}.")
    seen = hands.following.settle(limit_ms)
    return {key: seen[key] for key in ("settled", "took_ms", "files")}


def candidates(hands: Hands, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Files that may be on this node alone; a node that serves has none."""
    if arguments:
        raise RequestRefused("bad-arguments", "files-candidates takes no arguments.")
    _not_serving(hands)
    files = profile_from_toml(machine.active_profile(hands)).files
    return {"files": diverged.candidates(files), "since_s": diverged.stamped_s()}


def keep(hands: Hands, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Keep these files aside."""
    paths, why = arguments.get("paths"), arguments.get("why")
    if not isinstance(paths, list) or len(paths) > _PATHS_MAX or not all(isinstance(path, str) for path in paths):
        raise RequestRefused("bad-paths", f"paths is no list of at most {_PATHS_MAX} paths.")
    if not isinstance(why, str) or len(why) > 400:
        raise RequestRefused("bad-arguments", "why is no text of at most 400 characters.")
    _not_serving(hands)
    files = profile_from_toml(machine.active_profile(hands)).files
    find = diverged.keep(Salvage(hands.host.name()), files, paths, why)
    return {"find": None if find is None else find.to_mapping()}


def _not_serving(hands: Hands) -> None:
    if machine.keeper_role(hands) in _SERVING:
        message = f"{hands.host.name()} is serving as master itself."
        raise RequestRefused("peer-is-master", message, "See `ishmael status` there.")
