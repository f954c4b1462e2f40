"""Ports in memory that stand beside the two machines: copies, services around, programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ishmael.manager.ports.copies import Copied, Target, Watch
from ishmael.manager.ports.surroundings import Service
from ishmael.manager.watch.scheduler import Scheduler
from ishmael.words.errors import HostFault
from ishmael.words.profile import FileSet


class MemoryCopies:
    """Everything is there at once."""

    def password(self) -> str:
        return "secret"

    def there(self, files: FileSet) -> bool:
        return True

    def size(self, files: FileSet) -> int:
        return 1000

    def answers(self, target: Target) -> bool:
        return True

    def some(self, target: Target, files: FileSet, paths: Sequence[bytes], stopped: Callable[[], bool]) -> Copied:
        return Copied(0, "")

    def all(self, target: Target, files: FileSet, stopped: Callable[[], bool], watch: Watch | None = None) -> Copied:
        return Copied(0, "", moved_bytes=1000)

    def compare(self, target: Target, files: FileSet, stopped: Callable[[], bool]) -> Copied:
        return Copied(0, "")


class MemoryFollowing:
    """The slave has every file, until a test says otherwise."""

    def __init__(self) -> None:
        self.waiting, self.asked = 0, list[int]()
        self.silent = False

    def settle(self, limit_ms: int) -> Mapping[str, Any]:
        self.asked.append(limit_ms)
        if self.silent:
            raise HostFault("manager-down", "The manager of this node does not answer.", "")
        took_ms = limit_ms if self.waiting else 60
        return {"settled": self.waiting == 0, "took_ms": took_ms, "files": {"waiting": self.waiting}}


class MemoryOwnChecks:
    """A manager's checks, when a test has given them."""

    def __init__(self) -> None:
        self.scheduler: Scheduler | None = None
        self.node = ""

    def _found(self) -> Scheduler:
        if self.scheduler is None:
            raise HostFault("manager-down", "The manager of this node does not answer.", "")
        return self.scheduler

    def run(self, check: str) -> Mapping[str, Any]:
        return self._found().run_now(check, self.node)

    def acknowledge(self, check: str, user: str, why: str) -> Mapping[str, Any]:
        return self._found().acknowledge(check, user, why, self.node)

    def history(self, check: str) -> Sequence[Mapping[str, Any]]:
        return self._found().history(check)


class MemorySurroundings:
    """Everything works, and nobody telephones, until a test says otherwise."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.up: int | None = 0
        self.names: dict[str, str] = {}
        self.time, self.said = True, "it was looked at"

    def address_of(self, server: str, name: str) -> str | None:
        return self.names.get(name)

    def tells_time(self, server: str) -> bool:
        return self.time

    def services(self) -> tuple[Service, ...]:
        items = ("dns", "clock", "mail", "fax")
        return tuple(Service(item, item not in self.broken, self.said) for item in items)

    def calls(self) -> int | None:
        return self.up

    def phones(self) -> int | None:
        return None if self.up is None else 12

    def answered_channel(self) -> str:
        return "PJSIP/101-00000001" if self.up else ""


class MemoryPrograms:
    """Every program is installed, and content with everything but what a test says."""

    def __init__(self) -> None:
        self.missing: set[str] = set()
        self.says = ""
        self.trouble = ("", "")
        self.looked_at: list[dict[str, bytes]] = []

    def installed(self, path: str) -> bool:
        return path not in self.missing

    def refusal(self, files: Mapping[str, bytes], commands: Sequence[Sequence[str]], *, quiet: bool) -> str:
        self.looked_at.append(dict(files))
        return self.says

    def reload_units(self) -> None:
        pass

    def login_trouble(self, host: str, port: int, how: str, login: tuple[str, str], *, verify: bool) -> tuple[str, str]:
        return self.trouble
