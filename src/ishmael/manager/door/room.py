"""How much room there is on this node's disks, for the master that wants to know whether its data fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ishmael.manager.ports.hands import Hands
from ishmael.words.errors import RequestRefused

_PATHS_MAX = 64


def room(hands: Hands, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Device, free and used bytes of each directory, whether it is there yet or not.

    Raises:
        RequestRefused: the paths are no absolute paths.
    """
    paths = arguments.get("paths")
    if (
        not isinstance(paths, list)
        or len(paths) > _PATHS_MAX
        or not all(isinstance(path, str) and path.startswith("/") and "\0" not in path for path in paths)
    ):
        raise RequestRefused("bad-arguments", f"room wants paths: at most {_PATHS_MAX} absolute paths.")
    return {"rooms": {path: asdict(hands.files.room(path)) for path in paths}}
