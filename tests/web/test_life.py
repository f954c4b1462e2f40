"""The life of a cluster by clicks, on two real nodes over HTTPS. One story: each test goes on where the last one ended."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error, Page, expect

from ishmael.lab.plan import CLIENT_IP, LabPlan
from ishmael.lab.post import USER, Post
from ishmael.lab.tools import wait_until
from tests.web.conftest import PASSWORD, Lab, Visitor

NODE1, NODE2, CLUSTER = "10.77.0.11", "10.77.0.12", "10.77.0.10"
HOSTS = (NODE1, NODE2, CLUSTER)
SCREENS = Path(__file__).parents[2] / "build" / "screens"
JOB_MS = 90000


def _shot(page: Page, name: str) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENS / f"{name}.png", full_page=True)


def _accessible(page: Page) -> None:
    """No serious or critical finding of axe-core (WCAG 2)."""
    found = Axe().run(page).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")] == []


def _first_admin(lab: Lab, page: Page, node: str, address: str) -> None:
    page.goto(f"https://{address}/")
    expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
    _accessible(page)
    page.get_by_label("One-time code").fill("0000-0000-0000")
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Make the first admin").click()
    expect(page.get_by_text("This is not the code.")).to_be_visible()
    code = lab.sh(node, "ishmael user code").removeprefix("Code: ")
    page.get_by_label("One-time code").fill(code)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Make the first admin").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def _sign_in(page: Page) -> None:
    page.goto(f"https://{CLUSTER}/")
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def _do(page: Page, button: str, works: tuple[str, ...] = ()) -> None:
    """Check, agree, follow the job to its end; what is told to be missing is none of the services that work."""
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_role("heading", name="This will be done")).to_be_visible(timeout=JOB_MS)
    for name in works:
        expect(page.locator("main")).not_to_contain_text(f"{name} does not work on this machine")
    for box in page.locator("input[type=checkbox]").all():
        box.check()
    page.get_by_role("button", name=button).click()
    expect(page.get_by_role("heading", name="Done", exact=True)).to_be_visible(timeout=JOB_MS)


@pytest.fixture(scope="module")
def page(visitor: Visitor) -> Page:
    """One tab for the whole story."""
    return visitor.page(HOSTS)


def test_the_first_admin(lab: Lab, page: Page) -> None:
    """The first admin needs the console's code, and finds what to do."""
    _first_admin(lab, page, "node1", NODE1)
    expect(page.get_by_role("link", name="Set up master")).to_be_visible()
    _accessible(page)
    _shot(page, "overview-alone")


def test_all_findings_at_once(lab: Lab, page: Page) -> None:
    """Empty fields are all named, beside the fields; nothing is changed, and what was typed stays."""
    page.get_by_role("link", name="Set up master").click()
    page.get_by_label("Cluster IP").fill("<script>alert(1)</script>")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.locator(".field.wrong").nth(1)).to_be_visible()
    expect(page.get_by_label("Cluster IP")).to_have_value("<script>alert(1)</script>")
    _accessible(page)
    _shot(page, "set-up-master-findings")
    assert lab.status("node1")["state"] == "alone"


def _network(lab: Lab, page: Page, address: str, node: str) -> None:
    """Both interfaces as they are proposed, and a name server: applied, and kept."""
    page.goto(f"https://{address}/network")
    expect(page.get_by_label("Telephone NIC")).to_have_value("phone0")
    expect(page.get_by_label("Internal NIC")).to_have_value("cable0")
    page.get_by_label("Name servers").fill("10.77.0.1")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.locator(".diff")).to_contain_text("DNS=10.77.0.1")
    _accessible(page)
    page.get_by_role("button", name="Apply now").click()
    keep = page.get_by_role("button", name="Keep them")

    def shown() -> bool | None:
        """Nobody answers while the interface gets its addresses."""
        try:
            page.goto(f"https://{address}/network")
        except Error:
            return None
        return keep.count() > 0

    assert wait_until(lambda: shown() is True, 40, 0.2)
    _accessible(page)
    keep.click()
    assert wait_until(lambda: shown() is False, 40, 0.2)
    assert lab.sh(node, "grep -c ^DNS=10.77.0.1$ /etc/systemd/network/05-ishmael-phone0.network") == "1"


def test_the_network(lab: Lab, page: Page) -> None:
    """By clicks, before anything else; the settings hold, and are still there when they were kept."""
    _network(lab, page, NODE1, "node1")


