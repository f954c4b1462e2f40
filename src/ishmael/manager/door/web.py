"""The door's part in the web interface: what browsers meet is the same on both nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ishmael.manager.accounts import AccountsBook
from ishmael.manager.certificate import CertificateBook, Pair
from ishmael.manager.ports.hands import Hands
from ishmael.manager.works import machine
from ishmael.words import places
from ishmael.words.accounts import accounts_from_json
from ishmael.words.errors import RequestRefused
from ishmael.words.roles import Role

_SERVING = (Role.MASTER, Role.TAKING, Role.HANDING)
_TEXT_MAX = 300_000


def take(hands: Hands, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Take over who may sign in, and the certificate; from the master, so never while this node serves.

    Raises:
        RequestRefused: not the texts it should be, or this node is no slave.
    """
    if sorted(arguments) != ["accounts", "certificate", "key"] or not all(
        isinstance(text, str) and len(text) <= _TEXT_MAX for text in arguments.values()
    ):
        raise RequestRefused("bad-arguments", "web wants exactly these texts: accounts, certificate, key.")
    if machine.keeper_role(hands) in _SERVING or hands.files.read(places.SETTINGS) is None:
        raise RequestRefused("not-a-slave", f"{hands.host.name()} is no slave now.", "See `ishmael status`.")
    accounts = accounts_from_json(arguments["accounts"]) if arguments["accounts"] else None
    changed = CertificateBook(hands.files).take_over(Pair(arguments["certificate"], arguments["key"]))
    if accounts is not None:
        book = AccountsBook(hands.files)
        changed |= book.take_over(accounts)
        mine = book.read()
        ended = [asdict(session) for session in mine.ended] if mine else []
        return {"changed": changed, "ended": ended}
    return {"changed": changed}
