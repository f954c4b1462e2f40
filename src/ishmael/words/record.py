"""The record: what a node knows on disk about who is master, and under which epoch.

It is the only state of the failover that outlives a process. Everything announced under an epoch is on disk first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

RECORD_SCHEMA = 1


@dataclass(frozen=True, order=True, slots=True)
class Epoch:
    """A pair that orders all claims to the cluster IP: compared counter first, then node id.

    Args:
        counter: raised by every takeover, resume and force.
        node: id of the node that raised it; makes pairs raised apart from each other distinct.
    """

    counter: int
    node: int

    def raised_by(self, node: int) -> Epoch:
        """The next epoch, claimed by ``node``."""
        return Epoch(self.counter + 1, node)

    def __str__(self) -> str:
        return f"{self.counter}.{self.node}"


@dataclass(frozen=True, slots=True)
class Record:
    """Who is master, on both nodes' disks.

    Args:
        epoch: under which claim.
        master: id of the node that is (or is becoming) master.
        taking: the master was still taking over when this was written: it may or may not have acted.
        standby: ids of the nodes that must be re-added before they may serve.
        slave_fit: the master may have told the slave that it is fit; while true, the master does not resume alone.
        revision: counts changes under one epoch; the higher one of an epoch is the newer.
        witness_off: the witness was lost while both nodes were well; until it is back, its vote is not asked for.
    """

    epoch: Epoch
    master: int
    taking: bool = False
    standby: frozenset[int] = frozenset()
    slave_fit: bool = False
    revision: int = 0
    witness_off: bool = False

    @property
    def order(self) -> tuple[Epoch, int]:
        """What two records are compared by."""
        return (self.epoch, self.revision)

    def to_mapping(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return {
            "schema": RECORD_SCHEMA,
            "epoch": [self.epoch.counter, self.epoch.node],
            "master": self.master,
            "taking": self.taking,
            "standby": sorted(self.standby),
            "slave_fit": self.slave_fit,
            "revision": self.revision,
            "witness_off": self.witness_off,
        }

    def to_bytes(self) -> bytes:
        """The record as it is written to disk (unframed JSON, UTF-8)."""
        return json.dumps(self.to_mapping(), sort_keys=True).encode()


class RecordUnreadable(ValueError):
    """The bytes are no record this version understands: damaged, or written by a newer version."""


def record_from_mapping(raw: Any) -> Record:
    """Read a record from JSON values.

    Args:
        raw: what ``Record.to_mapping`` gave.

    Raises:
        RecordUnreadable: a field is missing or of the wrong type, or the schema is from the future.
    """
    try:
        if raw["schema"] != RECORD_SCHEMA:
            raise RecordUnreadable(f"record has schema {raw['schema']}, this version reads {RECORD_SCHEMA}")
        counter, node = raw["epoch"]
        values = [counter, node, raw["master"], raw["revision"], *raw["standby"]]
        if not all(type(value) is int and value >= 0 for value in values):
            raise RecordUnreadable("record holds a number that is none")
        # Records of versions without a witness lack the field.
        witness_off = raw.get("witness_off", False)
        if not all(type(flag) is bool for flag in (raw["taking"], raw["slave_fit"], witness_off)):
            raise RecordUnreadable("record holds a flag that is none")
        return Record(
            epoch=Epoch(counter, node),
            master=raw["master"],
            taking=raw["taking"],
            standby=frozenset(raw["standby"]),
            slave_fit=raw["slave_fit"],
            revision=raw["revision"],
            witness_off=witness_off,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, RecordUnreadable):
            raise
        raise RecordUnreadable(f"record is incomplete: {error}") from error


def record_from_bytes(raw: bytes) -> Record:
    """Read a record from what ``Record.to_bytes`` gave.

    Raises:
        RecordUnreadable: not JSON, or not a record.
    """
    try:
        mapping = json.loads(raw)
    except ValueError as error:
        raise RecordUnreadable(f"record is not JSON: {error}") from error
    return record_from_mapping(mapping)
