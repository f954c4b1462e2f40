"""Sessions end: by signing out, also for a copy of the cookie; for open pages; and nothing keeps them alive but the reader."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from canned.site import PASSWORD, Site

from ishmael.web import passing
from ishmael.web.manager import Problem
from ishmael.web.passing import lasting, watched
from ishmael.web.sessions import COOKIE
from ishmael.words.accounts import Ended


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize("name", ["anna", "bert"])
def test_a_copied_cookie_ends_with_signing_out(site: Site, name: str) -> None:
    """At once in this process, and the manager is told which session, by admins and viewers; others go on."""
    site.sign_in(name)
    stays = dict(site.cookies)
    site.sign_in(name)
    assert site.send("/logout").status_code == 303
    assert site.ask("GET", "/events").status_code == 303
    assert site.ask("GET", "/events", cookies=stays).status_code == 200
    method, path, body = site.manager.asked[-1]
    assert (method, path, body["name"], body["nonce"]) == ("POST", "/sign-outs", name, site.session.nonce)
    assert site.session.begun_s < body["until_s"]


def test_the_other_node_knows(site: Site) -> None:
    """By the list that comes with the accounts."""
    assert site.ask("GET", "/events").status_code == 200
    site.write(replace(site.accounts, ended=(Ended("anna", site.session.nonce, 2**40),)))
    assert site.ask("GET", "/events").status_code == 303


def test_the_manager_hears_of_it_later(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is down while somebody signs out, it is told again."""
    monkeypatch.setattr("ishmael.web.signing._AGAIN_S", (0.01,) * 200)

    async def story() -> None:
        site.manager.down = True
        await site.asked("POST", "/logout", data={"csrf": site.csrf})
        await asyncio.sleep(0.05)
        site.manager.down = False
        async with asyncio.timeout(5):
            while not site.manager.asked:
                await asyncio.sleep(0.01)

    asyncio.run(story())
    assert site.manager.asked[0][1] == "/sign-outs"


def test_programs_end_nobodys_session(site: Site) -> None:
    """The route is the web process's own."""
    answer = site.ask("POST", "/api/v1/sign-outs", headers={"X-CSRF-Token": site.csrf}, json={})
    assert answer.status_code == 404


def test_a_page_that_renews_itself_keeps_nobody_signed_in(site: Site) -> None:
    """Only what somebody opens prolongs a session."""
    old = replace(site.session, seen_s=site.session.seen_s - 600)
    cookies = {COOKIE: site.signer.cookie(old)}
    assert "set-cookie" not in site.ask("GET", "/", cookies=cookies, headers={"X-Background": "1"}).headers
    assert COOKIE in site.ask("GET", "/", cookies=cookies).headers["set-cookie"]


async def _pieces(*pieces: bytes, then_s: float = 0.0) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
    await asyncio.sleep(then_s)


def _heard(stream: AsyncIterator[bytes], count: int) -> list[bytes]:
    async def story() -> list[bytes]:
        heard = []
        async with asyncio.timeout(10):
            async for piece in stream:
                heard.append(piece)
                if len(heard) == count:
                    break
        return heard

    return asyncio.run(story())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing, "_BEAT_S", 0.02)
    monkeypatch.setattr(passing, "_AGAIN_S", 0.01)


@pytest.mark.usefixtures("quick")
def test_an_open_page_hears_that_the_session_ended() -> None:
    """Also when nothing else happens."""
    left = [True, True, False]
    heard = _heard(watched(_pieces(b"one", then_s=60), lambda: left.pop(0), b"beat", b"ended"), 99)
    assert heard[0] == b"one"
    assert heard[-1] == b"ended"
    assert b"beat" in heard


@pytest.mark.usefixtures("quick")
def test_a_busy_stream_ends_as_well() -> None:
    """However fast things come."""

    async def busy() -> AsyncIterator[bytes]:
        while True:
            yield b"one"
            await asyncio.sleep(0)

    begun = time.monotonic()
    heard = _heard(watched(busy(), lambda: time.monotonic() - begun < 0.1), 10**9)
    assert set(heard) == {b"one"}


