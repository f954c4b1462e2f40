"""What an admin agrees to is what was shown: with these values, at this node, in this role."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ishmael.web.manager import Problem, Who

if TYPE_CHECKING:
    from ishmael.web.app import Web

_KEY = re.compile(r"[0-9a-f]{32}")


async def mark(web: Web, who: Who, wish: Mapping[str, Any]) -> str:
    """Stands in a form beside what will be done, and comes back with the agreement.

    It is another one after a failover, when the same address is another node's, and when a field was changed.

    Args:
        web, who: to ask this node's name and role.
        wish: work and arguments.
    """
    status = await web.manager.get(who, "/status")
    shown = [status.get("node"), status.get("role"), wish["work"], wish["arguments"]]
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:32]


def key() -> str:
    """Stands in a form beside what will be done: a button that is pressed twice makes one job."""
    return secrets.token_hex(16)


def key_of(fields: Mapping[str, str]) -> str:
    """The key that came back with the agreement; empty when it is none of ours."""
    found = fields.get("once", "")
    return found if _KEY.fullmatch(found) else ""


def objection(fields: Mapping[str, str], mark: str, *agreements: str) -> Problem | None:
    """What is said when somebody agrees to something that was not shown; it is shown then, and nothing is done.

    Args:
        fields: of the form.
        mark: of what would be done.
        agreements: actions that do something.
    """
    if fields.get("action") not in agreements or fields.get("checked") == mark:
        return None
    return Problem(
        409,
        "not-as-checked",
        "Nothing was done yet: this is not what was checked.",
        "A field was changed, or another node serves at this address now. Look at it again, and agree.",
    )


async def require_here(web: Web, who: Who, node: str) -> None:
    """A form about one node is not meant for the other one, which may serve at the same address by now.

    Args:
        web, who: to ask this node's name.
        node: as the form says; empty when it was not known.

    Raises:
        Problem: this is the other one.
    """
    if node and (await web.manager.get(who, "/status")).get("node") != node:
        raise Problem(
            409,
            "other-node",
            "Nothing was done: another node serves at this address now.",
            "Look at the page as it is now, and send it again.",
        )
