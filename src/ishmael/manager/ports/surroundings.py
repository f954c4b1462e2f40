"""What else runs on this machine that a phone system wants: name service, clock, mail, fax; and the calls that are up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Service:
    """One of the services that should work before a cluster is formed.

    Args:
        item: ``dns``, ``clock``, ``mail`` or ``fax``.
        works: it does.
        said: what was seen, in one clause.
    """

    item: str
    works: bool
    said: str


class Surroundings(Protocol):
    """Looks, touches nothing."""

    def services(self) -> tuple[Service, ...]:
        """How each of the services is; takes a few seconds at most."""
        ...

    def address_of(self, server: str, name: str) -> str | None:
        """The IPv4 address that a name server tells for a name; None when it tells none."""
        ...

    def tells_time(self, server: str) -> bool:
        """A time server answers there."""
        ...

    def calls(self) -> int | None:
        """How many calls are up here, or None when Asterisk does not tell."""
        ...

    def phones(self) -> int | None:
        """How many phones are registered here, or None when Asterisk does not tell."""
        ...

    def answered_channel(self) -> str:
        """The channel of a call that is answered now; empty when there is none, or Asterisk does not tell."""
        ...
