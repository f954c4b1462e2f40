"""How far the slave is, and what was kept aside, as people and programs see it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from ishmael.cli.show import standing
from ishmael.manager.data.book import SalvageBook
from ishmael.manager.data.files import FilesFollow
from ishmael.manager.data.salvage import Salvage
from ishmael.manager.watch.texts import mail_text
from ishmael.manager.works.kept import find_of_peer, tell_kept
from manager.world import World


def _sync(**more: Any) -> dict[str, Any]:
    files = {"in_step": True, "waiting": 0, "trouble": "", "compared_at": 0.0, "differed": 0, "names": []}
    return {
        "db_lag_bytes": 512, "canary_age_ms": 210, "synchronous": True, "db_trouble": "", "file_lag_ms": 0, "differing": [],
        **more, "files": {**files, **more.get("files", {})},
    }  # fmt: skip


def test_all_is_well() -> None:
    """Applied log, canary, lag of the files, the last comparison: each has its figure."""
    assert standing({"sync": _sync(), "salvage": {"count": 0, "finds": []}}) == [
        "database    512 bytes of log not applied on the slave, canary 210 ms old, commits wait for the slave",
        "files       0 ms behind, 0 names wait",
        "compared    1970-01-01 00:00:00 UTC: nothing differed",
    ]


def test_what_differs_is_named() -> None:
    """Names that do not get there, and names that the last comparison found; no name draws on the terminal."""
    odd = "/var/spool/[red]x\x1b[2J"
    seen = _sync(
        differing=[odd], db_trouble="the replication password is refused", synchronous=False,
        files={"trouble": "the disk of the other node is full", "differed": 2, "names": ["/a", "/b"], "in_step": False},
    )  # fmt: skip
    text = "\n".join(standing({"sync": seen, "salvage": {"count": 2}}))
    assert "2 files differ: /a, /b; brought over since" in text
    assert "1 file differs: /var/spool/\\[red]x?[2J" in text
    for part in ("do not wait for a slave", "password is refused", "is full", "being brought in step", "2 kept aside"):
        assert part in text
    assert "\x1b" not in text


def test_many_names_are_cut() -> None:
    """Three are shown, the rest is counted."""
    text = standing({"sync": _sync(files={"differed": 5, "names": list("abcde")})})[-1]
    assert text.endswith("5 files differ: a, b, c, ...; brought over since")


def test_a_node_without_data_says_nothing() -> None:
    """No line where there is nothing to tell of."""
    sync = {"db_lag_bytes": None, "file_lag_ms": None, "files": {"compared_at": None}, "db_trouble": ""}
    assert standing({"sync": sync, "salvage": {"count": None}}) == standing({}) == []


def test_the_book_of_what_was_kept(tmp_path: Path) -> None:
    """Both nodes' finds, newest first; those of the other one are forgotten when there is none."""
    salvage = Salvage("node1", str(tmp_path))
    book = SalvageBook(salvage)
    assert book.facts() == {"count": 0, "finds": []}
    own = salvage.keep(salvage.begin("files"), "files", "because", 3)
    book.heard(
        [{"id": "x", "node": "node2", "kind": "database", "count": 7, "at": "2001-01-01", "why": "w", "facts": {}}]
    )
    facts = book.facts()
    assert (facts["count"], [find["id"] for find in facts["finds"]]) == (2, [own.id, "x"])
    assert set(facts["finds"][1]) == {"id", "node", "kind", "count", "at"}
    book.heard([])
    assert book.facts()["count"] == 1


def test_what_was_kept_is_told_and_mailed() -> None:
    """The event has the find; the mail says what to do, in both languages."""
    hands = World().machines[0].hands
    tell_kept(hands, {"id": "20260101T000000-files", "node": "node2", "kind": "files", "count": 3, "why": "x"})
    ((kind, why, facts),) = World.told_by(hands)
    assert kind == "salvage-kept" and facts == {
        "id": "20260101T000000-files",
        "node": "node2",
        "kind": "files",
        "count": 3,
    }
    assert why == "3 files that only node2 had were kept aside there: ishmael salvage show 20260101T000000-files"
    event = {"id": "1", "at": "2026-01-01T00:00:00.000", "node": "node1", "kind": kind, "why": why, "facts": facts}
    german = why.replace(" that only node2 had were kept aside there", ", die nur node2 hatte, liegen dort beiseite")
    for language, part, told in (("en", "ishmael salvage list", why), ("de", "beiseitegelegt", german)):
        subject, body = mail_text([event], [event], "office", language)
        assert part in subject + body and told in body


def test_a_find_that_cannot_be_asked_for_is_told_all_the_same() -> None:
    """The other node is away: the name is known."""
    world = World()
    world.machines[1].on = False
    hands = world.machines[0].hands
    peer = world.peer()
    assert find_of_peer(hands, peer, "20260101T000000Z", "node2")["id"] == "20260101T000000Z"


@pytest.mark.parametrize(
    ("facts", "settled"),
    [
        ({"file_lag_ms": None, "files": {"in_step": False, "waiting": 0}}, None),
        ({"file_lag_ms": 0, "files": {"in_step": True, "waiting": 0}}, True),
        ({"file_lag_ms": 40, "files": {"in_step": True, "waiting": 2}}, False),
        ({"file_lag_ms": 0, "files": {"in_step": False, "waiting": 0}}, False),
    ],
)
def test_settling_is_bounded(facts: dict[str, Any], settled: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing under way for a moment is settled; what does not get there is waited for no longer than was said."""
    monkeypatch.setattr(FilesFollow, "facts", lambda _: facts)
    follow = object.__new__(FilesFollow)
    begun = time.monotonic()
    found = follow.settle(0.15)
    assert found["settled"] is settled and found["files"] == facts["files"]
    assert 0.05 < time.monotonic() - begun < 1.0
    assert (found["took_ms"] >= 150) == (settled is False)
