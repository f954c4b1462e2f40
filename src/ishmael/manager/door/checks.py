"""What the door says about checks, and the monitoring file that the master brings along."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ishmael.manager.data.salvage import Salvage
from ishmael.manager.ports.hands import Hands
from ishmael.manager.watch.window import WindowBook
from ishmael.manager.works import machine
from ishmael.words import places
from ishmael.words.errors import RequestRefused
from ishmael.words.monitoring import monitoring_from_toml
from ishmael.words.roles import Role

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_TAKES = {"run": {"check", "what"}, "history": {"check", "what"}, "acknowledge": {"check", "what", "user", "why"}}
_USER_MAX, _WHY_MAX = 64, 200


def checks(hands: Hands, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """This node's results, as its scheduler wrote them last; takes the master's monitoring file and window over."""
    text = arguments.get("monitoring", "")
    if not isinstance(text, str):
        raise RequestRefused("bad-arguments", "monitoring is no text.")
    if text and machine.keeper_role(hands) == Role.SLAVE:
        monitoring_from_toml(text)
        if not machine.same(hands, places.MONITORING, text.encode()):
            hands.files.write(places.MONITORING, text.encode(), 0o600)
    windows = WindowBook(hands.files)
    windows.take_over(arguments.get("maintenance"))
    raw = hands.files.read(places.CHECKS)
    told = {
        "maintenance": windows.text(),
        "version": hands.host.version(),
        "salvage": [one.to_mapping() for one in Salvage(hands.host.name()).finds()],
    }
    try:
        kept = json.loads(raw) if raw else {}
        return {**told, "checks": list(kept.get("checks", ())), "at": kept.get("at")}
    except (ValueError, AttributeError):
        return {**told, "checks": [], "at": None}


def check(hands: Hands, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Look now at one check of this node, acknowledge it, or tell its history: as the manager of this node does it.

    Raises:
        RequestRefused: not the arguments it takes, or the manager refuses.
        HostFault: the manager does not answer.
    """
    if not all(isinstance(value, str) for value in arguments.values()):
        raise RequestRefused("bad-arguments", "check takes texts.")
    what, name = arguments.get("what", ""), arguments.get("check", "")
    if set(arguments) != _TAKES.get(what) or not _NAME.fullmatch(name):
        raise RequestRefused(
            "bad-arguments", "check takes check and what: run, history, or acknowledge with user and why."
        )
    if what == "run":
        return {"row": dict(hands.own_checks.run(name))}
    if what == "history":
        return {"history": list(hands.own_checks.history(name))}
    user, why = arguments["user"], arguments["why"]
    if not user or len(user) > _USER_MAX or not user.isprintable() or len(why) > _WHY_MAX:
        raise RequestRefused("bad-arguments", f"user is no name, or why is longer than {_WHY_MAX} characters.")
    return {"row": dict(hands.own_checks.acknowledge(name, user, why))}
