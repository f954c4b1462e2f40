"""What the script of the pages does, in a browser, over a manager of canned answers: no nodes are needed."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from canned.site import ANSWERS, PASSWORD, Site
from playwright.sync_api import Browser, Page, expect

from ishmael.manager.certificate import make_pair
from ishmael.web.main import listen
from tests.web.conftest import Visitor


class Served(Site):
    """The application behind HTTPS on this machine."""

    def __init__(self, where: Path) -> None:
        super().__init__(where)
        pair = make_pair(["localhost"], ["127.0.0.1"])
        certificate, key = where / "tls.pem", where / "tls.key"
        certificate.write_text(pair.certificate)
        key.write_text(pair.key)
        self._wire = listen(0)
        self.host = f"localhost:{self._wire.getsockname()[1]}"
        config = uvicorn.Config(
            self.app, log_level="error", lifespan="off", ws="none", http="h11", timeout_graceful_shutdown=1,
            ssl_certfile=certificate, ssl_keyfile=key, ssl_version=ssl.PROTOCOL_TLS_SERVER,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._wire]})
        self._thread.start()

    def stop(self) -> None:
        """End the process's thread."""
        self._server.should_exit = True
        self._thread.join()

    def url(self, path: str) -> str:
        """Address of a page."""
        return f"https://{self.host}{path}"

    def tell(self, kind: str = "status") -> None:
        """As the manager does when something changed."""
        self.manager.told.append(f"event: {kind}\ndata: null\n\n".encode())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Served]:
    site = Served(tmp_path)
    yield site
    site.stop()


@pytest.fixture
def visitor(near: Browser) -> Iterator[Visitor]:
    context = near.new_context(ignore_https_errors=True, locale="en-GB", viewport={"width": 1280, "height": 600})
    context.set_default_timeout(10000)
    visitor = Visitor(context)
    yield visitor
    assert visitor.problems == []
    context.close()


@pytest.fixture
def page(site: Served, visitor: Visitor) -> Page:
    """Signed in."""
    page = visitor.page((site.host,))
    page.goto(site.url("/"))
    _sign_in(page)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    return page


def _sign_in(page: Page) -> None:
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def _events(count: int) -> dict[str, object]:
    rows = [{"at": "", "node": "pbx1", "kind": "did", "why": f"number {number}", "rule": ""} for number in range(count)]
    return {"events": rows}


def test_a_page_changes_in_place(site: Served, page: Page) -> None:
    """What is new is shown; the reader's place, focus and selection are where they were."""
    site.manager.answers["/events"] = _events(60)
    page.goto(site.url("/events"))
    page.locator("main .scroll").last.focus()
    page.evaluate("window.scrollTo(0, 700)")
    page.evaluate(
        "getSelection().selectAllChildren([...document.querySelectorAll('td')].find(e => e.textContent === 'number 30'))"
    )
    site.manager.answers["/events"] = _events(61)
    site.manager.answers["/status"] = {**ANSWERS["/status"], "version": "9.9.9"}
    site.tell("event")
    expect(page.get_by_text("number 60")).to_have_count(1)
    expect(page.locator("footer")).to_contain_text("9.9.9")
    assert page.evaluate("Math.round(scrollY)") > 650
    assert page.evaluate("document.activeElement.className") == "scroll"
    assert page.evaluate("getSelection().toString()").strip() == "number 30"
    assert page.locator("td", has_text="number").all_inner_texts() == [
        f"number {number}" for number in range(60, -1, -1)
    ]


def test_a_button_keeps_the_focus(site: Served, page: Page) -> None:
    """Who works by keyboard is not thrown to the top."""
    page.goto(site.url("/cluster"))
    link = page.get_by_role("link", name="Add slave")
    link.focus()
    site.manager.answers["/status"] = {**ANSWERS["/status"], "state": "complete", "version": "9.9.9"}
    site.tell()
    expect(page.locator("footer")).to_contain_text("9.9.9")
    expect(link).to_be_focused()


def test_nothing_flaps_while_the_manager_is_down(site: Served, page: Page) -> None:
    """The page says what is wrong; the bar, which speaks of the connection, says nothing."""
    page.evaluate(
        """() => { window.said = []; const bar = document.getElementById("connection");
            new MutationObserver(() => window.said.push(bar.textContent)).observe(bar, {attributes: true, childList: true}); }"""
    )
    site.manager.down = True
    expect(page.locator("main")).to_contain_text("The manager of this node does not answer.")
    page.wait_for_timeout(4000)
    site.manager.down = False
    site.tell()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    assert page.evaluate("window.said") == []


def test_an_open_page_goes_to_sign_in_when_the_account_is_gone(site: Served, page: Page) -> None:
    """Within a second or two, by itself; a page in the background keeps no session alive."""
    site.write(replace(site.accounts, users=site.accounts.users[1:]))
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_who_is_typing_goes_on_when_the_session_ends(site: Served, page: Page) -> None:
    """It is said; nothing typed is lost, and the form is where it was."""
    page.goto(site.url("/services/ntp"))
    page.get_by_label("Told to telephones").fill("7")
    anna = replace(site.accounts.users[0], generation=2)
    site.write(replace(site.accounts, users=(anna, *site.accounts.users[1:])))
    expect(page.locator("#connection")).to_contain_text("Your session has ended.")
    page.wait_for_timeout(2500)
    expect(page.locator("#connection")).to_contain_text("Your session has ended.")
    expect(page.get_by_label("Told to telephones")).to_have_value("7")
    page.get_by_role("button", name="Check", exact=True).click()
    _sign_in(page)
    expect(page.get_by_label("Told to telephones")).to_have_value("7")
    assert page.url == site.url("/services/ntp")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_role("heading", name="What will change")).to_be_visible()


