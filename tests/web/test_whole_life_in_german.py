"""A cluster taken apart and made anew in German, timed; and a picture of every page, for the guide."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from ishmael.lab.tools import wait_until
from ishmael.web.cluster import FORMS
from ishmael.web.texts import Texts
from tests.web.conftest import PASSWORD, Lab, Visitor

NODE1, NODE2, CLUSTER = "10.77.0.11", "10.77.0.12", "10.77.0.10"
HOSTS = (NODE1, NODE2, CLUSTER)
SCREENS = Path(__file__).parents[2] / "build" / "screens"
PAGES = {
    "overview": "/", "cluster": "/cluster", "switch-over": "/cluster/failover", "re-add": "/cluster/re-add", "network": "/network",
    "services": "/services", "service": "/services/dns", "status": "/status", "check": "/status/node1/N1",
    "events": "/events", "jobs": "/jobs", "job": "/jobs/1", "notifications": "/notifications", "users": "/users",
    "salvage": "/salvage", "find": "/salvage/FIND", "remove": "/cluster/remove-slave", "reset": "/cluster/reset",
    "error": "/nothing",
}  # fmt: skip
_ = Texts("de").translate
JOB_MS = 90000
EASY_S = 180


# A store as it is after a former master came back with files that the new one lacks.
KEEP = """
from ishmael.manager.data.salvage import Salvage
salvage = Salvage("node1")
fresh = salvage.begin("files")
for number in range(3):
    path = fresh / "content/var/spool/asterisk/voicemail/default/101/INBOX" / f"msg000{number}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(9000))
