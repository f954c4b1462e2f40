"""States and events as plain JSON values, and back: for the flight recorder. Every class says its name; nothing is guessed."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from ishmael.core import asks, events, messages, state
from ishmael.words import record, roles, settings

_CLASSES: dict[str, Any] = {
    thing.__name__: thing
    for module in (asks, events, messages, state, record, roles, settings)
    for thing in vars(module).values()
    if isinstance(thing, type) and thing.__module__.startswith("ishmael.")
}


def to_plain(thing: Any) -> Any:
    """JSON values for a value of the core."""
    if thing is None or (isinstance(thing, bool | int | float | str) and not isinstance(thing, Enum)):
        return thing
    of: Any
    match thing:
        case Enum():
            of = thing.value
        case tuple():
            of = [to_plain(each) for each in thing]
        case frozenset():
            of = [to_plain(each) for each in sorted(thing)]
        case dict():
            of = [[to_plain(key), to_plain(value)] for key, value in thing.items()]
        case _ if is_dataclass(thing):
            of = {f.name: to_plain(getattr(thing, f.name)) for f in fields(thing)}
        case _:
            raise TypeError(f"{type(thing).__name__} is nothing that the core keeps")
    return {"is": type(thing).__name__, "of": of}


def from_plain(raw: Any) -> Any:
    """What ``to_plain`` was given.

    Raises:
        ValueError: written by another version, or not by this program.
    """
    if not isinstance(raw, dict):
        return raw
    try:
        name = raw["is"]
        if name in ("tuple", "frozenset"):
            return (tuple if name == "tuple" else frozenset)(from_plain(each) for each in raw["of"])
        if name == "dict":
            return {from_plain(key): from_plain(value) for key, value in raw["of"]}
        kind = _CLASSES[name]
        if issubclass(kind, Enum):
            return kind(raw["of"])
        if kind is messages.Nonce:
            return messages.Nonce(*raw["of"])
        return kind(**{key: from_plain(value) for key, value in raw["of"].items()})
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a recording of this version: {error!r}") from error
