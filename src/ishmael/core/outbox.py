"""What one step gives out, in order."""

from __future__ import annotations

from typing import Any

from ishmael.core.commands import Answer, Command
from ishmael.words.errors import Finding
from ishmael.words.notices import Notice


class Outbox:
    """Collects the commands and notices of one step."""

    __slots__ = ("commands", "notices")

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.notices: list[Notice] = []

    def do(self, *commands: Command) -> None:
        """Add commands, in order."""
        self.commands.extend(commands)

    def tell(self, kind: str, rule: str, why: str, **facts: Any) -> None:
        """Add a notice."""
        self.notices.append(Notice(kind, rule, why, facts))

    def answer(self, ticket: int) -> None:
        """Answer an ask with "done"; ticket 0 is nobody."""
        if ticket:
            self.commands.append(Answer(ticket))

    def refuse(self, ticket: int, code: str, message: str, hint: str = "") -> None:
        """Refuse an ask; ticket 0 is nobody."""
        if ticket:
            self.commands.append(Answer(ticket, Finding("", code, message, hint)))
