"""Objections to the slave's fitness: facts with an expiry."""

from __future__ import annotations

from typing import Any

from ishmael.keeper.objections import Objections


class _World:
    def __init__(self) -> None:
        self.now_ms = 1000
        self.told: list[str] = []
        self.objections = Objections(lambda: self.now_ms, self.told.append)

    def ask(self, **words: Any) -> dict[str, Any]:
        return self.objections.take({"ask": "fitness-objection", **words})


def test_an_objection_ends_by_itself() -> None:
    """Whoever objected may have died: what is not said again is forgotten, to the millisecond."""
    world = _World()
    assert world.ask(source="files", reason="2 files differ", expires_ms=500) == {"ok": True}
    assert world.told == ["2 files differ"]
    world.now_ms = 1499
    world.objections.expire()
    assert world.told == ["2 files differ"]
    world.now_ms = 1500
    world.objections.expire()
    assert world.told == ["2 files differ", ""]


def test_sources_object_side_by_side() -> None:
    """Each source has one objection; taking one back leaves the other standing."""
    world = _World()
    world.ask(source="files", reason="behind", expires_ms=1000)
    world.ask(source="checks", reason="disk full", expires_ms=1000)
    world.ask(source="files", reason="", expires_ms=0)
    assert world.told == ["behind", "disk full; behind", "disk full"]


def test_an_objection_without_end_is_refused() -> None:
    """Nothing stands for ever: an expiry that is none, zero or too far away changes nothing."""
    world = _World()
    for expires_ms in (None, 0, -5, True, "1000", 600_001):
        answer = world.ask(source="files", reason="behind", expires_ms=expires_ms)
        assert answer["error"]["code"] == "bad-objection"
    assert world.ask(source="", reason="behind", expires_ms=1000)["error"]["code"] == "bad-objection"
    assert world.told == []
