"""What a former master had and the new one lacks: kept aside before a re-add brings the new master's state, never thrown away.

One directory a find below /var/lib/ishmael/salvage: ``meta.json`` and, beside it, what was kept (``content/``). It lies
on the node that had it. Kinds: ``files`` (paths below ``content/`` as they were below ``/``), ``database``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ishmael.words import places
from ishmael.words.errors import HostFault, RequestRefused

SALVAGE_SCHEMA = 1
_ID = re.compile(r"[0-9]{8}T[0-9]{6}(-[a-z]+|Z)(-[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Find:
    """One thing kept aside.

    Args:
        id: its name: when, and of which kind.
        kind: ``files`` or ``database``.
        at: wall time, ISO 8601, UTC.
        why: what happened, in plain words.
        count: how many files or transactions.
        size_bytes: of the content.
        node: on which node it lies.
        facts: more of it, by kind.
    """

    id: str
    kind: str
    at: str
    why: str
    count: int
    size_bytes: int
    node: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_mapping(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "id": self.id, "kind": self.kind, "at": self.at, "why": self.why, "count": self.count,
            "size_bytes": self.size_bytes, "node": self.node, "facts": dict(self.facts),
        }  # fmt: skip


class Salvage:
    """All that is kept on this node.

    Args:
        node: this node's name.
        root: directory of the store.
    """

    def __init__(self, node: str, root: str = places.SALVAGE) -> None:
        self._node, self._root = node, Path(root)

    def begin(self, kind: str) -> Path:
        """A fresh directory to put content into; it is no find before ``keep``, and thrown away when never kept."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._root / f".new-{kind}-{os.getpid()}"
        shutil.rmtree(fresh, ignore_errors=True)
        (fresh / "content").mkdir(mode=0o700, parents=True)
        return fresh

    def keep(self, fresh: Path, kind: str, why: str, count: int, facts: Mapping[str, Any] | None = None) -> Find:
        """Make what was put into a fresh directory a find; on disk when this returns.

        Raises:
            HostFault: the disk is full or failing.
        """
        now = datetime.now(UTC)
        name = self._free_name(f"{now:%Y%m%dT%H%M%S}-{kind}")
        find = Find(
            name, kind, now.isoformat(timespec="milliseconds"), why, count, _size(fresh / "content"), self._node,
            facts or {},
        )  # fmt: skip
        try:
            with (fresh / "meta.json").open("w") as meta:
                json.dump({"schema": SALVAGE_SCHEMA, **find.to_mapping()}, meta)
                meta.flush()
                os.fsync(meta.fileno())
            os.sync()
            fresh.rename(self._root / name)
            handle = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(handle)
            os.close(handle)
        except OSError as error:
            raise HostFault(
                "files-not-kept", f"What differs could not be kept aside: {error.strerror}.", "Free some disk space: df -h"
            ) from error  # fmt: skip
        return find

    def finds(self) -> list[Find]:
        """All of them, oldest first; a damaged one is left out."""
        found = []
        for meta in sorted(self._root.glob("[0-9]*/meta.json")):
            try:
                raw = json.loads(meta.read_text())
                raw.pop("schema")
                found.append(Find(**raw) if "id" in raw else self._of_the_database(meta.parent, raw))
            except (OSError, ValueError, TypeError, KeyError):
                continue
        return found

    def _of_the_database(self, place: Path, raw: Mapping[str, Any]) -> Find:
        """A find as the database's rejoin writes it: rows of diverged transactions, or where a whole directory lies."""
        transactions = int(raw.get("transactions", 0))
        waited = (
            " Commits were waiting for the slave: nobody was told that they had ended."
            if raw.get("waited_for_slave")
            else ""
        )
        why = f"{transactions} transactions of this former master were not in the new one's database.{waited}"
        if raw["kind"] == "directory":
            why = (
                f"What only this former master had cannot be read row by row; its whole database lies in {raw['path']}."
            )
        return Find(
            str(raw["name"]), "database", str(raw["at"]), why, transactions, _size(place), self._node, dict(raw)
        )  # fmt: skip

    def find(self, name: str) -> Find:
        """One of them.

        Raises:
            RequestRefused: there is none of this name here.
        """
        found = next((find for find in self.finds() if find.id == name), None) if _ID.fullmatch(name) else None
        if found is None:
            raise RequestRefused("no-such-find", f"Nothing is kept here as {name[:64]!r}.", "See: ishmael salvage list")
        return found

    def content(self, name: str) -> Path:
        """Where the content of a find lies."""
        place = self._root / self.find(name).id
        return place / "content" if (place / "content").is_dir() else place

    def names(self, name: str, limit: int = 1000) -> list[str]:
        """Paths of what was kept, below its content."""
        return [path for path, _ in zip(_below(self.content(name)), range(limit), strict=False)]

    def _free_name(self, wanted: str) -> str:
        name, number = wanted, 1
        while (self._root / name).exists():
            number += 1
            name = f"{wanted}-{number}"
        return name


def _below(top: Path) -> Iterable[str]:
    for where, directories, names in os.walk(os.fsencode(top)):
        directories.sort()
        for name in sorted(names):
            yield os.path.relpath(where + b"/" + name, os.fsencode(top)).decode(errors="backslashreplace")


def _size(top: Path) -> int:
    total = 0
    for where, _, names in os.walk(os.fsencode(top)):
        for name in names:
            total += os.lstat(where + b"/" + name).st_size
    return total
