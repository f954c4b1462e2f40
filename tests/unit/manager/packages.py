"""Debian packages in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ishmael.manager.drivers.packages import DebianPackages
from ishmael.words.versions import Need, needs_of


class MemoryPackages:
    """A dpkg, a pool of kept packages (named ``name_version.deb``), and what was brought."""

    def __init__(self) -> None:
        self.installed: dict[str, str] = {"ishmael": "0.1.0"}
        self.pool: dict[str, bytes] = {}
        self.brought: dict[str, bytes] = {}
        self.trees: dict[str, tuple[bytes, int]] = {}
        self.depends: dict[str, tuple[str, ...]] = {}
        self.state: dict[str, str] = {"key": "", "state": "none", "said": ""}
        self.fails = ""
        self.looks = 0

    def stamp(self) -> int:
        return hash(tuple(sorted(self.installed.items())))

    def versions(self, names: Iterable[str]) -> dict[str, str | None]:
        return {name: self.installed.get(name) for name in names}

    def kept(self, name: str, version: str) -> str | None:
        path = f"/pool/{name}_{version}.deb"
        return path if path in self.pool else None

    def needs(self, path: str) -> tuple[tuple[Need, ...], ...]:
        return needs_of(",".join(self.depends.get(path, ())))

    def fits(self, version: str, need: Need) -> bool:
        return DebianPackages().fits(version, need)

    def manifest(self, directories: Iterable[str]) -> dict[str, Sequence[Any]]:
        below = tuple(f"{directory}/" for directory in directories)
        return {path: list(self.measure(path)) for path in self.trees if path.startswith(below)}

    def measure(self, path: str) -> tuple[int, str, int]:
        data, mode = self.trees.get(path) or (self.pool[path], 0o600)
        return len(data), hashlib.sha256(data).hexdigest(), mode

    def read(self, path: str, offset: int, size: int) -> bytes:
        data = self.trees[path][0] if path in self.trees else self.pool[path]
        return data[offset : offset + size]

    def receive(self, name: str, offset: int, data: bytes) -> int:
        there = self.brought.get(name, b"") if offset else b""
        if len(there) == offset:
            self.brought[name] = there + data
        return len(self.brought.get(name, b""))

    def received(self, name: str) -> tuple[int, str]:
        data = self.brought.get(name)
        return (0, "") if data is None else (len(data), hashlib.sha256(data).hexdigest())

    def place(self, name: str, target: str, mode: int) -> None:
        self.trees[target] = (self.brought.pop(name), mode)

    def remove(self, path: str) -> None:
        self.trees.pop(path, None)

    def install(self, key: str, names: Sequence[str]) -> None:
        self.looks = 0
        self.state = {"key": key, "state": "running", "said": ""}

    def installing(self) -> Mapping[str, Any]:
        self.looks += 1
        if self.state["state"] == "running" and self.looks > 1:
            self.state = {**self.state, "state": "failed" if self.fails else "done", "said": self.fails}
            if not self.fails:
                self.installed |= dict(name.removesuffix(".deb").split("_") for name in self.brought if "_" in name)
        return self.state

    def clear(self) -> None:
        self.brought.clear()
