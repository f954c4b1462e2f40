"""What the door says about checks, and the monitoring file that the master brings along."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ishmael.manager.data.salvage import Salvage
from ishmael.manager.ports.hands import Hands
from ishmael.manager.works import machine
from ishmael.words import places
from ishmael.words.errors import RequestRefused
from ishmael.words.monitoring import monitoring_from_toml
from ishmael.words.roles import Role


def checks(hands: Hands, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """This node's results, as its scheduler wrote them last; takes the master's monitoring file over."""
    text = arguments.get("monitoring", "")
    if not isinstance(text, str):
        raise RequestRefused("bad-arguments", "monitoring is no text.")
    if text and machine.keeper_role(hands) == Role.SLAVE:
        monitoring_from_toml(text)
        if not machine.same(hands, places.MONITORING, text.encode()):
            hands.files.write(places.MONITORING, text.encode(), 0o600)
    raw = hands.files.read(places.CHECKS)
    told = {
        "version": hands.host.version(),
        "salvage": [one.to_mapping() for one in Salvage(hands.host.name()).finds()],
    }
    try:
        kept = json.loads(raw) if raw else {}
        return {**told, "checks": list(kept.get("checks", ())), "at": kept.get("at")}
    except (ValueError, AttributeError):
        return {**told, "checks": [], "at": None}
