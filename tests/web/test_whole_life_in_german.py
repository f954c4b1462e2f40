"""A cluster taken apart and made anew in German, timed; and a picture of every page, for the guide."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from ishmael.web.cluster import FORMS
from ishmael.web.texts import Texts
from tests.web.conftest import PASSWORD, Lab, Visitor

NODE1, NODE2, CLUSTER = "10.77.0.11", "10.77.0.12", "10.77.0.10"
SCREENS = Path(__file__).parents[2] / "build" / "screens"
PAGES = {
    "overview": "/", "cluster": "/cluster", "switch-over": "/cluster/failover", "re-add": "/cluster/re-add", "network": "/network",
    "services": "/services", "service": "/services/dns", "status": "/status", "check": "/status/node1/N1",
    "events": "/events", "jobs": "/jobs", "job": "/jobs/1", "notifications": "/notifications", "users": "/users",
    "salvage": "/salvage",
}  # fmt: skip
_ = Texts("de").translate
JOB_MS = 90000
EASY_S = 180


@pytest.fixture(scope="module")
def page(lab: Lab, browser: Browser) -> Page:
    """A German admin at the first node; the cluster of the tests before is gone."""
    lab.run("heal")
    for node in ("node2", "node1"):
        if lab.status(node)["state"] != "alone":
            lab.sh(node, "ishmael reset --yes --override master-alive")
        assert lab.status(node)["state"] == "alone"
    context = browser.new_context(ignore_https_errors=True, locale="de-DE", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(30000)
    return context.new_page()


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
    expect(page.get_by_role("heading", name=_("This will be done"))).to_be_visible()
    for box in page.locator("input[type=checkbox]").all():
        box.check()
    page.get_by_role("button", name=_(FORMS[work].button), exact=True).click()
    expect(page.get_by_role("heading", name=_("Done"), exact=True)).to_be_visible(timeout=JOB_MS)


def test_from_two_nodes_to_a_cluster_in_german(lab: Lab, page: Page) -> None:
    """By clicks and one paste, from signing in on two nodes that are alone, in less than three minutes."""
    begun_s = time.monotonic()
    _sign_in(page, NODE1, lab, "node1")
    page.get_by_role("link", name=_("Set up master")).first.click()
    page.get_by_label(_("Cluster IP")).fill(CLUSTER)
    page.get_by_label(_("Telephone NIC")).select_option("phone0")
    page.get_by_label(_("Internal NIC")).select_option("cable0")
    page.get_by_label(_("References")).fill("10.77.0.1\n10.77.0.2")
    _do(page, "setup-master")
    _sign_in(page, CLUSTER, lab, "node1")
    page.goto(f"https://{CLUSTER}/cluster")
    page.get_by_role("button", name=_("Show the join code")).click()
    code = page.locator("#code").inner_text()
    other = page.context.new_page()
    _sign_in(other, NODE2, lab, "node2")
    other.get_by_role("link", name=_("Prepare slave")).first.click()
    other.get_by_label(_("Join code or SSH public key of the master")).fill(code)
    _do(other, "prepare-slave")
    other.close()
    page.get_by_role("link", name=_("Add slave")).first.click()
    _do(page, "add-slave")
    took_s = time.monotonic() - begun_s
    print(f"from two nodes alone to a complete cluster by clicks: {took_s:.1f} s")
    assert lab.status("node1")["state"] == "complete"
    assert took_s < EASY_S


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_shown_and_kept(page: Page, name: str) -> None:
    """Light and dark, desktop and phone, German and English: nothing sticks out, nothing serious for axe."""
    for language, button in (("de", "Deutsch"), ("en", "English")):
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(f"https://{CLUSTER}{PAGES[name]}")
        page.get_by_role("button", name=button).click()
        page.goto(f"https://{CLUSTER}{PAGES[name]}")
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


def test_switch_and_come_back_in_german(lab: Lab, page: Page) -> None:
    """The other node serves, a form that was open goes on there with what was typed; the first node is brought back."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
    page.goto(f"https://{CLUSTER}/")
    page.get_by_role("button", name="Deutsch").click()
    limit_s = time.monotonic() + 30
    while not lab.status("node1")["failover_possible"] and time.monotonic() < limit_s:
        page.wait_for_timeout(200)
    other = page.context.new_page()
    other.goto(f"https://{CLUSTER}/services/ntp")
    other.get_by_label("Stratum").fill("7")
    page.goto(f"https://{CLUSTER}/cluster/failover")
    page.get_by_role("button", name=_("Check"), exact=True).click()
    page.get_by_role("button", name=_(FORMS["failover"].button), exact=True).click()
    expect(page.locator("footer")).to_contain_text("node2", timeout=20000)
    expect(other.locator("footer")).to_contain_text("node2", timeout=20000)
    expect(other.get_by_label("Stratum")).to_have_value("7")
    other.get_by_role("button", name=_("Check"), exact=True).click()
    expect(other.locator(".diff")).to_contain_text("stratum")
    other.close()
    page.goto(f"https://{CLUSTER}/cluster/re-add")
    _do(page, "re-add")
    assert lab.status("node2")["state"] == "complete"


def test_nothing_went_wrong_in_the_browser(visitor: Visitor) -> None:
    """Also in the tab of the tests before."""
    assert visitor.problems == []