def _service(page: Page, name: str, button: str, ticks: dict[str, bool], texts: dict[str, str]) -> None:
    page.goto(f"https://{NODE1}/services/{name}")
    for label, wanted in ticks.items():
        page.get_by_label(label).set_checked(wanted)
    for label, text in texts.items():
        page.get_by_label(label, exact=True).fill(text)
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.locator(".diff")).to_be_visible()
    page.get_by_role("button", name=button).click()


def test_the_services(lab: Lab, page: Page) -> None:
    """One applied at once, the others collected and applied together: all of them run."""
    on = {"The service runs": True}
    dhcp = {"First address for telephones": "10.77.0.100", "Last address for telephones": "10.77.0.199"}
    _service(page, "dns", "Apply now", {**on, "Telephones get their addresses from here": True}, dhcp)
    expect(page.get_by_role("heading", name="Done", exact=True)).to_be_visible(timeout=JOB_MS)
    fax = {"Own number, with country code, such as +49 30 1234567": "+49 30 1234567", "Country code, such as 49": "49",
           "Area code, without a leading zero": "30"}  # fmt: skip
    post = Post(LabPlan(lab.name))
    mail = {"Mail server that takes all our mail": CLIENT_IP, "Name to log in with; empty: no login": USER,
            "Password": post.password_file.read_text()}  # fmt: skip
    for name, ticks, texts in (
        ("ntp", on, {}),
        ("fax", on, fax),
        ("mail", {**on, "Its certificate has to be good": False}, mail),
    ):
        _service(page, name, "Save, apply later", ticks, texts)
        expect(page.get_by_role("heading", name="Waiting to be applied")).to_be_visible()
    assert post.password_file.read_text() not in page.content()
    _accessible(page)
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name="Waiting to be applied")).to_have_count(0)
    page.goto(f"https://{NODE1}/services")

    def all_run() -> bool:
        text = page.reload().text()  # type: ignore[union-attr]
        return "E-mail" in text and "does not run" not in text

    assert wait_until(all_run, 60, 0.3)
    _accessible(page)
    _shot(page, "services-alone")


def test_set_up_master(lab: Lab, page: Page) -> None:
    """The node becomes master; the services that were set up stand not against it; the key to copy is shown."""
    page.goto(f"https://{NODE1}/cluster/setup-master")
    page.get_by_label("Cluster IP").fill(CLUSTER)
    page.get_by_label("Telephone NIC").select_option("phone0")
    page.get_by_label("Internal NIC").select_option("cable0")
    page.get_by_label("References").fill("10.77.0.1, 10.77.0.2")
    _shot(page, "set-up-master")
    _do(page, "Set up the master", ("DNS and DHCP", "E-mail", "Fax"))
    _accessible(page)
    _shot(page, "set-up-master-done")
    assert lab.status("node1")["holds_cluster_ip"]


def test_prepare_and_add_the_slave(lab: Lab, visitor: Visitor, page: Page) -> None:
    """The join code is pasted on the other node; nothing is typed at the master; the cluster is complete."""
    _sign_in(page)
    page.get_by_role("link", name="Cluster management").first.click()
    expect(page.locator("#key")).to_contain_text("ssh-ed25519")
    _accessible(page)
    _shot(page, "cluster-master-ready")
    page.get_by_role("button", name="Show the join code").click()
    code = page.locator("#code").inner_text()
    _accessible(page)
    other = visitor.page(HOSTS)
    _first_admin(lab, other, "node2", NODE2)
    _network(lab, other, NODE2, "node2")
    other.goto(f"https://{NODE2}/")
    other.get_by_role("link", name="Prepare slave").click()
    other.get_by_label("Join code or SSH public key").fill("ssh-rsa AAAA")
    other.get_by_role("button", name="Check", exact=True).click()
    expect(other.locator(".field.wrong")).to_be_visible()
    other.get_by_label("Join code or SSH public key").fill(code)
    _do(other, "Prepare this node")
    other.close()
    page.goto(f"https://{CLUSTER}/cluster/add-slave")
    _do(page, "Add the slave")
    page.goto(f"https://{CLUSTER}/")
    expect(page.locator(".node.slave")).to_be_visible()
    _accessible(page)
    _shot(page, "overview-complete")


