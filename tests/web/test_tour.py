"""What people do wrong, and what they do seldom: on the cluster that the life of clicks has left behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.web.conftest import PASSWORD, Lab, Visitor

CLUSTER, NODE1 = "10.77.0.10", "10.77.0.11"
HOSTS = (CLUSTER, NODE1)
HOSTILE = "<script>alert(1)</script>'; DROP TABLE jobs; -- $(reboot) \u202egnp.exe"


@pytest.fixture(scope="module")
def page(lab: Lab, visitor: Visitor) -> Page:
    """Signed in as the admin, at the cluster IP."""
    page = visitor.page(HOSTS)
    _sign_in(page)
    return page


def _sign_in(page: Page, name: str = "anna") -> None:
    page.goto(f"https://{CLUSTER}/")
    if page.url.startswith(f"https://{CLUSTER}/login"):
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def _accessible(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")] == []


def _newest_job(page: Page) -> int:
    page.goto(f"https://{CLUSTER}/jobs")
    number = page.locator("tbody tr td").first.inner_text() if page.locator("tbody tr").count() else "0"
    waiting = page.locator("input[name^=job-]")
    return max([int(number), *(int((box.get_attribute("name") or "")[4:]) for box in waiting.all())])


def test_a_change_of_a_service_waits_and_is_applied(page: Page) -> None:
    """Saved: nothing changes, the job box says so; what will change is shown; applied, it holds."""
    page.goto(f"https://{CLUSTER}/services/ntp")
    page.get_by_label("The service runs").check()
    page.get_by_label("Told to telephones").fill("9")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.locator(".diff")).to_contain_text("stratum")
    _accessible(page)
    page.get_by_role("button", name="Save, apply later").click()
    expect(page.get_by_role("heading", name="Waiting to be applied")).to_be_visible()
    expect(page.locator("#jobbox")).to_contain_text("Changes wait to be applied.")
    _accessible(page)
    page.get_by_role("link", name="What will change").click()
    expect(page.locator(".diff")).to_contain_text("stratum")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name="Done", exact=True)).to_be_visible(timeout=60000)
    page.goto(f"https://{CLUSTER}/services/ntp")
    expect(page.get_by_label("Told to telephones")).to_have_value("9")


def test_two_tabs(page: Page) -> None:
    """What one tab drops, the other cannot apply; it is told so, and nothing is done."""
    page.goto(f"https://{CLUSTER}/services/ntp")
    page.get_by_label("Told to telephones").fill("8")
    page.get_by_role("button", name="Check", exact=True).click()
    page.get_by_role("button", name="Save, apply later").click()
    other = page.context.new_page()
    other.goto(f"https://{CLUSTER}/jobs")
    other.get_by_role("button", name="Drop").click()
    expect(other.get_by_role("heading", name="Waiting to be applied")).to_have_count(0)
    other.close()
    token = page.locator("input[name=csrf]").first.input_value()
    said = page.evaluate(
        """([token, number]) => fetch("/jobs", {method: "POST",
            body: new URLSearchParams({csrf: token, action: "apply", ["job-" + number]: "1"})}).then((a) => a.text())""",
        [token, _newest_job(page)],
    )
    assert "No pending job" in said
    page.goto(f"https://{CLUSTER}/services/ntp")
    expect(page.get_by_label("Told to telephones")).to_have_value("9")


def test_two_admins_at_once(page: Page, browser: Browser) -> None:
    """Both apply a change of the same service: one after the other, each told, and the later one holds."""
    context = browser.new_context(ignore_https_errors=True, locale="en-GB")
    other = context.new_page()
    _sign_in(other)
    values = {}
    for tab, typed in ((page, "6"), (other, "7")):
        tab.goto(f"https://{CLUSTER}/services/ntp")
        tab.get_by_label("Told to telephones").fill(typed)
        tab.get_by_role("button", name="Check", exact=True).click()
        expect(tab.locator(".diff")).to_contain_text("stratum")
    for tab in (page, other):
        tab.get_by_role("button", name="Apply now").click(no_wait_after=True)
    for tab, typed in ((page, "6"), (other, "7")):
        expect(tab.get_by_role("heading", name="Done", exact=True)).to_be_visible(timeout=60000)
        values[int(tab.url.rpartition("/")[2])] = typed
    for tab in (page, other):
        tab.goto(f"https://{CLUSTER}/services/ntp")
        expect(tab.get_by_label("Told to telephones")).to_have_value(values[max(values)])
    context.close()


@pytest.mark.parametrize("typed", ["", "x" * 1_000_000, HOSTILE, "10.77.0.10", "10.99.0.1"])
def test_whatever_is_typed_gets_an_answer_at_the_field(page: Page, typed: str) -> None:
    """Empty, a megabyte, hostile, the cluster's own address, one outside the network: named, kept, nothing run."""
    page.goto(f"https://{CLUSTER}/services/dns")
    page.get_by_label("The service runs").check()
    page.get_by_label("Telephones get their addresses").check()
    page.get_by_label("First address for telephones").fill(typed)
    page.get_by_label("Last address for telephones").fill("10.77.0.99")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.locator("h1")).to_be_visible()
    if len(typed) < 1000:
        expect(page.locator(".field.wrong").first).to_be_visible()
        expect(page.get_by_label("First address for telephones")).to_have_value(typed)
        _accessible(page)
    else:
        expect(page.locator("[role=alert]").first).to_be_visible()
    expect(page.get_by_role("button", name="Apply now")).to_have_count(0)


