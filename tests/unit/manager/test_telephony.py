"""Calls and phones are asked for in the background and kept for a few seconds."""

from __future__ import annotations

import threading
import time

import pytest

from ishmael.manager import telephony
from ishmael.manager.drivers.surroundings import read_contacts
from manager.memory import MemorySurroundings


def _soon(found: telephony.Telephony, wanted: dict[str, int | None]) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if found.facts() == wanted:
            return True
        time.sleep(0.01)
    return False


def test_nobody_waits_for_asterisk() -> None:
    """While Asterisk is asked, what is not known is null, and nobody asks twice."""
    gate, asked = threading.Event(), []

    class Slow(MemorySurroundings):
        def calls(self) -> int | None:
            asked.append(1)
            gate.wait(5)
            return 3

    found = telephony.Telephony(Slow())
    assert found.facts() == found.facts() == {"calls": None, "phones": None}
    gate.set()
    assert _soon(found, {"calls": 3, "phones": 12})
    assert len(asked) == 1


def test_an_asterisk_that_is_gone_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Yesterday's number of calls is none."""
    monkeypatch.setattr(telephony, "_KEPT_S", 0.0)
    surroundings = MemorySurroundings()
    found = telephony.Telephony(surroundings)
    assert _soon(found, {"calls": 0, "phones": 12})
    surroundings.up = None
    assert _soon(found, {"calls": None, "phones": None})


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("  Contact:  100/sip:100@10.0.0.1  abc Avail 1.2\n\nObjects found: 14\n", 14),
        ("No objects found.\n\n", 0),
        ("", None),
    ],
)
def test_contacts_are_counted(text: str, count: int | None) -> None:
    """As Asterisk 20 prints them."""
    assert read_contacts(text) == count
