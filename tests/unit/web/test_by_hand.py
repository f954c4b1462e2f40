"""Changes from outside on the pages: shown by name with their lines, taken over or put back, and only what was shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from canned.site import ANSWERS, NTP, Site

CONF = "/etc/chrony/conf.d/ishmael.conf"
BY_HAND = {"path": CONF, "difference": "-local stratum 10\n+local stratum 3\n", "take_over": True, "against": ""}
CHANGES: list[dict[str, Any]] = [
    {"path": "/etc/hostname", "what": "changed", "take_over": True, "put_back": True},
    {"path": "/etc/ishmael/settings.toml", "what": "removed", "take_over": False, "put_back": True},
    {"path": "/etc/systemd/network/9.network", "what": "new", "take_over": True, "put_back": False},
]


def _services(site: Site, **more: Any) -> None:
    site.manager.answers["/services/ntp"] = {**NTP, "changed_by_hand": [CONF], "by_hand": [BY_HAND], **more}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def _press(site: Site, page: httpx.Response, to: str, action: str, **more: str) -> httpx.Response:
    """A button of a page as it was shown."""
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    return site.send(to, action=action, checked=hidden["checked"], once=hidden.get("once", ""), **more)


@pytest.mark.parametrize(
    ("action", "more"), [("take-over", {"own_lines": "take-over"}), ("put-back", {}), ("drop", {"own_lines": "drop"})]
)
def test_each_button_makes_its_job(site: Site, action: str, more: dict[str, str]) -> None:
    """One job, once; the difference is on the page before."""
    _services(site, own_lines=[{"path": CONF, "difference": "+mine\n"}])
    page = site.ask("GET", "/services/ntp")
    assert "+local stratum 3" in page.text and "+mine" in page.text
    answer = _press(site, page, "/services/ntp/by-hand", action)
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs/7")
    arguments = {"service": "ntp", "set": [], **more}
    wish = {"work": "apply-service", "arguments": arguments, "override": ["changed-by-hand"]}
    assert site.manager.asked == [("POST", "/jobs", wish)]
    assert len(site.manager.keys) == 1


def test_what_was_not_shown_is_not_taken_over(site: Site) -> None:
    """The file was changed once more, or another node serves here now: it is shown anew, and nothing is done."""
    _services(site)
    page = site.ask("GET", "/services/ntp")
    _services(site, by_hand=[{**BY_HAND, "difference": "+something else\n"}])
    answer = _press(site, page, "/services/ntp/by-hand", "take-over")
    assert (answer.status_code, "this is not what was checked" in answer.text) == (422, True)
    assert "+something else" in answer.text
    assert site.send("/services/ntp/by-hand", action="burn").status_code == 422
    assert site.manager.asked == []


def test_what_cannot_be_taken_over_has_no_such_button(site: Site) -> None:
    """And says why, in the reader's language."""
    _services(site, by_hand=[{**BY_HAND, "take_over": False, "against": "it holds a password"}])
    page = site.ask("GET", "/services/ntp", headers={"Accept-Language": "de"}).text
    assert 'value="put-back"' in page and 'value="take-over"' not in page
    assert "Sie lässt sich nur zurücksetzen: sie enthält ein Passwort." in page


def test_locked_files_are_listed_with_what_can_be_done(site: Site) -> None:
    """Each by its name, with its own buttons; files of services lead to their pages."""
    site.manager.answers["/drift"] = {"changes": CHANGES, "services": [{"path": CONF, "service": "ntp"}]}
    page = site.ask("GET", "/drift").text
    parts = page.partition("<main")[2].partition("</main>")[0].split("<section")[1:]
    buttons = [re.findall(r'name="action" value="([\w-]+)"', part) for part in parts]
    assert buttons == [["take-over", "put-back"], ["put-back"], ["take-over"], []]
    assert all(change["path"] in part for change, part in zip(CHANGES, parts, strict=False))
    assert 'href="/services/ntp#by-hand"' in parts[3]
    site.manager.answers["/status"] = {**ANSWERS["/status"], "drift": ["/etc/hostname"]}
    overview = site.ask("GET", "/").text
    assert 'href="/drift"' in overview and "/etc/hostname" in overview


@pytest.mark.parametrize("action", ["take-over", "put-back"])
def test_a_locked_file_is_taken_over_or_put_back(site: Site, action: str) -> None:
    """As it was shown; one that was changed again is shown again."""
    site.manager.answers["/drift"] = {"changes": CHANGES[:1], "services": []}
    page = site.ask("GET", "/drift")
    assert "+new" in page.text
    answer = _press(site, page, "/drift", action, path="/etc/hostname")
    assert (answer.status_code, answer.headers["location"]) == (303, "/drift")
    assert site.manager.asked == [("POST", f"/drift/{action}", {"path": "/etc/hostname"})]
    site.manager.answers["/drift/difference"] = {"difference": "+newer\n"}
    again = _press(site, page, "/drift", action, path="/etc/hostname")
    assert (again.status_code, "+newer" in again.text) == (409, True)
    assert _press(site, page, "/drift", action, path="/etc/shadow").status_code == 409
    assert _press(site, page, "/drift", "burn", path="/etc/hostname").status_code == 422
    assert len(site.manager.asked) == 1


def test_a_difference_that_is_not_known_is_said(site: Site) -> None:
    """A file that was too long to be kept still has its buttons."""
    site.manager.answers["/drift"] = {"changes": CHANGES[:1], "services": []}
    del site.manager.answers["/drift/difference"]
    page = site.ask("GET", "/drift")
    assert "There is none." in page.text
    assert _press(site, page, "/drift", "take-over", path="/etc/hostname").status_code == 303
