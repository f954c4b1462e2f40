"""What happened, in aligned lines a person can read: time, node, rule, what and why, commands."""

from __future__ import annotations

from ishmael.core import commands as do
from ishmael.core.machine import Step
from ishmael.core.rules import RULES
from ishmael.core.state import State
from ishmael.words.record import Record

_QUIET = (do.Send, do.AskReferences, do.ProbePeer, do.ProbeHolder, do.RefreshAddress, do.Announce, do.Answer)

_WHY = {rule.id: rule.why for rule in RULES}


def record_words(record: Record | None) -> str:
    """A record in a few words."""
    if record is None:
        return "nothing"
    words = [f"{record.epoch}/{record.revision} node{record.master}"]
    if record.taking:
        words.append("taking")
    if record.slave_fit:
        words.append("slave fit")
    if record.witness_off:
        words.append("witness off")
    words += [f"node{node} standby" for node in sorted(record.standby)]
    return ", ".join(words)


def command_words(command: do.Command) -> str:
    """A command in a few words."""
    match command:
        case do.Save():
            return f"Save({record_words(command.record)})"
        case do.SetSynchronous():
            return f"SetSynchronous({'on' if command.on else 'off'})"
        case _:
            return type(command).__name__


class Trace:
    """The lines of one run; each is (time in ms, node or ``""``, rule, text)."""

    def __init__(self) -> None:
        self.lines: list[tuple[float, str, str, str]] = []
        self.from_ms = 0.0

    def begin(self, now_ms: float) -> None:
        """What follows is shown, counted from this moment."""
        self.lines.clear()
        self.from_ms = now_ms

    def remark(self, now_ms: float, text: str) -> None:
        """Something outside the keepers."""
        self.lines.append((now_ms, "", "", text))

    def step(self, now_ms: float, node: str, before: State, result: Step) -> None:
        """A step that did more than listen."""
        told = [f"{notice.kind}: {notice.why}" for notice in result.notices]
        if not told:
            told = [_WHY[rule] for rule in dict.fromkeys(result.rules)]
        orders = [command_words(c) for c in result.commands if not isinstance(c, _QUIET)]
        parts = []
        if before.role is not result.state.role:
            parts.append(f"{before.role} -> {result.state.role}")
        parts += told
        if orders:
            parts.append("[" + ", ".join(orders) + "]")
        if parts:
            rules = ",".join(dict.fromkeys(result.rules))
            self.lines.append((now_ms, node, rules, "  ".join(parts)))

    def text(self, last: int | None = None) -> str:
        """All lines, or the last ones, aligned."""
        shown = self.lines[-last:] if last else self.lines
        return "\n".join(
            f"{when_ms - self.from_ms:10.1f}  {node or '-':<6} {rule:<12} {text}".rstrip()
            for when_ms, node, rule, text in shown
        )