FORMS = (
    "/cluster", "/cluster/setup-master", "/cluster/prepare-slave", "/cluster/add-slave", "/cluster/re-add", "/cluster/failover",
    "/cluster/remove-slave", "/cluster/reset", "/network", "/services/dns", "/services/ntp", "/services/mail",
    "/services/fax", "/status", "/status/node1/N1", "/notifications", "/users", "/jobs",
)  # fmt: skip
SENT = """async ([path, typed]) => {
    const shown = new DOMParser().parseFromString(await (await fetch(path)).text(), "text/html");
    const names = [...shown.querySelectorAll("main [name]:not([type=hidden]):not(button)")].map((field) => field.name);
    const body = new URLSearchParams(names.map((name) => [name, typed]));
    body.set("csrf", shown.querySelector("input[name=csrf]").value);
    body.set("action", "look");
    const answer = await fetch(path, {method: "POST", body});
    return [answer.status, await answer.text(), names.length];
}"""


@pytest.mark.parametrize("path", FORMS)
def test_no_form_falls_over_whatever_is_in_its_fields(lab: Lab, page: Page, path: str) -> None:
    """All fields of every form at once: never a bug, never a script in the answer, and the cluster is as before."""
    for typed in ("", " ", HOSTILE, "x" * 5000, "\u202e\u0000", "-1", "true", "0.0.0.0/0"):
        status, text, _ = page.evaluate(SENT, [path, typed])
        assert status in (200, 403, 413, 422), (path, typed[:20], status)
        assert "<script>alert(1)" not in text
    assert lab.status("node1")["holds_cluster_ip"]


def test_a_job_that_fails_says_what_and_takes_itself_back(lab: Lab, page: Page) -> None:
    """Somebody else has the DNS port: dnsmasq does not come up; told in plain words, undone, with the way to try again."""
    bind = "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 53)); time.sleep(120)"
    lab.sh("node1", f'systemd-run --quiet --unit=has-the-port /usr/bin/python3 -c "{bind}"')
    try:
        page.goto(f"https://{CLUSTER}/services/dns")
        page.get_by_label("The service runs").check()
        page.get_by_role("button", name="Check", exact=True).click()
        page.get_by_role("button", name="Apply now").click()
        expect(page.get_by_role("heading", name="It did not work")).to_be_visible(timeout=60000)
        expect(page.get_by_text("Taken back")).to_be_visible()
        _accessible(page)
    finally:
        lab.sh("node1", "systemctl stop has-the-port")
    page.get_by_role("link", name="Try again").click()
    expect(page.get_by_label("The service runs")).to_be_checked()
    page.goto(f"https://{CLUSTER}/services/dns")
    expect(page.get_by_label("The service runs")).not_to_be_checked()
    assert lab.status("node1")["workload"]["asterisk.service"].startswith("active")


def test_a_session_that_ends_in_the_middle_of_a_form(page: Page) -> None:
    """Sign in again: what was typed is there."""
    page.goto(f"https://{CLUSTER}/cluster/re-add")
    page.get_by_label("Host name of the slave").fill("a-long-typed-name")
    page.context.clear_cookies()
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_text("what you typed is kept")).to_be_visible()
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("Host name of the slave")).to_have_value("a-long-typed-name")


def test_a_double_click_makes_one_job(page: Page) -> None:
    """And the way back does not send it again."""
    before = _newest_job(page)
    page.goto(f"https://{CLUSTER}/services/ntp")
    page.get_by_label("Told to telephones").fill("10")
    page.get_by_role("button", name="Check", exact=True).click()
    page.get_by_role("button", name="Apply now").dblclick()
    expect(page.get_by_role("heading", name="Done", exact=True)).to_be_visible(timeout=60000)
    page.go_back()
    expect(page.get_by_label("Told to telephones")).to_be_visible()
    page.wait_for_timeout(500)
    assert _newest_job(page) == before + 1