def test_another_tab_keeps_this_one_going(site: Served, page: Page) -> None:
    """Signing in anew in a second tab is enough for both."""
    page.goto(site.url("/services"))
    other = page.context.new_page()
    other.goto(site.url("/"))
    page.evaluate("document.querySelector('h1').dataset.old = '1'")
    other.evaluate("document.querySelector('#connection')")
    anna = replace(site.accounts.users[0], generation=2)
    site.write(replace(site.accounts, users=(anna, *site.accounts.users[1:])))
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
    _sign_in(other)
    expect(other.get_by_role("heading", name="Overview")).to_be_visible()


@pytest.mark.parametrize(
    ("path", "label", "german", "typed"),
    [
        ("/services/ntp", "Told to telephones", "Telefon", "7"),
        ("/users", "What for", "Wofür", "icinga"),
        ("/cluster", "For how many minutes", "Für wie viele Minuten", "17"),
    ],
)
def test_the_language_takes_along_what_was_typed(
    site: Served, page: Page, path: str, label: str, german: str, typed: str
) -> None:
    """And the page stays the page of the form."""
    page.goto(site.url(path))
    page.get_by_label(label).fill(typed)
    page.get_by_role("button", name="Deutsch").click()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    assert typed in [field.input_value() for field in page.locator("main input:not([type=hidden])").all()]
    assert page.url == site.url(path)
    page.get_by_role("button", name="English").click()
    expect(page.get_by_label(label)).to_have_value(typed)


def test_a_browser_that_lets_nobody_copy(site: Served, page: Page) -> None:
    """What is to be copied is selected, and it is said how to go on."""
    page.add_init_script(
        "navigator.clipboard.writeText = () => Promise.reject(new DOMException('no', 'NotAllowedError'))"
    )
    page.goto(site.url("/cluster"))
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Selected: copy it by keyboard")).to_be_visible()
    assert page.evaluate("getSelection().toString()").strip() == "ssh-ed25519 AAAA"


def test_a_manager_that_is_down_while_a_form_is_sent(site: Served, page: Page) -> None:
    """One click, when it is back, and the form is as it was."""
    page.goto(site.url("/notifications"))
    page.get_by_label("Mail server").fill("mail.example.org")
    page.get_by_label("Password").fill("never shown")
    site.manager.down = True
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The manager of this node does not answer.").first).to_be_visible()
    page.get_by_role("button", name="Open the form again").click()
    expect(page.get_by_role("button", name="Open the form again")).to_be_visible()
    site.manager.down = False
    page.get_by_role("button", name="Open the form again").click()
    expect(page.get_by_label("Mail server")).to_have_value("mail.example.org")
    expect(page.get_by_label("Password")).to_have_value("")
    assert page.url == site.url("/notifications")


def test_no_key_does_what_was_not_shown(site: Served, page: Page) -> None:
    """Enter in a field checks; what is done is what was checked last; a double click on "Check" does nothing more."""

    def asked() -> list[bool]:
        return [bool(body.get("dry_run")) for _, path, body in site.manager.asked if path == "/jobs"]

    page.goto(site.url("/cluster/setup-master"))
    page.get_by_label("Cluster IP").fill("192.168.1.10")
    page.get_by_role("button", name="Check", exact=True).dblclick()
    expect(page.get_by_role("heading", name="This will be done")).to_be_focused()
    page.wait_for_timeout(700)
    assert asked() == [True]
    page.get_by_label("Cluster IP").fill("192.168.1.20")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="This will be done")).to_be_focused()
    page.wait_for_timeout(700)
    assert asked() == [True, True]
    page.get_by_label("Cluster IP").fill("192.168.1.30")
    page.get_by_role("button", name="Set up the master").click()
    expect(page.get_by_role("alert")).to_contain_text("this is not what was checked")
    page.get_by_role("button", name="Check again").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert asked() == [True] * 4
    page.get_by_role("button", name="Set up the master").click()
    expect(page).to_have_url(site.url("/jobs/7"))
    assert asked() == [True] * 4 + [False]


def test_removing_a_user_is_asked_first(site: Served, page: Page) -> None:
    """By keyboard; what happens meanwhile does not close the question."""
    site.manager.asked.clear()
    page.goto(site.url("/users"))
    page.locator("summary", has_text="Remove").focus()
    page.keyboard.press("Enter")
    site.manager.answers["/status"] = {**ANSWERS["/status"], "version": "9.9.9"}
    site.tell("event")
    expect(page.locator("footer")).to_contain_text("9.9.9")
    assert site.manager.asked == []
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("details[open]")).to_have_count(0)
    assert [(method, path) for method, path, _ in site.manager.asked] == [("DELETE", "/users/anna")]


def test_what_nobody_sees_often_is_accessible(site: Served, page: Page) -> None:
    """Pages to sign in at, for the first admin, of a find, of what is not there, and of a bug; also wrong and in the dark."""

    def accessible() -> None:
        expect(page.locator("h1")).to_be_visible()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found = Axe().run(page).response["violations"]
            assert [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")] == []

    for path in ("/salvage/x1", "/nothing", "/jobs/abc", "/cluster/setup-master", "/cluster", "/users"):
        page.goto(site.url(path))
        accessible()
    site.manager.answers["/salvage"] = []
    page.goto(site.url("/salvage"))
    expect(page.get_by_role("heading", name="This page has a bug")).to_be_visible()
    accessible()
    page.context.clear_cookies()
    page.goto(site.url("/login"))
    accessible()
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Name or password is wrong.")).to_be_visible()
    accessible()
    site.write(replace(site.accounts, users=()))
    page.goto(site.url("/first"))
    accessible()
