"""The machine: one event in, a new state, commands and notices out. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ishmael.core import duties, facts
from ishmael.core.commands import Command
from ishmael.core.events import Event, ReferenceAnswered, Ticked
from ishmael.core.outbox import Outbox
from ishmael.core.rules import Rule, rules_of
from ishmael.core.senses import absorb
from ishmael.core.state import State
from ishmael.words.notices import Notice

_PASSES_MAX = 24


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one event.

    Args:
        state: the state after it; the one given is unchanged.
        commands: to be carried out in order.
        notices: to be told.
        rules: ids of the rules that applied, in order.
    """

    state: State
    commands: tuple[Command, ...]
    notices: tuple[Notice, ...]
    rules: tuple[str, ...]


def _first_that_fits(s: State) -> Rule | None:
    for rule in rules_of(s.role):
        if rule.when(s):
            return rule
    return None


def step(state: State, now_ms: int, event: Event) -> Step:
    """Take in one event.

    Args:
        state: what was known.
        now_ms: CLOCK_MONOTONIC when the event was read, in ms; never goes back.
        event: what happened.

    Raises:
        RuntimeError: a bug: the rules did not come to rest.
    """
    s = state.copied()
    s.now_ms = max(now_ms, state.now_ms)
    out = Outbox()
    absorb(s, event, out)
    if isinstance(event, ReferenceAnswered) and not s.urgent:
        # Only noted: what follows from a reference in sight is the next tick's business.
        return Step(s, (), tuple(out.notices), ())
    applied: list[str] = []
    while (rule := _first_that_fits(s)) is not None:
        rule.then(s, out)
        applied.append(rule.id)
        if len(applied) > _PASSES_MAX:
            raise RuntimeError(f"the rules do not come to rest: {applied}")
    if isinstance(event, Ticked) or s.urgent:
        duties.perform(s, out)
        s.urgent = False
        s.spaced = facts.quiet(s)
    return Step(s, tuple(out.commands), tuple(out.notices), tuple(applied))