@pytest.mark.parametrize("first", [[[b"status"]], []], ids=["there", "never there"])
@pytest.mark.usefixtures("quick")
def test_a_manager_that_goes_away_ends_no_stream(first: list[list[bytes]]) -> None:
    """Beats go on, the page is told to look when it goes away, or did before it was heard, and when it is back: nothing flaps."""
    connections: list[list[bytes]] = [*first, [], [], [b"back"]]

    def begin() -> AsyncIterator[bytes]:
        return _pieces(*connections.pop(0)) if connections else _pieces(then_s=60)

    heard = _heard(watched(lasting(begin), lambda: True, b"beat"), 12)
    told = [piece for piece in heard if piece != b"beat"]
    assert told == [
        *(piece for pieces in first for piece in pieces),
        passing._LOOK,
        passing._LOOK,
        b"back",
        passing._LOOK,
    ]


@pytest.mark.parametrize("path", ["/live", "/api/v1/events/stream"])
@pytest.mark.usefixtures("quick")
def test_streams_end_with_the_account(site: Site, path: str) -> None:
    """Removed, made a viewer, or signed out everywhere: the stream is over."""
    anna = site.accounts.users[0]
    for changed in (
        site.accounts.users[1:],
        (replace(anna, role="viewer"), *site.accounts.users[1:]),
        (replace(anna, generation=2), *site.accounts.users[1:]),
    ):
        site.write(site.accounts)

        async def story(users: Any = changed) -> str:
            asking = asyncio.ensure_future(site.asked("GET", path))
            await asyncio.sleep(0.1)
            assert not asking.done()
            site.write(replace(site.accounts, users=users))
            async with asyncio.timeout(5):
                return (await asking).text

        assert ("event: ended" in asyncio.run(story())) == (path == "/live")


def test_signing_in_stops_nobody_else(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password is hashed beside the loop; who guesses cannot make the pages wait."""
    hashing, going_on = threading.Event(), threading.Event()

    def slow(*_: Any) -> None:
        hashing.set()
        assert going_on.wait(5)

    monkeypatch.setattr("ishmael.web.sessions.SignIn.by_password", slow)

    async def story() -> None:
        fields = {"name": "anna", "password": PASSWORD}
        asking = asyncio.ensure_future(site.asked("POST", "/login", cookies={}, data=fields))
        while not hashing.is_set():
            await asyncio.sleep(0.01)
        assert (await site.asked("GET", "/healthz")).status_code == 200
        assert not asking.done()
        going_on.set()
        assert (await asking).status_code == 401

    asyncio.run(story())


def test_many_tries_at_once_are_counted(site: Site) -> None:
    """Each before it is judged."""

    async def story() -> list[int]:
        tries = [site.asked("POST", "/login", cookies={}, data={"name": "anna", "password": "x"}) for _ in range(12)]
        return sorted(answer.status_code for answer in await asyncio.gather(*tries))

    assert asyncio.run(story()) == [401] * 5 + [429] * 7


def test_an_own_account_makes_guessing_not_free(site: Site) -> None:
    """Signing in as oneself in between does not forget what came from that address."""
    for turn in range(5):
        assert site.ask("POST", "/login", data={"name": f"guess{turn}", "password": "x"}).status_code == 401
        if turn < 4:
            assert site.ask("POST", "/login", data={"name": "bert", "password": PASSWORD}).status_code == 303
    assert site.ask("POST", "/login", data={"name": "bert", "password": PASSWORD}).status_code == 429


def test_wrong_tokens_lock_no_sign_in(site: Site) -> None:
    """A program with an old token, and people at the same address, are counted apart."""
    for _ in range(6):
        site.ask("GET", "/api/v1/status", cookies={}, headers={"Authorization": "Bearer x"})
    assert site.ask("GET", "/api/v1/status", cookies={}, headers={"Authorization": "Bearer x"}).status_code == 429
    assert site.ask("POST", "/login", data={"name": "anna", "password": PASSWORD}).status_code == 303


@pytest.mark.parametrize(("found", "status"), [("password", 422), ("code", 429)])
def test_only_wrong_codes_are_tries(site: Site, monkeypatch: pytest.MonkeyPatch, found: str, status: int) -> None:
    """A password that is too short is no guess at the code."""

    async def refused(*_: Any) -> None:
        raise Problem(422, "refused", "Not so.", "", ({"field": found, "message": "Not so.", "hint": ""},))

    monkeypatch.setattr(site.manager, "post", refused)
    site.write(replace(site.accounts, users=()))
    answers = [
        site.ask("POST", "/first", cookies={}, data={"code": "1", "name": "a", "password": "b"}) for _ in range(7)
    ]
    assert answers[-1].status_code == status