def test_every_page(page: Page) -> None:
    """Accessible, in both languages; small and complete."""
    pages = ("/", "/cluster", "/services", "/services/dns", "/services/mail", "/status", "/status/node1/N1", "/events",
             "/jobs", "/jobs/1", "/notifications", "/users", "/salvage", "/drift", "/network", "/cluster/failover", "/cluster/reset")  # fmt: skip
    for path in pages:
        page.goto(f"https://{CLUSTER}{path}")
        expect(page.locator("h1")).to_be_visible()
        _accessible(page)
    page.goto(f"https://{CLUSTER}/")
    page.get_by_role("button", name="Deutsch").click()
    expect(page.get_by_role("heading", name="Übersicht")).to_be_visible()
    _shot(page, "overview-de")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    _accessible(page)
    _shot(page, "overview-de-dark-phone")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_the_slave_has_the_services_too(lab: Lab) -> None:
    """The same files, at the cluster IP; the names and leases are served by the master alone."""
    conf = "/etc/dnsmasq.d/ishmael.conf"
    assert wait_until(lambda: lab.sh("node2", f"cat {conf} || true") == lab.sh("node1", f"cat {conf}"), 20, 0.5)
    assert f"pbx.phones.internal,pbx,{CLUSTER}" in lab.sh("node1", f"cat {conf}")
    assert lab.sh("node2", "systemctl is-active dnsmasq || true") == "inactive"


def test_a_change_by_hand(lab: Lab, page: Page) -> None:
    """Named on the page with its lines; a service's is taken over and dropped again, a locked file is put back."""
    lab.sh("node1", "echo log-queries >>/etc/dnsmasq.d/ishmael.conf; echo >>/etc/hostname")
    page.goto(f"https://{CLUSTER}/services")
    page.get_by_role("link", name="Changed by hand").click()
    expect(page.locator("#by-hand .diff")).to_contain_text("+log-queries")
    _accessible(page)
    page.get_by_role("button", name="Take over").click()
    expect(page.get_by_role("heading", name="Done", exact=True)).to_be_visible(timeout=JOB_MS)
    page.goto(f"https://{CLUSTER}/services/dns")
    expect(page.locator("#own-lines .diff")).to_contain_text("+log-queries")
    page.get_by_role("button", name="Drop these lines").click()
    expect(page.get_by_role("heading", name="Done", exact=True)).to_be_visible(timeout=JOB_MS)
    assert "log-queries" not in lab.sh("node1", "cat /etc/dnsmasq.d/ishmael.conf")
    page.goto(f"https://{CLUSTER}/")
    expect(page.locator("#drift")).to_contain_text("/etc/hostname", timeout=40000)
    page.get_by_role("link", name="Take over or put back").click()
    expect(page.locator(".diff")).to_be_visible()
    _accessible(page)
    _shot(page, "drift")
    page.get_by_role("button", name="Put back").click()
    expect(page.get_by_text("Nothing was changed outside Ishmael.")).to_be_visible()
    assert lab.sh("node1", "cat /etc/hostname") == "node1"


def test_a_cut_cable_is_drawn(lab: Lab, page: Page) -> None:
    """The nodes still see each other over the other network: the drawing says which is gone, the lamp warns, and both recover."""
    page.goto(f"https://{CLUSTER}/")
    expect(page.locator(".links .up")).to_have_count(2)
    lab.json("fault", "internal-cut")
    try:
        expect(page.locator(".links .down")).to_have_count(1, timeout=40000)
        expect(page.locator(".links .down")).to_contain_text("internal network")
        expect(page.get_by_text("The internal network between the nodes is cut")).to_be_visible()
        _accessible(page)
    finally:
        lab.json("heal")
    expect(page.locator(".links .up")).to_have_count(2, timeout=40000)
    expect(page.get_by_text("The internal network between the nodes is cut")).to_have_count(0, timeout=40000)
    expect(page.get_by_text("cluster complete")).to_be_visible(timeout=30000)


def test_no_change_from_elsewhere(lab: Lab, page: Page) -> None:
    """Without the form's token, from another site, or signed in as nobody, nothing is changed; nothing is told to strangers."""
    page.goto(f"https://{CLUSTER}/cluster/reset")
    token = page.locator("main input[name=csrf]").input_value()
    send = """([path, fields, json]) => fetch(path, {method: "POST", redirect: "manual",
        headers: json ? {"Content-Type": "application/json"} : {},
        body: json ? JSON.stringify(fields) : new URLSearchParams(fields)}).then((answer) => answer.status)"""
    wish = {"action": "do"}
    assert page.evaluate(send, ["/cluster/reset", wish, False]) == 403
    assert page.evaluate(send, ["/cluster/reset", {**wish, "csrf": token[:-1] + "x"}, False]) == 403
    assert page.evaluate(send, ["/api/v1/jobs", {"work": "reset", "arguments": {}}, True]) == 403
    mine = "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in page.context.cookies())
    foreign = ("--cookie", mine, "--header", "Origin: https://elsewhere.example", "--data", f"action=do&csrf={token}")
    status = ("--write-out", "%{http_code} ")
    assert lab.client(*status, *foreign, f"https://{CLUSTER}/cluster/reset") == "403"
    strangers = lab.client(*status, f"https://{CLUSTER}/api/v1/status", f"https://{CLUSTER}/jobs")
    assert strangers.split() == ["401", "303"]
    assert wait_until(lambda: lab.status("node1")["state"] == "complete", 60, 0.5)


