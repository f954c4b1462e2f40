"""Asks from the control socket: answered at once, or turned into an event of the core and answered when it is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from ishmael.core.asks import Ask, Wish
from ishmael.core.commands import Answer
from ishmael.keeper.control import Client, refusal

_WHY_MAX = 500
"""Characters of an ask's reason that are kept: it travels in one message, and is read by a person."""

_WISHES: frozenset[str] = frozenset(get_args(Wish)) - {"stop", "release"}


class Asks:
    """Remembers who waits for which ticket.

    Args:
        feed: gives an ask to the core.
        at_once: asks that are answered at once: name to function of the ask giving the answer.
    """

    def __init__(
        self, feed: Callable[[Ask], None], at_once: dict[str, Callable[[dict[str, Any]], dict[str, Any]]]
    ) -> None:
        self._feed = feed
        self._at_once = at_once
        self._waiting: dict[int, Client | None] = {}
        self._tickets = 0
        self.stopped = False

    def take(self, client: Client, ask: dict[str, Any]) -> None:
        """One ask of a client."""
        name = ask["ask"]
        if name in self._at_once:
            client.answer(self._at_once[name](ask))
            return
        node = ask.get("node", 0)
        if name not in _WISHES or type(node) is not int:
            known = sorted([*self._at_once, *_WISHES])
            client.answer(refusal("request", "unknown-ask", f"Unknown ask {name!r}.", f"Known: {', '.join(known)}."))
            return
        wish: Any = "release" if name == "hold" and ask.get("on") is False else name
        self._tickets += 1
        self._waiting[self._tickets] = client
        self._feed(Ask(wish, self._tickets, node, str(ask.get("why", ""))[:_WHY_MAX]))

    def stop(self) -> None:
        """This node shuts down: hand over first, if somebody can take it. ``stopped`` tells when it is done."""
        self._tickets += 1
        self._waiting[self._tickets] = None
        self._feed(Ask("stop", self._tickets))

    def answer(self, command: Answer) -> None:
        """The core's answer to a ticket."""
        if command.ticket not in self._waiting:
            return
        client = self._waiting.pop(command.ticket)
        if client is None:
            self.stopped = True
        elif command.refusal is None:
            client.answer({"ok": True})
        else:
            found = command.refusal
            client.answer(refusal("request", found.code, found.message, found.hint))
