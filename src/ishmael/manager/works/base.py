"""What every kind of job is: inputs checked without touching anything, then named steps that know whether they are done."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ishmael.manager.ports.clock import Clock
from ishmael.words.errors import Finding, IshmaelError, RequestRefused
from ishmael.words.settings import not_an_address


@dataclass(frozen=True, slots=True)
class Step:
    """One named step of a work.

    Args:
        name: what it does, for the admin ("write the settings").
        is_done: looks whether it is done already; a resumed job begins at the first step that is not.
        act: does it; may be repeated after a crash in its middle.
        undo: takes it back, also when it was done by half; None when there is nothing to take back.
    """

    name: str
    is_done: Callable[[], bool]
    act: Callable[[], None]
    undo: Callable[[], None] | None = None


class Notes(Protocol):
    """What a job remembers across a crash: on disk when ``put`` returns."""

    def get(self, key: str) -> Any:
        """The value noted under this key, or None."""
        ...

    def put(self, key: str, value: Any) -> None:
        """Note a JSON value."""
        ...

    def cancelled(self) -> bool:
        """The admin has cancelled the job: a long step ends early, and the job is taken back."""
        ...

    def count(self, done: int, total: int, unit: str = "bytes") -> None:
        """Say how far the current step is: cheap, call it as often as you like.

        Args:
            done: so far, in ``unit``.
            total: of all; 0 while unknown.
            unit: what is counted, in the plural.
        """
        ...


class LooseNotes:
    """Notes that no journal keeps: of a job that is only planned, or of a reset in an emergency."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        """What was put there."""
        return self._values.get(key)

    def put(self, key: str, value: Any) -> None:
        """Keep it until the end."""
        self._values[key] = value

    def cancelled(self) -> bool:
        """Nobody can cancel it."""
        return False

    def count(self, done: int, total: int, unit: str = "bytes") -> None:
        """Nobody looks at it."""


class Work(Protocol):
    """One kind of job, made for one set of arguments."""

    name: str

    def check(self) -> list[Finding]:
        """All that stands against it. Looks, touches nothing; a dry run ends here."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """What the admin should see before saying yes (a fingerprint, addresses found); valid after ``check``."""
        ...

    def steps(self) -> Sequence[Step]:
        """The steps in their order."""
        ...

    def result(self) -> Mapping[str, Any]:
        """What the finished job hands out."""
        ...


def undoes(work: Work) -> bool:
    """A work that says ``undoes = True`` can be taken back whole after any of its steps, so it may be cancelled."""
    return bool(getattr(work, "undoes", False))


def wants_settled(work: Work) -> bool:
    """A work that says ``wants_settled = True`` begins when no changes are pending."""
    return bool(getattr(work, "wants_settled", False))


WorkFactory = Callable[[Mapping[str, Any], Notes], Work]
"""Makes a work from its arguments; raises RequestRefused with all findings when they are no arguments of it."""


class Arguments:
    """The inputs of one job, read one by one; all that is wrong with them is told at once.

    Args:
        raw: JSON values as they came in.
    """

    LENGTH_MAX = 4096
    ITEMS_MAX = 32

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = raw
        self._known: set[str] = set()
        self._findings: list[Finding] = []
        self._addresses: dict[str, str] = {}

    def address(self, name: str) -> str:
        """A required text that is to be an IPv4 address. The work's own check judges it; ``close`` does when there is none,
        because other fields are missing."""
        self._addresses[name] = self.text(name)
        return self._addresses[name]

    def text(self, name: str, default: str | None = None) -> str:
        """A piece of text, stripped; required when there is no default."""
        self._known.add(name)
        value = self._raw.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            if default is None:
                self._find(name, "missing", f"{name} is missing.", "Fill it in.")
            return default or ""
        return self._one(name, value)

    def flag(self, name: str) -> bool:
        """Yes or no; no when it is not given."""
        self._known.add(name)
        value = self._raw.get(name, False)
        if not isinstance(value, bool):
            self._find(name, "not-a-flag", f"{name} is neither true nor false.", "Give true or false.")
            return False
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; empty when none is given."""
        self._known.add(name)
        value = self._raw.get(name)
        if value is None:
            return ()
        if not isinstance(value, (list, tuple)) or len(value) > self.ITEMS_MAX:
            self._find(
                name, "not-a-list", f"{name} is no list of at most {self.ITEMS_MAX} entries.", "Give a list of texts."
            )
            return ()
        return tuple(self._one(name, item) for item in value)

    def close(self) -> None:
        """No argument is left to read.

        Raises:
            RequestRefused: with all findings, unknown arguments among them.
        """
        for name in sorted(set(self._raw) - self._known):
            self._find(str(name)[:64], "unknown-argument", f"There is no argument {str(name)[:64]!r}.", "Leave it out.")
        if self._findings:
            self._judge_addresses()
            first = self._findings[0]
            raise RequestRefused(first.code, first.message, first.hint, tuple(self._findings))

    def _judge_addresses(self) -> None:
        for name, value in self._addresses.items():
            try:
                ipaddress.IPv4Address(value)
            except ipaddress.AddressValueError:
                if value:
                    self._findings.append(not_an_address(name, value))

    def _one(self, name: str, value: Any) -> str:
        if not isinstance(value, str):
            self._find(name, "not-text", f"{name} is not a text.", "Give it as text.")
            return ""
        if len(value) > self.LENGTH_MAX:
            self._find(name, "too-long", f"{name} is longer than {self.LENGTH_MAX} characters.", "Shorten it.")
            return ""
        return value.strip()

    def _find(self, field: str, code: str, message: str, hint: str) -> None:
        found = Finding(field, code, message, hint)
        # A work may read a field twice, with one default and another.
        if found not in self._findings:
            self._findings.append(found)


def wait_until(
    clock: Clock, holds: Callable[[], bool], limit_s: float, otherwise: Callable[[], IshmaelError], every_s: float = 0.2
) -> None:
    """Wait until something holds.

    Args:
        clock: what to wait with.
        holds: asked again and again.
        limit_s: how long at most, in seconds.
        otherwise: makes the error to raise at the deadline; it may look what is missing.
        every_s: pause between two questions, in seconds.

    Raises:
        IshmaelError: what ``otherwise`` made.
    """
    deadline_s = clock.now_s() + limit_s
    while not holds():
        if clock.now_s() >= deadline_s:
            raise otherwise()
        clock.sleep(every_s)
