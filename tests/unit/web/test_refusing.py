"""Pages that are not there, pages with a bug, pages for those who may only look; and what browsers may keep."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from canned.site import ANSWERS, Site

from ishmael.web.texts import Texts


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/nothing", 404, "Diese Seite gibt es nicht."),
        ("GET", "/jobs/abc", 404, "Diese Seite gibt es nicht."),
        ("GET", "/jobs/0", 404, "Diese Seite gibt es nicht."),
        ("POST", "/jobs/abc", 404, "Diese Seite gibt es nicht."),
        ("GET", "/cluster/nonsense", 404, "Diese Seite gibt es nicht."),
        ("GET", "/static/nothing.js", 404, "Diese Seite gibt es nicht."),
        ("GET", "/logout", 405, "Diese Seite nimmt so etwas nicht an."),
        ("PUT", "/users", 405, "Diese Seite nimmt so etwas nicht an."),
    ],
)
def test_what_is_not_there_is_said_in_words(site: Site, method: str, path: str, status: int, said: str) -> None:
    """As a page, in the reader's language, signed in or not."""
    for cookies in (site.cookies, {}):
        answer = site.ask(method, path, cookies=cookies, headers={"Accept-Language": "de"})
        if answer.status_code == 303:
            continue
        assert answer.status_code == status
        assert said in answer.text
        assert '<html lang="de">' in answer.text


@pytest.mark.parametrize("language", ["de", "en"])
def test_a_bug_is_a_plain_page(site: Site, monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    """With the headers of every page and nothing of the bug in it; the log has the rest."""

    async def broken(*_: Any) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(site.manager, "get", broken)
    answer = site.ask("GET", "/", headers={"Accept-Language": language})
    assert answer.status_code == 500
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert "inside" not in answer.text
    assert Texts(language).translate("This page has a bug") in answer.text


def test_a_form_that_expired_is_opened_again_with_what_was_typed(site: Site) -> None:
    """As when another tab signed in anew meanwhile."""
    answer = site.ask("POST", "/services/ntp", data={"csrf": "old", "stratum": "5"})
    assert answer.status_code == 403
    assert "Open the form again" in answer.text


def test_files_are_named_with_their_version(site: Site) -> None:
    """Kept for good by their name; under another version, as in the middle of an update, they are asked for again."""
    page = site.ask("GET", "/").text
    found = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert len(found) >= 3
    for url in found:
        assert site.ask("GET", url).headers["cache-control"] == "public, max-age=31536000, immutable"
        for other in (url.partition("?")[0], f"{url}x"):
            assert site.ask("GET", other).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path", ["/cluster/reset", "/cluster/setup-master", "/services/ntp", "/network", "/notifications", "/status", "/cluster",
             "/status/pbx1/N1", "/users", "/salvage/x1", "/jobs", "/jobs/7", "/drift"]
)  # fmt: skip
def test_who_may_only_look_sees_no_button(site: Site, path: str) -> None:
    """Nothing to press on any page but to sign out and to change the language; fields cannot be changed, and it is said why."""
    site.sign_in("bert")
    changed = {"path": "/etc/hostname", "what": "changed", "take_over": True, "put_back": True}
    site.manager.answers["/drift"] = {"changes": [changed], "services": []}
    waiting = {"id": 8, "work": "reset", "arguments": {}, "override": [], "state": "pending", "created_at": ""}
    site.manager.answers["/jobs"] = {"jobs": [waiting]}
    page = site.ask("GET", path)
    assert page.status_code == 200
    main = page.text.partition("<main")[2].partition("</main>")[0]
    assert re.findall(r"<button(?! type=.button. class=.second. data-copy)[^>]*>", main) == []
    if "<form" in main:
        assert "You may look and not change anything." in main
        assert "disabled" in main
    site.sign_in("anna")
    assert "disabled" not in site.ask("GET", path).text


