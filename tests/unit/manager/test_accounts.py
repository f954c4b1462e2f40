"""Sessions that were ended before their time: remembered on both nodes, forgotten when they would have ended."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from ishmael.manager.accounts import AccountsBook
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