def test_checks_are_asked_and_acknowledged(page: Page) -> None:
    """The lab has no time server: the warning is acknowledged, stays listed, and counts no more."""
    page.goto(f"https://{CLUSTER}/status/node1/N7")
    looked = page.locator("dl.facts").inner_text()
    page.wait_for_timeout(1100)
    page.get_by_role("button", name="Check now").click()
    expect(page.locator("dl.facts")).not_to_have_text(looked)
    if page.get_by_role("button", name="Acknowledge").count():
        page.get_by_label("Why").fill("no time server here")
        page.get_by_role("button", name="Acknowledge").click()
        expect(page.get_by_text("anna: no time server here")).to_be_visible()
    _accessible(page)
    page.goto(f"https://{CLUSTER}/status/node1/N1")
    expect(page.get_by_role("heading", name="History")).to_be_visible()
    page.goto(f"https://{CLUSTER}/status/node1/NOTHING")
    expect(page.get_by_text("There is no such page.")).to_be_visible()


def test_maintenance(page: Page) -> None:
    """A wrong length is refused; a window is shown on every page until it is ended."""
    page.goto(f"https://{CLUSTER}/status")
    page.get_by_label("For how many minutes").fill("-5")
    page.get_by_role("button", name="Begin maintenance").click()
    expect(page.get_by_text("The length is a number of minutes from 1 to 1440.")).to_be_visible()
    page.get_by_label("For how many minutes").fill("30")
    page.get_by_role("button", name="Begin maintenance").click()
    expect(page.locator("#jobbox")).to_contain_text("Maintenance until")
    page.get_by_role("button", name="End the maintenance").click()
    expect(page.get_by_role("button", name="Begin maintenance")).to_be_visible()


def test_notifications(page: Page) -> None:
    """What cannot be is refused by name; the test mail says at what it fails; the password never comes back."""
    page.goto(f"https://{CLUSTER}/notifications")
    page.get_by_label("Port").fill("eighty")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The port is a number from 1 to 65535.")).to_be_visible()
    page.get_by_label("Port").fill("25")
    page.get_by_label("Mail server").fill("10.77.0.1")
    page.get_by_label("Mails go to").fill("admin@example.org")
    page.get_by_label("Name to log in with").fill("ishmael")
    page.get_by_label("Password").fill("a secret of the lab")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("One is set")).to_be_visible()
    assert "a secret of the lab" not in page.content()
    page.get_by_role("button", name="Send a test mail").click()
    expect(page.get_by_role("alert")).to_contain_text("10.77.0.1:25 cannot be reached", timeout=30000)
    _accessible(page)
    page.get_by_label("Mail server").fill("")
    page.get_by_label("F4 Network failover").check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_label("F4 Network failover")).to_be_checked()
    expect(page.get_by_label("F1 Master node alive")).not_to_be_checked()
    page.get_by_label("F4 Network failover").uncheck()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_label("F4 Network failover")).not_to_be_checked()


@pytest.fixture
def viewer(lab: Lab, browser: Browser) -> Iterator[Page]:
    """Somebody who may only look."""
    lab.sh("node1", f"printf '%s\\n' '{PASSWORD}' | ishmael user add bert --role viewer --password-stdin || true")
    context = browser.new_context(ignore_https_errors=True, locale="en-GB")
    page = context.new_page()
    _sign_in(page, "bert")
    yield page
    context.close()


def test_a_viewer_changes_nothing(viewer: Page) -> None:
    """No button that changes something; sent all the same, it is refused."""
    viewer.goto(f"https://{CLUSTER}/status")
    expect(viewer.get_by_role("button", name="Begin maintenance")).to_have_count(0)
    viewer.goto(f"https://{CLUSTER}/cluster/reset")
    token = viewer.locator("main input[name=csrf]").first.input_value()
    for path, fields in (
        ("/cluster/reset", {"action": "do"}),
        ("/status", {"minutes": "5"}),
        ("/notifications", {"port": "25"}),
    ):
        said = viewer.evaluate(
            "([path, fields]) => fetch(path, {method: 'POST', body: new URLSearchParams(fields)}).then((a) => a.text())",
            [path, {"csrf": token, **fields}],
        )
        assert "may look and not change anything" in said, path


def test_a_manager_that_is_down(lab: Lab, page: Page) -> None:
    """Said on the page; when it is back, the page is whole again."""
    page.goto(f"https://{CLUSTER}/")
    lab.sh("node1", "systemctl stop ishmael-manager")
    try:
        page.goto(f"https://{CLUSTER}/")
        expect(page.locator("main")).to_contain_text("The manager of this node does not answer.")
        _accessible(page)
    finally:
        lab.sh("node1", "systemctl start ishmael-manager")
    page.goto(f"https://{CLUSTER}/")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_who_did_what_is_told(page: Page) -> None:
    """Signing in and changes are in the event list."""
    page.goto(f"https://{CLUSTER}/events")
    for said in ("anna signed in from", "anna asked for apply-service", "anna changed how the admin is told."):
        expect(page.get_by_text(said).first).to_be_visible()


def test_nothing_went_wrong_in_the_browser(visitor: Visitor) -> None:
    """No script failed, nothing was blocked by the policy, and no other host was asked."""
    assert visitor.problems == []
