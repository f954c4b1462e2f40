"""What the core wants done: imperative, frozen. Each with an end is answered by its event (see events)."""

from __future__ import annotations

from dataclasses import dataclass

from ishmael.core.messages import Message
from ishmael.words.errors import Finding
from ishmael.words.record import Record


@dataclass(frozen=True, slots=True)
class Send:
    """Send an agreed message to the other keeper; may be lost."""

    message: Message


@dataclass(frozen=True, slots=True)
class Save:
    """Write the record atomically and fsync it (``None``: remove it). Ends with ``SaveEnded``."""

    ticket: int
    record: Record | None


@dataclass(frozen=True, slots=True)
class TakeAddress:
    """Add the cluster IP with a finite lease. Ends with ``AddressEnded``."""


@dataclass(frozen=True, slots=True)
class RefreshAddress:
    """Renew the kernel's lease on the cluster IP. If the address is gone, do not add it: ``AddressEnded(holds=False)``."""


@dataclass(frozen=True, slots=True)
class DropAddress:
    """Remove the cluster IP at once, before anything else. Ends with ``AddressEnded``."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Gratuitous ARP in both forms, and unicast ARP to the references (RFC 5227, section 2.3)."""


@dataclass(frozen=True, slots=True)
class AskReferences:
    """Ask these references once by ARP."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProbePeer:
    """One paired probe: ask for the cluster IP and for the peer's own addresses, on both networks."""


@dataclass(frozen=True, slots=True)
class ProbeHolder:
    """Ask once who holds the cluster IP (telephone network)."""


@dataclass(frozen=True, slots=True)
class DiscardFrames:
    """Throw away everything received but not yet read: it was queued while this node did not run."""


@dataclass(frozen=True, slots=True)
class OpenWorkload:
    """Promote the database and open the services. Ends with ``WorkloadEnded(opened=True)``."""


@dataclass(frozen=True, slots=True)
class CloseWorkload:
    """Stop or kill what only a master runs, within ``limit_ms``. Ends with ``WorkloadEnded(opened=False)``."""

    limit_ms: int


@dataclass(frozen=True, slots=True)
class WarmWorkload:
    """Keep running what a slave runs warm; follow the master's data."""


@dataclass(frozen=True, slots=True)
class SetSynchronous:
    """Switch synchronous replication; ends with ``SynchronousEnded`` once it is true for every later commit.

    Args:
        on: commits wait for the slave.
        once_caught_up: not before the slave streams with little lag, however long that takes: commits must not wait for
            a slave that has hours to catch up. Another ``SetSynchronous`` or ``CloseWorkload`` ends the waiting.
    """

    on: bool
    once_caught_up: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer an ask: done when ``refusal`` is none."""

    ticket: int
    refusal: Finding | None = None


@dataclass(frozen=True, slots=True)
class Fence:
    """Have the power switch cut the other node's power. Ends with ``FenceEnded``."""

    ticket: int


Command = (
    Send
    | Save
    | TakeAddress
    | RefreshAddress
    | DropAddress
    | Announce
    | AskReferences
    | ProbePeer
    | ProbeHolder
    | DiscardFrames
    | OpenWorkload
    | CloseWorkload
    | WarmWorkload
    | SetSynchronous
    | Fence
    | Answer
)
