"""Telling of what was kept aside: an event in the list of both nodes, which a mail follows."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ishmael.manager.ports.hands import Hands
from ishmael.manager.ports.node import Peer
from ishmael.words.errors import IshmaelError

_WORDS = {"files": "files", "database": "transactions of the database"}


def tell_kept(hands: Hands, find: Mapping[str, Any]) -> None:
    """Tell of one find; a keeper that does not answer stops no join, and the find is there all the same.

    Args:
        hands: ports to tell with.
        find: as the door and the API show it.
    """
    facts = {key: find.get(key) for key in ("id", "node", "kind", "count")}
    what = f"{find.get('count')} {_WORDS.get(str(find.get('kind')), 'things')}"
    why = f"{what} that only {find.get('node')} had were kept aside there: ishmael salvage show {find.get('id')}"
    with suppress(IshmaelError):
        hands.keeper.tell("salvage-kept", why, facts)


def find_of_peer(hands: Hands, peer: Peer, name: str, node: str) -> Mapping[str, Any]:
    """The find of this name on the other node; what is known of it anyway when the node does not tell.

    Args:
        hands: ports to ask with.
        peer: the other node.
        name: of the find.
        node: the other node's name.
    """
    with suppress(IshmaelError, KeyError):
        for find in hands.node.ask(peer, "salvage")["finds"]:
            if find["id"] == name:
                return dict(find)
    return {"id": name, "node": node, "kind": "database", "count": "some"}
