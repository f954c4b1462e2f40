"""Sessions that were ended before their time: remembered on both nodes, forgotten when they would have ended."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from ishmael.manager.accounts import AccountsBook
from ishmael.manager.api import problems, users
from ishmael.manager.ports.node import Peer
from ishmael.manager.web_follow import WebFollow
from ishmael.words.accounts import Accounts, Ended, User, accounts_from_json
from ishmael.words.errors import RequestRefused

NONCES = [f"{number:032x}" for number in range(60)]


class _Disk(dict[str, bytes]):
    """Files in memory."""

    def read(self, path: str) -> bytes | None:
        return self.get(path)

    def write(self, path: str, content: bytes, _mode: int) -> None:
        self[path] = content


@pytest.fixture
def book() -> AccountsBook:
    book = AccountsBook(_Disk(), lambda _path: None)  # type: ignore[arg-type]
    users = (User("anna", "admin", "x"), User("bert", "viewer", "x"))
    book.take_over(Accounts("ab" * 32, users))
    return book


def _seen(book: AccountsBook) -> Accounts:
    found = book.read()
    assert found is not None
    return found


def test_an_ended_session_is_remembered(book: AccountsBook) -> None:
    """It is in the file, survives being written and read, and raises the revision, so that it is brought to the slave."""
    until_s = int(time.time()) + 1000
    before = _seen(book).revision
    book.end_session("anna", NONCES[0], until_s)
    assert _seen(book).ended == (Ended("anna", NONCES[0], until_s),)
    assert _seen(book).revision == before + 1
    assert accounts_from_json(_seen(book).to_json()) == _seen(book)


def test_it_is_forgotten_in_time(book: AccountsBook, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the session would have ended by itself; nobody can have one remembered for longer than a day."""
    now_s = int(time.time())
    book.end_session("anna", NONCES[0], now_s + 10**9)
    monkeypatch.setattr("ishmael.manager.accounts.time.time", lambda: now_s + 2 * 86400)
    book.end_session("bert", NONCES[1], now_s + 2 * 86400 + 5)
    assert [ended.user for ended in _seen(book).ended] == ["bert"]


def test_who_ends_very_many_ends_all_of_his(book: AccountsBook) -> None:
    """The list stays short; nothing that was ended counts again, and nobody else is signed out."""
    until_s = int(time.time()) + 1000
    for nonce in NONCES[:51]:
        book.end_session("anna", nonce, until_s)
    found = _seen(book)
    assert found.ended == ()
    assert [user.generation for user in found.users] == [2, 1]


def test_nobody_ends_a_strangers(book: AccountsBook) -> None:
    """Of a user that is none."""
    with pytest.raises(RequestRefused, match="no user"):
        book.end_session("carl", NONCES[0], 1)


def test_both_nodes_know(book: AccountsBook) -> None:
    """What ended on the slave stays ended when the master brings its list, and the master hears of it."""
    until_s = int(time.time()) + 1000
    masters = replace(_seen(book), revision=9, ended=(Ended("anna", NONCES[1], until_s),))
    book.end_session("bert", NONCES[0], until_s)
    assert book.take_over(masters)
    assert {ended.nonce for ended in _seen(book).ended} == {NONCES[0], NONCES[1]}
    assert not book.take_over(masters)
    assert book.also_ended([Ended("anna", NONCES[2], until_s), Ended("anna", NONCES[3], 5)])
    assert not book.also_ended([Ended("anna", NONCES[2], until_s)])
    assert NONCES[2] in {ended.nonce for ended in _seen(book).ended}
    assert NONCES[3] not in {ended.nonce for ended in _seen(book).ended}


def test_the_route(book: AccountsBook) -> None:
    """It takes one session; what is no nonce, and whose it cannot be, is refused."""
    app = FastAPI()
    problems.add_to(app)
    users.add_to(app, "/api/v1", book)

    def sent(body: dict[str, Any]) -> int:
        async def asked() -> int:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://ishmael") as client:
                return (await client.post("/api/v1/sign-outs", json=body)).status_code

        return asyncio.run(asked())

    wish = {"name": "anna", "nonce": NONCES[0], "until_s": int(time.time()) + 1000}
    assert sent(wish) == 202
    assert [ended.nonce for ended in _seen(book).ended] == [NONCES[0]]
    for wrong in ({"nonce": "x"}, {"nonce": NONCES[1] + "\n"}, {"until_s": -1}, {"name": "carl"}, {"more": 1}):
        assert sent(wish | wrong) in (400, 404, 409, 422), wrong


def test_the_master_hears_of_the_slave(book: AccountsBook, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the answer to what it brings over; the next look brings the longer list."""
    until_s = int(time.time()) + 1000
    asked: list[dict[str, Any]] = []

    def ask(_peer: object, _op: str, load: dict[str, Any]) -> dict[str, Any]:
        asked.append(load)
        return {"changed": False, "ended": [{"user": "anna", "nonce": NONCES[0], "until_s": until_s}]}

    hands = SimpleNamespace(node=SimpleNamespace(ask=ask), clock=SimpleNamespace(now_s=lambda: 1.0))
    certificates = SimpleNamespace(read=lambda: SimpleNamespace(certificate="c", key="k"))
    follow = WebFollow(hands, book, certificates)  # type: ignore[arg-type]
    monkeypatch.setattr(follow, "_peer", lambda _settings: Peer(("10.255.0.2", "192.168.1.12"), "key"))
    assert follow.look(None)
    assert [ended.nonce for ended in _seen(book).ended] == [NONCES[0]]
    assert follow.look(None)
    assert NONCES[0] in asked[1]["accounts"]
    assert not follow.look(None)
    # Removed, and added again: its reset has made new keys for its sessions.
    monkeypatch.setattr(follow, "_peer", lambda _settings: None)
    assert not follow.look(None)
    monkeypatch.setattr(follow, "_peer", lambda _settings: Peer(("10.255.0.2", "192.168.1.12"), "key"))
    assert follow.look(None)


def test_a_role_is_changed_but_not_the_last_admins(book: AccountsBook) -> None:
    """It counts from then on; the password and the sessions stay."""
    for name, role, code in (("anna", "viewer", "last-admin"), ("carl", "admin", "no-such-user")):
        with pytest.raises(RequestRefused) as refused:
            book.set_role(name, role)
        assert refused.value.code == code
    with pytest.raises(RequestRefused):
        book.set_role("bert", "king")
    book.set_role("anna", "admin")
    book.set_role("bert", "admin")
    book.set_role("anna", "viewer")
    assert [(user.name, user.role, user.password) for user in _seen(book).users] == [
        ("anna", "viewer", "x"),
        ("bert", "admin", "x"),
    ]
