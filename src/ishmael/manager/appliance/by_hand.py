"""What was changed by hand of services' files: found by name, shown, and taken over as lines of the admin's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ishmael.manager.appliance import kept, own, placing
from ishmael.manager.appliance.shape import File, Service, Values
from ishmael.manager.ports.hands import Hands
from ishmael.words.errors import IshmaelError


@dataclass(frozen=True, slots=True)
class ByHand:
    """One file that was changed by hand.

    Args:
        path: of the file.
        difference: from what Ishmael wrote to what is there, as a unified diff; of a file with a password only that it changed.
        against: why it cannot be taken over; empty when it can.
    """

    path: str
    difference: str
    against: str = ""

    def to_mapping(self) -> dict[str, Any]:
        """As the API shows it."""
        shown = {"path": self.path, "difference": self.difference, "against": self.against}
        return {**shown, "take_over": not self.against}


def by_hand(hands: Hands, service: Service) -> list[ByHand]:
    """What was changed by hand of its files, to be taken over or put back."""
    changed = kept.changed_by_hand(hands, service)
    try:
        files = placing.meant(hands, service) if changed else {}
    except IshmaelError:
        files = {}
    found = []
    for path in changed:
        file, here = files.get(path), kept.here(hands, path)
        difference = kept.unified(path, file.data if file else None, here, secret=kept.is_secret(path, file))
        found.append(ByHand(path, difference, _against(path, file, here)))
    return found


def _against(path: str, file: File | None, here: bytes | None) -> str:
    if file is None:
        return "the settings want no such file"
    if here is None:
        return "it was removed"
    if kept.is_secret(path, file):
        return "it holds a password"
    try:
        own.hunks(file.data, here)
    except ValueError as error:
        return str(error)
    return ""


def taken_over(hands: Hands, service: Service, values: Values) -> dict[str, tuple[own.Hunk, ...]]:
    """All lines of the admin's own, those that were changed by hand just now among them.

    Args:
        hands: ports.
        service: the service.
        values: its settings.
    """
    lines = kept.own_lines(hands, service)
    plain = service.files(values, kept.place(hands), kept.secret(hands, service))
    for path in kept.changed_by_hand(hands, service):
        here = kept.here(hands, path)
        if path in plain and here is not None:
            lines[path] = own.hunks(plain[path].data, here)
    return {path: each for path, each in lines.items() if each}


def lines_of_own(hands: Hands, service: Service) -> list[dict[str, str]]:
    """What was taken over: for each file, from what the settings alone say to what is meant, as a unified diff."""
    try:
        values, lines = kept.settings(hands, service), kept.own_lines(hands, service)
        secret = kept.secret(hands, service)
        plain = placing.wanted(service, values, kept.place(hands), secret, {}) if lines else {}
    except IshmaelError:
        return []
    return [
        {"path": path, "difference": kept.unified(path, file.data, own.applied(file.data, lines[path]), secret=False)}
        for path, file in plain.items() if path in lines
    ]  # fmt: skip
