"""Pages without a manager behind: what they refuse, and the headers of every answer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI

from ishmael.web.app import make_app
from ishmael.web.manager import Manager, Who
from ishmael.web.sessions import COOKIE, AccountsFile, SignIn
from ishmael.words.accounts import Accounts, User

_OPEN = {"/login", "/first", "/language", "/healthz", "/favicon.ico", "/static"}


class _Site:
    """The application over a manager that does not answer."""

    def __init__(self, where: Path) -> None:
        hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        path = where / "accounts.json"
        path.write_text(Accounts("ab" * 32, (User("anna", "admin", hasher.hash("correct horse")),)).to_json())
        accounts = AccountsFile(str(path))
        self.app: FastAPI = make_app(Manager(str(where / "none.sock")), accounts)
        signer = SignIn(accounts)
        session = signer.by_password("anna", "correct horse")
        assert session is not None
        self.cookies = {COOKIE: signer.cookie(session)}
        self.csrf = signer.csrf(session)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            cookies = options.pop("cookies", None)
            async with httpx.AsyncClient(transport=transport, base_url="https://pbx", cookies=cookies) as client:
                return await client.request(method, path, **options)

        return asyncio.run(asked())

    def paths(self) -> list[tuple[str, str]]:
        """Method and path of every route."""
        found = []
        for route in self.app.routes:
            for method in getattr(route, "methods", None) or ():
                path = (
                    str(getattr(route, "path", ""))
                    .replace("{job_id}", "1")
                    .replace("{work}", "reset")
                    .replace("{find_id}", "x")
                    .replace("{node}/{check_id}", "pbx1/N1")
                    .replace("{name}", "dns")
                )
                found.append((method, path.replace("{path:path}", "status")))
        return found


@pytest.fixture
def site(tmp_path: Path) -> _Site:
    return _Site(tmp_path)


def test_no_page_without_signing_in(site: _Site) -> None:
    """Only signing in and the health route answer to strangers; nothing else tells or changes anything."""
    asked = [(method, path) for method, path in site.paths() if path not in _OPEN]
    assert len(asked) > 12
    for method, path in asked:
        answer = site.ask(method, path)
        assert answer.status_code in (303, 401), (method, path, answer.status_code)
        if answer.status_code == 303:
            assert answer.headers["location"].startswith("/login")


def test_no_change_without_the_csrf_token(site: _Site) -> None:
    """A form of another site, or none of ours, is refused before the manager is asked."""
    for method, path in site.paths():
        if method != "POST" or path in ("/login", "/first", "/language"):
            continue
        answer = site.ask(method, path, cookies=site.cookies, data={"action": "do"})
        assert answer.status_code == 403, (method, path)
        answer = site.ask(
            method, path, cookies=site.cookies, data={"csrf": site.csrf}, headers={"Origin": "https://evil.example"}
        )
        assert answer.status_code == 403 or path.startswith("/api/"), (method, path)


@pytest.mark.parametrize("path", ["/login", "/nothing", "/healthz", "/static/style.css", "/api/v1/status"])
def test_headers(site: _Site, path: str) -> None:
    """Every answer carries them."""
    headers = site.ask("GET", path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "max-age" in headers["strict-transport-security"]


def test_signing_in(site: _Site) -> None:
    """The cookie is closed to scripts and to other sites; the way on is never another site's."""
    answer = site.ask("POST", "/login", data={"name": "anna", "password": "correct horse", "next": "//evil.example/"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-")
    for part in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
        assert part in cookie


def test_too_many_tries(site: _Site) -> None:
    """The sixth try must wait, also with the right password."""
    for _ in range(5):
        assert site.ask("POST", "/login", data={"name": "anna", "password": "x"}).status_code == 401
    assert site.ask("POST", "/login", data={"name": "anna", "password": "correct horse"}).status_code == 429


def test_what_was_typed_is_kept(site: _Site) -> None:
    """A session that ended in the middle of a form costs a sign-in and nothing typed, passwords excepted."""
    answer = site.ask("POST", "/cluster/add-slave", data={"name": "pbx2 <b>", "password": "never"})
    assert answer.status_code == 401
    assert "pbx2 &lt;b&gt;" in answer.text
    assert "never" not in answer.text


@pytest.mark.parametrize("path", ["/login", "/cluster/add-slave", "/api/v1/jobs"])
def test_what_is_too_long_is_refused(site: _Site, path: str) -> None:
    """Before it fills the memory, signed in or not; a long form of ours is far shorter."""
    cookies = {} if path == "/login" else site.cookies
    headers = {"X-CSRF-Token": site.csrf}
    answer = site.ask("POST", path, data={"csrf": site.csrf, "name": "x" * 400_000}, cookies=cookies, headers=headers)
    assert answer.status_code == 413
    assert "too long" in answer.text


@pytest.mark.parametrize("path", ["/api/v1/%2e%2e/%2e%2e/metrics", "/api/v1/sign-ins", "/api/v1/users/%2E%2E/sign-ins"])
def test_nothing_beside_the_api_is_reached(site: _Site, path: str) -> None:
    """Dots lead nowhere, and sign-ins are told by the web process alone."""
    answer = site.ask("POST", path, cookies=site.cookies, headers={"X-CSRF-Token": site.csrf}, json={})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("path", "field"), [("/jobs", {"job-" + "9" * 5000: "1"}), ("/status", {"minutes": "000001" + "9" * 5000})]
)
def test_long_numbers_are_refused(site: _Site, path: str, field: dict[str, str]) -> None:
    """Before they are read as numbers."""
    assert site.ask("POST", path, cookies=site.cookies, data={"csrf": site.csrf, **field}).status_code == 503


def test_a_user_of_any_name_may_ask() -> None:
    """A header holds bytes; the manager reads them as UTF-8."""
    assert httpx.Headers(Who("Jürgen", "admin").headers()).raw[0] == (b"X-Ishmael-User", "Jürgen".encode())


def test_a_manager_that_is_down_is_said(site: _Site) -> None:
    """In plain words, with the way out; the page itself is there."""
    answer = site.ask("GET", "/", cookies=site.cookies)
    assert answer.status_code == 503
    assert "The manager of this node does not answer." in answer.text
