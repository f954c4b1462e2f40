"""The slave that was removed last: its name, addresses and host key, proposed when a slave is added again."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ishmael.manager.ports.hands import Hands
from ishmael.words import places
from ishmael.words.settings import NodeSettings

FIELDS = ("name", "phone_ip", "internal_ip")


def remember_slave(hands: Hands, node: NodeSettings, host_key: str) -> None:
    """Keep on disk what the next add-slave shall propose.

    Args:
        hands: ports to write with.
        node: the slave that goes.
        host_key: it was known by; empty when it was known by none.
    """
    kept = {"name": node.name, "phone_ip": node.phone_ip, "internal_ip": node.internal_ip, "host_key": host_key}
    hands.files.write(places.LAST_SLAVE, json.dumps(kept).encode() + b"\n", 0o600)


def last_slave(hands: Hands) -> Mapping[str, str]:
    """Name, addresses and host key of the slave that was removed last; empty when there was none, or it is unreadable."""
    raw = hands.files.read(places.LAST_SLAVE)
    try:
        found = json.loads(raw) if raw else {}
    except ValueError:
        return {}
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in (*FIELDS, "host_key")):
        return {}
    return {name: str(found[name]) for name in (*FIELDS, "host_key")}