def test_the_wire(lab: Lab) -> None:
    """TLS 1.2 at least; the headers that OWASP ASVS asks for; an unprivileged process in a closed sandbox."""
    head = lab.client("--head", f"https://{CLUSTER}/login").lower()
    for name in ("content-security-policy: default-src 'none'", "strict-transport-security: max-age=31536000",
                 "x-content-type-options: nosniff", "x-frame-options: deny", "referrer-policy: same-origin",
                 "cache-control: no-store"):  # fmt: skip
        assert name in head
    assert "server:" not in head
    assert lab.client("--tls-max", "1.2", f"https://{CLUSTER}/healthz") == '{"ok":true}'
    with pytest.raises(AssertionError):
        lab.client("--tls-max", "1.1", "--ciphers", "DEFAULT:@SECLEVEL=0", f"https://{CLUSTER}/healthz")
    lab.sh("node1", "systemd-analyze security --no-pager --threshold=20 ishmael-web.service >/dev/null")
    assert lab.sh("node1", "ps -o user= -p $(systemctl show -p MainPID --value ishmael-web)").startswith("ishmael")


def test_switch_over_with_the_page_open(lab: Lab, page: Page) -> None:
    """The admin switches over; the page is soon served by the new master, and nobody signs in again."""
    time_limit = time.monotonic() + 30
    while not lab.status("node1")["failover_possible"] and time.monotonic() < time_limit:
        page.wait_for_timeout(200)
    page.goto(f"https://{CLUSTER}/cluster/failover")
    page.get_by_role("button", name="Check", exact=True).click()
    _shot(page, "switch-over")
    page.get_by_role("button", name="Switch over now").click()
    expect(page.get_by_text("served by node2")).to_be_visible(timeout=40000)
    expect(page.get_by_text("this node: node2")).to_be_visible()


def test_re_add(lab: Lab, page: Page) -> None:
    """The remembered data is proposed; the former master comes back as slave."""
    page.goto(f"https://{CLUSTER}/cluster/re-add")
    expect(page.get_by_label("Host name of the slave")).to_have_value("node1")
    _do(page, "Re-add the slave")
    # Fit at once, and once more when its files have been compared.
    assert wait_until(lambda: lab.status("node2")["state"] == "complete", 60, 0.5)


def test_a_power_cut_with_the_page_open(lab: Lab, page: Page) -> None:
    """The page notices, says so, and shows the new master by itself, with the login kept."""
    page.goto(f"https://{CLUSTER}/")
    expect(page.get_by_text("served by node2")).to_be_visible()
    page.wait_for_timeout(1500)
    page.evaluate(
        """() => { window.seen = []; new MutationObserver(() => {
            const text = document.querySelector(".address")?.textContent ?? "";
            window.seen.push([Date.now(), text.includes("node1") ? "node1" : text.includes("node2") ? "node2" : "nobody"]);
        }).observe(document.body, {subtree: true, childList: true}); }"""
    )
    cut_ms = time.time() * 1000
    lab.json("fault", "power-cut", "node2")
    expect(page.get_by_text("served by node1")).to_be_visible(timeout=40000)
    shown = next(at for at, who in page.evaluate("window.seen") if who == "node1")
    print(f"the new master was shown {shown - cut_ms:.0f} ms after the power cut was asked for")
    expect(page.locator("main h1")).to_have_text("Overview")
    _shot(page, "overview-after-power-cut")
    lab.json("heal")


def test_a_service_is_switched_off(lab: Lab, page: Page) -> None:
    """By clicks, on the node that serves alone now; nobody answers any more."""
    page.goto(f"https://{CLUSTER}/services/dns")
    page.get_by_label("The service runs").uncheck()
    page.get_by_role("button", name="Check", exact=True).click()
    page.get_by_role("button", name="Apply now").click()
    expect(page.get_by_role("heading", name="Done", exact=True)).to_be_visible(timeout=JOB_MS)
    assert lab.sh("node1", "systemctl is-active dnsmasq || true") == "inactive"


def test_nothing_went_wrong_in_the_browser(visitor: Visitor) -> None:
    """No script failed, nothing was blocked by the policy, and no other host was asked."""
    assert visitor.problems == []