def test_maintenance_is_also_in_cluster_management(site: Site) -> None:
    """Begun and ended there; a wrong length is named there."""
    assert "Begin maintenance" in site.ask("GET", "/cluster").text
    answer = site.send("/cluster", action="begin", minutes="30", why="fans")
    assert (answer.status_code, answer.headers["location"]) == (303, "/cluster")
    assert site.manager.asked[-1] == ("POST", "/maintenance", {"minutes": 30, "why": "fans"})
    wrong = site.send("/cluster", action="begin", minutes="-5", why="fans")
    assert wrong.status_code == 422
    assert "The length is a number of minutes" in wrong.text
    assert "fans" in wrong.text
    site.manager.answers["/maintenance"] = {"active": True, "until": "2026-11-25T03:04:05.678+00:00", "why": "fans"}
    assert "End the maintenance" in site.ask("GET", "/cluster").text
    site.send("/cluster", action="end")
    assert site.manager.asked[-1][:2] == ("DELETE", "/maintenance")


@pytest.mark.parametrize(
    ("state", "german", "english"),
    [
        ("active (running)", "läuft", "running"),
        ("inactive (dead)", "läuft nicht", "not running"),
        ("failed (failed)", "ausgefallen", "failed"),
        ("activating (start-pre)", "startet (start-pre)", "starting (start-pre)"),
        ("strange (thing)", "strange (thing)", "strange (thing)"),
        ("", "", ""),
    ],
)
def test_how_the_phone_system_is(site: Site, state: str, german: str, english: str) -> None:
    """In the reader's language."""
    assert (Texts("de").unit_state(state), Texts("en").unit_state(state)) == (german, english)
    site.manager.answers["/status"] = {**ANSWERS["/status"], "workload": {"asterisk.service": state}}
    page = site.ask("GET", "/", headers={"Accept-Language": "de"}).text
    assert f"<dt>asterisk.service</dt><dd>{german}</dd>" in page


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"?"),
        ("application/x-www-form-urlencoded", "&".join(f"f{n}=1" for n in range(2000)).encode()),
    ],
)
def test_what_is_no_form(site: Site, kind: str, body: bytes) -> None:
    """Said in the reader's language, whatever the framework calls it."""
    headers = {"content-type": kind, "accept-language": "de"}
    answer = site.ask("POST", "/status", content=body, headers=headers)
    assert answer.status_code == 400
    assert "Was gesendet wurde, ist keines unserer Formulare." in answer.text


def test_a_form_that_never_arrives_is_not_waited_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends the head of a form and nothing more takes no place for long."""
    monkeypatch.setattr("ishmael.web.requests._BODY_S", 0.05)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"name="
        await asyncio.sleep(0.2)
        yield b"anna"

    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = site.ask("POST", "/login", cookies={}, content=slowly(), headers=headers)
    assert (answer.status_code, answer.headers["connection"]) == (408, "close")
    assert "The form did not arrive." in answer.text


@pytest.mark.parametrize("path", ["/", "/users", "/static/app.js", "/login", "/nothing"])
def test_head_is_get_without_content(site: Site, path: str) -> None:
    """Also where it is refused."""
    head, get = site.ask("HEAD", path), site.ask("GET", path)
    assert (head.status_code, head.headers.get("content-type"), head.content) == (
        get.status_code,
        get.headers.get("content-type"),
        b"",
    )
    assert "Content-Security-Policy" in head.headers


def test_another_language_keeps_the_query(site: Site) -> None:
    """A form that is filled in from a job stays so; a page after a form was sent has no query."""
    assert 'name="next" value="/cluster/add-slave?job=7"' in site.ask("GET", "/cluster/add-slave?job=7").text
    sent = {"language": "de", "next": "/cluster/add-slave?job=7"}
    assert site.ask("POST", "/language", data=sent).headers["location"] == "/cluster/add-slave?job=7"
    page = site.ask("POST", "/language", data={**sent, "kept": '{"name": "pbx9"}'}).text
    assert 'value="pbx9"' in page and 'lang="de"' in page


def test_the_lamp_is_in_the_header(site: Site) -> None:
    """Where a telephone shows it without scrolling; nobody sees it before signing in."""
    assert 'id="headlamp"' in site.ask("GET", "/users").text.partition("</header>")[0]
    assert 'id="headlamp"' not in site.ask("GET", "/login", cookies={}).text