print(salvage.keep(fresh, "files", "This node was master and had files that the present master lacks.", 3).id)
"""


@pytest.fixture(scope="module")
def german(lab: Lab, browser: Browser) -> Iterator[Visitor]:
    """A German admin; the cluster of the tests before is gone, and its users."""
    lab.run("heal")
    for node in ("node2", "node1"):
        if lab.status(node)["state"] != "alone":
            lab.sh(node, "ishmael reset --yes --override master-alive")
        assert lab.status(node)["state"] == "alone"
        lab.sh(node, "rm -f /etc/ishmael/web/accounts.json")
    context = browser.new_context(ignore_https_errors=True, locale="de-DE", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(30000)
    yield Visitor(context)
    context.close()


@pytest.fixture(scope="module")
def page(german: Visitor) -> Page:
    """At the first node."""
    return german.page(HOSTS)


def _sign_in(page: Page, address: str, lab: Lab, node: str) -> None:
    page.goto(f"https://{address}/")
    if page.url.endswith("/first"):
        page.get_by_label(_("One-time code")).fill(lab.sh(node, "ishmael user code").removeprefix("Code: "))
        button = _("Make the first admin")
    else:
        button = _("Sign in")
    page.get_by_label(_("Name")).fill("anna")
    page.get_by_label(_("Password")).fill(PASSWORD)
    page.get_by_role("button", name=button).click()
    expect(page.get_by_role("heading", name=_("Overview"))).to_be_visible()


def _do(page: Page, work: str) -> None:
    page.get_by_role("button", name=_("Check"), exact=True).click()
    expect(page.get_by_role("heading", name=_("This will be done"))).to_be_visible(timeout=JOB_MS)
    for box in page.locator("input[type=checkbox]").all():
        box.check()
    page.get_by_role("button", name=_(FORMS[work].button), exact=True).click()
    expect(page.get_by_role("heading", name=_("Done"), exact=True)).to_be_visible(timeout=JOB_MS)


def _keep(page: Page, name: str, show: Callable[[], None] = lambda: None) -> float:
    """Pictures of what is shown: light and dark, desktop and phone, German and English; how long that took, s.

    Nothing sticks out, and axe finds nothing serious.

    Args:
        page: what was typed into it stays.
        name: of the pictures.
        show: shows it again when the other language does not.
    """
    begun_s = time.monotonic()
    for language, button in (("en", "English"), ("de", "Deutsch")):
        page.set_viewport_size({"width": 1280, "height": 900})
        with page.expect_navigation():
            page.get_by_role("button", name=button).click()
        show()
        for width, device in ((1280, "desktop"), (390, "phone")):
            page.set_viewport_size({"width": width, "height": 844})
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                expect(page.locator("h1")).to_be_visible()
                assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
                page.screenshot(
                    path=SCREENS / f"{name}-{language}-{device}-{scheme}.jpeg", type="jpeg", quality=40, full_page=True
                )
                found = Axe().run(page).response["violations"] if language == "de" else []
                assert [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")] == []
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
    return time.monotonic() - begun_s


def test_before_anybody_may_sign_in(page: Page) -> None:
    """The first page of a fresh node."""
    page.goto(f"https://{NODE1}/")
    expect(page.get_by_role("heading", name=_("Welcome"))).to_be_visible()
    _keep(page, "first-password")


def test_from_two_nodes_to_a_cluster_in_german(lab: Lab, german: Visitor, page: Page) -> None:
    """By clicks and one paste, from signing in on two nodes that are alone, in less than three minutes."""
    begun_s = time.monotonic()
    _sign_in(page, NODE1, lab, "node1")
    page.get_by_role("link", name=_("Set up master")).first.click()
    page.get_by_label(_("Cluster IP")).fill(CLUSTER)
    page.get_by_label(_("Telephone NIC")).select_option("phone0")
    page.get_by_label(_("Internal NIC")).select_option("cable0")
    page.get_by_label(_("References")).fill("10.77.0.1\n10.77.0.2")
    begun_s += _keep(page, "set-up-master")
    _do(page, "setup-master")
    _sign_in(page, CLUSTER, lab, "node1")
    page.goto(f"https://{CLUSTER}/cluster")
    page.get_by_role("button", name=_("Show the join code")).click()
    code = page.locator("#code").inner_text()

    def show() -> None:
        page.get_by_role("button", name=re.compile("Show the join code|" + _("Show the join code"))).click()
        expect(page.locator("#code")).to_be_visible()

    begun_s += _keep(page, "join-code", show)
    other = german.page(HOSTS)
    _sign_in(other, NODE2, lab, "node2")
    other.get_by_role("link", name=_("Prepare slave")).first.click()
    other.get_by_label(_("Join code or SSH public key of the master")).fill(code)
    begun_s += _keep(other, "prepare-slave")
    _do(other, "prepare-slave")
    other.close()
    page.get_by_role("link", name=_("Add slave")).first.click()
    begun_s += _keep(page, "add-slave")
    _do(page, "add-slave")
    took_s = time.monotonic() - begun_s
    print(f"from two nodes alone to a complete cluster by clicks: {took_s:.1f} s")
    assert wait_until(lambda: lab.status("node1")["state"] == "complete", 60, 0.5)
    assert took_s < EASY_S


@pytest.fixture(scope="module")
def find(lab: Lab) -> str:
    """Something kept aside at the first node."""
    return lab.sh("node1", f"/usr/lib/ishmael/venv/bin/python -c '{KEEP}'")


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_shown_and_kept(page: Page, find: str, name: str) -> None:
    """Light and dark, desktop and phone, German and English: nothing sticks out, nothing serious for axe."""
    page.goto(f"https://{CLUSTER}{PAGES[name].replace('FIND', find)}")
    _keep(page, name)


def test_switch_and_come_back_in_german(lab: Lab, german: Visitor, page: Page) -> None:
    """The other node serves, a form that was open goes on there with what was typed; the first node is brought back."""
    page.goto(f"https://{CLUSTER}/")
    limit_s = time.monotonic() + 30
    while not lab.status("node1")["failover_possible"] and time.monotonic() < limit_s:
        page.wait_for_timeout(200)
    other = german.page(HOSTS)
    other.goto(f"https://{CLUSTER}/services/ntp")
    other.get_by_label("Stratum").fill("7")
    page.goto(f"https://{CLUSTER}/cluster/failover")
    page.get_by_role("button", name=_("Check"), exact=True).click()
    page.get_by_role("button", name=_(FORMS["failover"].button), exact=True).click()
    expect(page.locator("footer")).to_contain_text("node2", timeout=40000)
    expect(other.locator("footer")).to_contain_text("node2", timeout=40000)
    expect(other.get_by_label("Stratum")).to_have_value("7")
    other.get_by_role("button", name=_("Check"), exact=True).click()
    expect(other.locator(".diff")).to_contain_text("stratum")
    other.close()
    page.goto(f"https://{CLUSTER}/cluster/re-add")
    _do(page, "re-add")
    assert wait_until(lambda: lab.status("node2")["state"] == "complete", 60, 0.5)


def test_the_slave_is_removed(lab: Lab, page: Page) -> None:
    """By clicks: it stands alone with its data, telephony stays, and adding it again is proposed with what is remembered."""
    page.goto(f"https://{CLUSTER}/cluster/remove-slave")
    _do(page, "remove-slave")
    assert lab.status("node2")["state"] == "master-ready"
    assert lab.status("node2")["holds_cluster_ip"]
    assert lab.status("node1")["state"] in ("alone", "slave-prepared")
    page.goto(f"https://{CLUSTER}/cluster")
    page.get_by_role("link", name=_("Add slave")).first.click()
    expect(page.get_by_label(_("Host name of the slave"))).to_have_value("node1")


def test_the_page_to_sign_in_at(page: Page) -> None:
    """Signed out, by the button of every page."""
    page.get_by_role("button", name=_("Sign out")).click()
    expect(page.get_by_role("heading", name=_("Sign in"))).to_be_visible()
    _keep(page, "sign-in")


def test_nothing_went_wrong_in_the_browser(german: Visitor) -> None:
    """In any tab of this story."""
    assert german.problems == []
