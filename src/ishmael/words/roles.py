"""The roles a node can have, and the states a cluster can be in. One word, one thing."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a node is, as its keeper decides it."""

    OUT = "out"
    """Takes no part: not formed, removed, or its record cannot be trusted."""
    WAITING = "waiting"
    """Takes part, but neither holds the cluster IP nor knows a master: at boot, or after letting go."""
    SLAVE = "slave"
    """Knows a master and stands ready."""
    TAKING = "taking"
    """Has decided to become master; the record is being written."""
    MASTER = "master"
    """Holds the cluster IP; all services run here."""
    HANDING = "handing"
    """A master that is handing over to the slave."""
    STANDBY = "standby"
    """Out of service until an admin re-adds it."""


class ClusterState(StrEnum):
    """What ``ishmael status`` calls the whole."""

    ALONE = "alone"
    MASTER_READY = "master-ready"
    SLAVE_PREPARED = "slave-prepared"
    COMPLETE = "complete"
    DEGRADED = "degraded"
    STANDBY = "standby"


class Grade(StrEnum):
    """The safety grade: how well a split of the two nodes is guarded against."""

    GOLD = "gold"
    SILVER = "silver"
    BRONZE = "bronze"


class Network(StrEnum):
    """The two networks of a node."""

    PHONE = "phone"
    INTERNAL = "internal"
