"""What the two keepers tell each other through Corosync's closed process group, as JSON.

A nonce is a pair (incarnation of the sender's keeper, ms of its own monotonic clock when sent): unique, and its age
is known to its sender without a table.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

from ishmael.words.json_text import read_json
from ishmael.words.record import Epoch, Record, RecordUnreadable, record_from_mapping
from ishmael.words.roles import Role

MESSAGE_SCHEMA = 1


class Nonce(NamedTuple):
    """Who sent it and when, on the sender's own clock."""

    incarnation: int
    sent_ms: int


@dataclass(frozen=True, slots=True)
class Beat:
    """Sent every ``echo_ms``: a fresh nonce, the echo of the peer's newest one, and how the sender stands.

    Args:
        nonce: fresh.
        echo: the newest nonce received from the peer, or none.
        role: the sender's role.
        record: the sender's record as it is on its disk.
        fit: from a master: "you are fit", counted from the send time of ``echo``; from a slave: "I hold fitness".
        able: the sender could serve as slave: nothing of its own stands against it.
        unable_because: why not.
        question: from a master that lost its references: "do you still see one?"
        references_good: references answered in a row, all asked after the question arrived.
        hold: an admin hold is on.
    """

    nonce: Nonce
    echo: Nonce | None
    role: Role
    record: Record | None
    fit: bool
    able: bool
    unable_because: str
    question: bool = False
    references_good: int = 0
    hold: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """From a master: take over under this epoch, in order."""

    nonce: Nonce
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Accept:
    """From a slave whose record holds the offered epoch: ready; ``nonce`` must come back in the go."""

    offer: Nonce
    nonce: Nonce


@dataclass(frozen=True, slots=True)
class Refuse:
    """From a slave: cannot take over now."""

    offer: Nonce
    why: str


@dataclass(frozen=True, slots=True)
class Go:
    """From a former master: released, and its record says so.

    Args:
        accept: the slave's nonce from its accept.
        fresh: the newest nonce heard from the slave: a go that was queued somewhere betrays itself by its age.
    """

    accept: Nonce
    fresh: Nonce


@dataclass(frozen=True, slots=True)
class Withdraw:
    """From a master: the offer is undone; it serves on."""

    offer: Nonce


@dataclass(frozen=True, slots=True)
class SwitchWanted:
    """From a slave whose admin asks for a hand-over."""

    why: str


Message = Beat | Offer | Accept | Refuse | Go | Withdraw | SwitchWanted
_KINDS: dict[tuple[int, str], type[Message]] = {
    (MESSAGE_SCHEMA, cls.__name__.lower()): cls for cls in (Beat, Offer, Accept, Refuse, Go, Withdraw, SwitchWanted)
}


class MessageUnreadable(ValueError):
    """The bytes are no message of this version."""


_BEAT_FIELDS = tuple(f.name for f in fields(Beat))
_to_text = json.JSONEncoder(separators=(",", ":")).encode


def message_to_bytes(message: Message) -> bytes:
    """Encode a message (compact JSON, UTF-8)."""
    if isinstance(message, Beat):
        # Twenty times a second: what asdict() would copy is read where it is.
        body: dict[str, Any] = {name: getattr(message, name) for name in _BEAT_FIELDS}
        body["record"] = message.record.to_mapping() if message.record else None
    else:
        body = asdict(message)
    if isinstance(message, Offer):
        body["epoch"] = [message.epoch.counter, message.epoch.node]
    body["v"] = MESSAGE_SCHEMA
    body["k"] = type(message).__name__.lower()
    return _to_text(body).encode()


def _nonce(raw: Any) -> Nonce:
    incarnation, sent_ms = raw
    if type(incarnation) is not int or type(sent_ms) is not int:
        raise TypeError("a nonce is two integers")
    return Nonce(incarnation, sent_ms)


def message_from_bytes(raw: bytes) -> Message:
    """Decode a message.

    Raises:
        MessageUnreadable: not JSON, of another version, or with fields missing or of the wrong type.
    """
    try:
        body = read_json(raw)
        kind = _KINDS[(body.pop("v"), body.pop("k"))]
        for name in ("nonce", "echo", "offer", "accept", "fresh"):
            if body.get(name) is not None:
                body[name] = _nonce(body[name])
        if kind is Beat:
            body["record"] = record_from_mapping(body["record"]) if body["record"] is not None else None
            body["role"] = Role(body["role"])
        if kind is Offer:
            body["epoch"] = Epoch(*body["epoch"])
        return kind(**body)
    except (ValueError, KeyError, TypeError, AttributeError, RecordUnreadable) as error:
        raise MessageUnreadable(f"not a message: {error}") from error
