"""The door's asks for the database: what the master needs of this node's to join it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ishmael.manager.ports.database import Pairing
from ishmael.manager.ports.hands import Hands
from ishmael.manager.works import machine
from ishmael.manager.works.database import wanted_by
from ishmael.words import places
from ishmael.words.errors import RequestRefused
from ishmael.words.profile import DatabaseWanted
from ishmael.words.roles import Role

_SERVING = (Role.MASTER, Role.TAKING, Role.HANDING)
_PASSWORD = re.compile(r"[0-9a-f]{32,128}")
_WAIT_MS_MAX, _LOOK_S = 5000, 0.05
_KEY = re.compile(r"[0-9a-f]{8,64}")


def _pairing(hands: Hands, arguments: Mapping[str, Any]) -> Pairing:
    password, settings = arguments.get("password"), machine.read_settings(hands)
    if set(arguments) != {"password"} or not isinstance(password, str) or not _PASSWORD.fullmatch(password):
        raise RequestRefused("bad-arguments", "The replication password is missing or no hexadecimal text.")
    me = settings.named(hands.host.name()) if settings is not None else None
    if settings is None or me is None:
        raise RequestRefused("not-set-up", f"{hands.host.name()} is not part of a cluster.", "Install first.")
    wanted = wanted_by((hands.files.read(places.PROFILE) or b"schema = 1\nname = 'none'\n").decode())
    return Pairing(wanted or DatabaseWanted(), settings, me.id, password)


def status(hands: Hands, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """``database-status``: whether it is configured for this cluster, and how far a joining is.

    With ``wait_ms`` the answer comes when the joining is over, or after that time: whoever waits for it learns it at once.
    """
    wait_ms = arguments.get("wait_ms", 0)
    if type(wait_ms) is not int or not 0 <= wait_ms <= _WAIT_MS_MAX:
        raise RequestRefused("bad-arguments", f"wait_ms is no number from 0 to {_WAIT_MS_MAX}.")
    pairing = _pairing(hands, {key: value for key, value in arguments.items() if key != "wait_ms"})
    deadline_s = hands.clock.now_s() + wait_ms / 1000
    joined = hands.database.joined()
    while joined.get("state") == "running" and hands.clock.now_s() < deadline_s:
        hands.clock.sleep(_LOOK_S)
        joined = hands.database.joined()
    return {"prepared": hands.database.is_prepared(pairing), "join": dict(joined)}


def prepare(hands: Hands, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """``database-prepare``: configure it for this cluster."""
    if not hands.database.installed():
        raise RequestRefused(
            "database-missing",
            f"PostgreSQL is not installed on {hands.host.name()}.",
            "Install it: apt install postgresql",
        )
    _refuse_serving(hands)
    hands.database.prepare(_pairing(hands, arguments), master=False)
    return {"prepared": True}


def join(hands: Hands, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """``database-join``: begin to join the data to the master's."""
    key = arguments.get("key")
    if set(arguments) != {"key"} or not isinstance(key, str) or not _KEY.fullmatch(key):
        raise RequestRefused("bad-arguments", "database-join wants a key of hexadecimal digits.")
    _refuse_serving(hands)
    hands.database.join(key)
    return {"join": dict(hands.database.joined())}


def _refuse_serving(hands: Hands) -> None:
    if machine.keeper_role(hands) in _SERVING:
        raise RequestRefused(
            "peer-is-master", f"{hands.host.name()} is serving as master itself.", "Reset it there first: ishmael reset"
        )
