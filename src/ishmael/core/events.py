"""What the core is told: past tense, frozen. Times are milliseconds of CLOCK_MONOTONIC on the node itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ishmael.core.asks import Ask
from ishmael.core.messages import Message
from ishmael.core.state import Config
from ishmael.words.record import Record
from ishmael.words.roles import Network


@dataclass(frozen=True, slots=True)
class Started:
    """The keeper started.

    Args:
        incarnation: a number no other start of any keeper has had.
        record: what the disk holds, if it could be read.
        damaged: why the record cannot be trusted, or ``""``.
        holds: the kernel still holds the cluster IP here, on an earlier lease of ours.
    """

    incarnation: int
    record: Record | None
    damaged: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Configured:
    """The settings were read again."""

    config: Config


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time passed. ``boot_ms`` is CLOCK_BOOTTIME at the same moment: it runs on while the machine is suspended."""

    boot_ms: int


@dataclass(frozen=True, slots=True)
class MessageArrived:
    """An agreed message of the other node's keeper."""

    message: Message


@dataclass(frozen=True, slots=True)
class CorosyncChanged:
    """The connection to this node's own Corosync came up or was lost."""

    up: bool


@dataclass(frozen=True, slots=True)
class ViewChanged:
    """Corosync's membership of the keepers' group changed. Reported; decisions rest on echoes alone."""

    members: frozenset[int]
    quorate: bool


@dataclass(frozen=True, slots=True)
class PeerFrameSeen:
    """A frame with one of the peer's hardware addresses as its source."""

    network: Network


@dataclass(frozen=True, slots=True)
class PeerAddressAnswered:
    """The peer answered ARP for an address of its own."""

    network: Network


@dataclass(frozen=True, slots=True)
class HolderSeen:
    """Somebody else answered for, or announced, the cluster IP."""

    by: Literal["peer", "foreign"]
    mac: str


@dataclass(frozen=True, slots=True)
class ReferenceAnswered:
    """A reference answered ARP."""

    reference: str


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """The carrier of one of our own network interfaces came or went."""

    network: Network
    up: bool


@dataclass(frozen=True, slots=True)
class SaveEnded:
    """A ``Save`` command ended; only with ``ok`` does the record survive a power cut."""

    ticket: int
    ok: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class AddressEnded:
    """``TakeAddress`` or ``DropAddress`` ended, or the kernel removed the address when its lease lapsed."""

    holds: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class WorkloadEnded:
    """``OpenWorkload`` or ``CloseWorkload`` ended. ``opened`` is false after a close."""

    opened: bool
    ok: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class SynchronousEnded:
    """``SetSynchronous`` ended: with ``on``, every later acknowledged commit is on the slave."""

    on: bool
    ok: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class DataReported:
    """How far the slave's data is: ``in_step`` when it streams, has flushed, and replays with little lag."""

    in_step: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class FitnessObjected:
    """What this node's other programs have against the slave's fitness now, in plain words; ``""`` when nothing."""

    why: str


@dataclass(frozen=True, slots=True)
class OnlyNotified:
    """Which failover checks (``F1``, ``F2``, ``F4``) the admin wants to be told of, and nothing moved."""

    checks: frozenset[str]


@dataclass(frozen=True, slots=True)
class WitnessChanged:
    """This node's connection to the witness came or went."""

    up: bool


@dataclass(frozen=True, slots=True)
class FenceEnded:
    """A ``Fence`` command ended; only ``confirmed`` means that the other node is surely without power."""

    ticket: int
    confirmed: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class DiskProbed:
    """The helper that writes records tried its disk; ``ok`` when what it wrote survives a power cut."""

    ok: bool
    why: str = ""


Event = (
    Started
    | Configured
    | Ticked
    | MessageArrived
    | CorosyncChanged
    | ViewChanged
    | PeerFrameSeen
    | PeerAddressAnswered
    | HolderSeen
    | ReferenceAnswered
    | LinkChanged
    | SaveEnded
    | AddressEnded
    | WorkloadEnded
    | SynchronousEnded
    | DataReported
    | FitnessObjected
    | OnlyNotified
    | WitnessChanged
    | FenceEnded
    | DiskProbed
    | Ask
)
