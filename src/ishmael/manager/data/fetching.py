"""The salvage of both nodes, and bringing one find out."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

from ishmael.manager.data.salvage import Salvage
from ishmael.manager.ports.hands import Hands
from ishmael.manager.works import machine
from ishmael.words.errors import HostFault, IshmaelError, RequestRefused

_ASK_S = 8.0


def both(hands: Hands, salvage: Salvage) -> dict[str, Any]:
    """``finds`` of both nodes, oldest first, and ``unreached``: why the other node's are not among them, or empty."""
    finds = [find.to_mapping() for find in salvage.finds()]
    unreached = ""
    try:
        peer = machine.peer_of(hands)
        if peer is not None:
            finds += [dict(find) for find in hands.node.ask(peer, "salvage", limit_s=_ASK_S)["finds"]]
    except IshmaelError as error:
        unreached = error.message
    return {"finds": sorted(finds, key=lambda find: str(find["at"])), "unreached": unreached}


def export(salvage: Salvage, name: str, directory: str) -> dict[str, Any]:
    """Copy a find's content.

    Raises:
        RequestRefused: the directory exists, or is no absolute path.
        HostFault: the disk is full or failing.
    """
    find, target = salvage.find(name), Path(directory)
    if not target.is_absolute():
        raise RequestRefused("not-absolute", f"{directory} is no absolute path.", "Begin it with a slash.")
    if target.exists() or target.is_symlink():
        raise RequestRefused("directory-exists", f"{directory} exists already.", "Name a directory that does not.")
    try:
        shutil.copytree(salvage.content(name), target, symlinks=True)
    except (OSError, shutil.Error) as error:
        shutil.rmtree(target, ignore_errors=True)
        # Elsewhere the manager's own unit lets nobody write, not even root.
        closed = isinstance(error, OSError) and error.errno == errno.EROFS
        hint = "Name a directory below /root, /home, /srv, /opt, /mnt, /media or /var." if closed else "See: df -h"
        raise HostFault("export-failed", f"{directory} cannot be written: {error}.", hint) from error
    return {"id": find.id, "directory": str(target), "count": find.count, "size_bytes": find.size_bytes}
