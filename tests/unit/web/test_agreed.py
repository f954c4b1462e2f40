"""What is done is what was shown: not after a field was changed, and not at another node than the one it was shown of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from canned.site import ANSWERS, JOB, Site

PLAN = "This will be done"
FORMS: tuple[tuple[str, dict[str, str], str], ...] = (
    ("/cluster/reset", {}, ""),
    ("/cluster/setup-master", {"cluster_ip": "192.168.1.10"}, "cluster_ip"),
    ("/network", {"host_name": "pbx1"}, "host_name"),
    ("/services/ntp", {"stratum": "7"}, "stratum"),
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def _mark(site: Site, path: str, fields: dict[str, str]) -> str:
    page = site.send(path, action="look", **fields).text
    (mark,) = re.findall(r'name="checked" value="(\w+)"', page)
    return str(mark)


def _jobs(site: Site) -> list[object]:
    """What was asked to be done."""
    return [body for _, path, body in site.manager.asked if path == "/jobs" and not (body or {}).get("dry_run")]


def _move(site: Site) -> None:
    """Another node serves at the address."""
    site.manager.answers["/status"] = {**ANSWERS["/status"], "node": "pbx2"}


@pytest.mark.parametrize(("path", "fields", "_name"), FORMS)
def test_what_was_shown_is_done(site: Site, path: str, fields: dict[str, str], _name: str) -> None:
    """Agreed to at the same node, with the same values."""
    mark = _mark(site, path, fields)
    assert site.send(path, action="do", checked=mark, **fields).status_code == 303
    assert len(_jobs(site)) == 1


@pytest.mark.parametrize(("path", "fields", "name"), FORMS)
def test_what_was_not_shown_is_not_done(site: Site, path: str, fields: dict[str, str], name: str) -> None:
    """Never looked at, a field changed since, or a failover since: it is shown, and agreed to anew."""
    mark = _mark(site, path, fields)
    tries = [dict(fields), *([{**fields, name: "other", "checked": mark}] if name else [])]
    for given in tries:
        answer = site.send(path, action="do", **given)
        assert (answer.status_code, "this is not what was checked" in answer.text) == (200, True)
    _move(site)
    answer = site.send(path, action="do", checked=mark, **fields)
    assert "another node serves at this address now" in answer.text
    assert _jobs(site) == []
    (fresh,) = re.findall(r'name="checked" value="(\w+)"', answer.text)
    assert site.send(path, action="do", checked=str(fresh), **fields).status_code == 303


def test_enter_in_a_field_only_looks(site: Site) -> None:
    """The first button of a form is the one that a browser presses then."""
    for path, fields, _ in FORMS:
        form = site.send(path, action="look", **fields).text.partition("<main")[2]
        assert re.findall(r'<button name="action" value="(\w+)"', form)[:2] == ["look", "do"]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/jobs", {"node": "pbx1", "action": "drop", "job-7": "1"}),
        ("/jobs/7", {"node": "pbx1", "action": "apply"}),
    ],
)
def test_a_form_of_one_node_does_nothing_at_the_other(site: Site, path: str, fields: dict[str, str]) -> None:
    """A failover while it was open: it is said, and nothing is done."""
    site.manager.answers["/jobs/7"] = {**JOB, "state": "queued"}
    if "node" in fields and path != "/jobs":
        assert 'name="node" value="pbx1"' in site.ask("GET", path).text
    _move(site)
    answer = site.send(path, **fields)
    assert answer.status_code == 422
    assert "another node serves at this address now" in answer.text
    assert site.manager.asked == []


def test_a_check_of_the_other_node_is_asked_there(site: Site) -> None:
    """Whichever node serves the page: the one that the page names looks, and takes the acknowledgement."""
    _move(site)
    page = site.ask("GET", "/status/pbx1/N1").text
    assert "Check now" in page and "No change yet." in page
    assert site.send("/status/pbx1/N1", action="run").status_code == 303
    assert site.send("/status/pbx1/N1", action="acknowledge", why="fans").status_code == 303
    path = "/checks/N1"
    assert site.manager.asked == [
        ("POST", f"{path}/run?node=pbx1", {}),
        ("POST", f"{path}/acknowledge?node=pbx1", {"why": "fans"}),
    ]
    del site.manager.answers["/checks/N1/history"]
    page = site.ask("GET", "/status/pbx1/N1").text
    assert "pbx1 could not be asked." in page and "Check now" in page


def test_a_test_mail_goes_by_what_is_saved(site: Site) -> None:
    """What was typed and not saved is not thrown away by it, nor is a mail sent that proves nothing."""
    same = {"host": "", "port": "587", "security": "starttls", "language": "en"}
    answer = site.send("/notifications", action="test", **{**same, "host": "mail.example.org"})
    assert "what you typed is not saved" in answer.text
    assert 'value="mail.example.org"' in answer.text
    assert "what you typed is not saved" in site.send("/notifications", action="test", **same, password="x").text
    assert site.manager.asked == []
    site.send("/notifications", action="test", **same)
    assert [path for _, path, _ in site.manager.asked] == ["/mail/test"]


def test_nobody_is_removed_by_one_click(site: Site) -> None:
    """It is opened first, and says whom."""
    page = site.ask("GET", "/users").text
    assert re.search(
        r'<details[^>]*><summary[^>]*>Remove</summary><button[^>]*value="remove"[^>]*>Really remove anna<', page
    )


def test_a_role_is_changed_in_two_clicks(site: Site) -> None:
    """It is opened first, and says whose and to what."""
    page = site.ask("GET", "/users").text
    assert re.search(
        r'<details[^>]*><summary[^>]*>Make viewer</summary><button[^>]*value="role-viewer"[^>]*>Really', page
    )
    assert site.send("/users", action="role-viewer", name="anna").status_code == 303
    assert site.manager.asked == [("POST", "/users/anna/role", {"role": "viewer"})]


@pytest.mark.parametrize(("path", "fields", "_name"), FORMS)
def test_a_button_that_is_pressed_twice_makes_one_job(
    site: Site, path: str, fields: dict[str, str], _name: str
) -> None:
    """Both are sent with the key of the page that was shown; the next page has another one."""
    page = site.send(path, action="look", **fields).text
    (mark,) = re.findall(r'name="checked" value="(\w+)"', page)
    (key,) = re.findall(r'name="once" value="([0-9a-f]{32})"', page)
    for _ in range(2):
        assert site.send(path, action="do", checked=mark, once=key, **fields).status_code == 303
    assert site.manager.keys == [key, key]
    assert f'value="{key}"' not in site.send(path, action="look", **fields).text


def test_a_key_that_is_none_of_ours_is_not_passed_on(site: Site) -> None:
    """It stands in a header."""
    mark = _mark(site, "/cluster/reset", {})
    assert site.send("/cluster/reset", action="do", checked=mark, once="x\r\nX-User: root").status_code == 303
    assert site.manager.keys == []


def test_a_programs_key_is_passed_on(site: Site) -> None:
    """The manager knows it, so it must get there through the web process as well."""
    headers = {"X-CSRF-Token": site.csrf, "Idempotency-Key": "abc"}
    assert site.ask("POST", "/api/v1/jobs", headers=headers, json={"work": "reset"}).status_code == 202
    assert site.manager.keys == ["abc"]
