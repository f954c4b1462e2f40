"""Signing in without a list of sessions, and slowing down who guesses."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from ishmael.web.manager import Who
from ishmael.web.sessions import IDLE_S, LIFE_S, AccountsFile, Limits, SignIn
from ishmael.words.accounts import Accounts, Token, User

_NOW = 1_800_000_000


class _Place:
    """An accounts file and a clock."""

    def __init__(self, path: Path) -> None:
        self.path, self.now_s = path, _NOW
        hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        self.write(
            Accounts(
                "ab" * 32,
                (
                    User("anna", "admin", hasher.hash("correct horse")),
                    User("bert", "viewer", hasher.hash("battery staple")),
                ),
                (Token("1", "icinga", "viewer", hashlib.sha256(b"s3cret").hexdigest()),),
            )
        )
        self.sign_in = SignIn(AccountsFile(str(path)), lambda: self.now_s)

    def write(self, accounts: Accounts) -> None:
        self.accounts = accounts
        new = self.path.with_suffix(".new")
        new.write_text(accounts.to_json())
        new.replace(self.path)


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    return _Place(tmp_path / "accounts.json")


def _cookie(place: _Place) -> str:
    session = place.sign_in.by_password("anna", "correct horse")
    assert session is not None
    return place.sign_in.cookie(session)


def test_a_session_counts_on_any_node_with_the_file(place: _Place) -> None:
    """It needs no list: another process with the same file knows it."""
    other = SignIn(AccountsFile(str(place.path)), lambda: place.now_s)
    found = other.by_cookie(_cookie(place))
    assert found is not None
    assert found[1] == Who("anna", "admin")


@pytest.mark.parametrize(
    ("name", "password"), [("anna", "wrong"), ("nobody", "correct horse"), ("", ""), ("bert", "correct horse")]
)
def test_wrong_passwords(place: _Place, name: str, password: str) -> None:
    """Nobody gets in by another's, or none."""
    assert place.sign_in.by_password(name, password) is None


def test_a_session_ends(place: _Place) -> None:
    """By rest, by age, by a new generation, by another key, with its user."""
    cookie = _cookie(place)
    place.now_s = _NOW + IDLE_S + 1
    assert place.sign_in.by_cookie(cookie) is None
    place.now_s = _NOW
    found = place.sign_in.by_cookie(cookie)
    assert found is not None
    lively = place.sign_in.cookie(replace(found[0], seen_s=_NOW + LIFE_S - 10))
    place.now_s = _NOW + LIFE_S - 5
    assert place.sign_in.by_cookie(lively) is not None
    place.now_s = _NOW + LIFE_S + 1
    assert place.sign_in.by_cookie(lively) is None
    place.now_s = _NOW
    before = place.accounts
    for changed in (
        replace(before, users=(replace(before.users[0], generation=2), before.users[1])),
        replace(before, session_key="cd" * 32),
        replace(before, users=before.users[1:]),
    ):
        place.write(changed)
        assert place.sign_in.by_cookie(cookie) is None
    place.write(before)
    assert place.sign_in.by_cookie(cookie) is not None


def test_forged_cookies(place: _Place) -> None:
    """Nothing that was not signed here counts, whatever it looks like."""
    cookie = _cookie(place)
    body, _, signature = cookie.partition(".")
    for forged in (
        "",
        ".",
        "x",
        cookie[:-1],
        cookie + "0",
        f"{body}.",
        f".{signature}",
        f"{body[:-2]}.{signature}",
        "é" * 50,
        "a" * 5000,
    ):
        assert place.sign_in.by_cookie(forged) is None


def test_tokens(place: _Place) -> None:
    """A token is who it was made for."""
    assert place.sign_in.by_token("s3cret") == Who("token:icinga", "viewer")
    assert place.sign_in.by_token("") is None
    assert place.sign_in.by_token("s3cret ") is None


def test_a_damaged_file_lets_nobody_in(place: _Place) -> None:
    """Fails closed."""
    cookie = _cookie(place)
    place.path.write_text("{")
    assert place.sign_in.by_cookie(cookie) is None
    assert not place.sign_in.has_users()


def test_guessing_gets_slower() -> None:
    """Five tries, then a minute, then twice as long, a quarter of an hour at most; success forgets."""
    now = [0.0]
    limits = Limits(lambda: now[0])
    waits = []
    for _ in range(12):
        limits.failed("name:anna")
        waits.append(limits.wait_s("name:anna", "from:1"))
        now[0] += waits[-1]
    assert waits[:4] == [0, 0, 0, 0]
    assert waits[4:7] == [60, 120, 240]
    assert waits[-1] == 900
    assert limits.wait_s("name:bert") == 0
    limits.failed("name:anna")
    limits.succeeded("name:anna")
    assert limits.wait_s("name:anna") == 0


def test_failures_are_forgotten() -> None:
    """A quarter of an hour after the last one, or after the wait that followed."""
    now = [0.0]
    limits = Limits(lambda: now[0])
    for _ in range(4):
        limits.failed("name:anna")
    now[0] += 901
    limits.failed("name:anna")
    assert limits.wait_s("name:anna") == 0
    for _ in range(4):
        limits.failed("name:anna")
    assert limits.wait_s("name:anna") == 60
    now[0] += 60 + 899
    limits.failed("name:anna")
    assert limits.wait_s("name:anna") == 120
    now[0] += 120 + 901
    limits.failed("name:anna")
    assert limits.wait_s("name:anna") == 0


def test_what_was_no_failure() -> None:
    """It is taken back; those before it still count."""
    limits = Limits(lambda: 0.0)
    for _ in range(5):
        limits.failed("from:1")
    limits.was_none("from:1")
    assert limits.wait_s("from:1") == 0
    limits.failed("from:1")
    assert limits.wait_s("from:1") == 60
