"""Nothing typed is lost: not with a session that ended, not while the manager is down, not in another language."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import httpx
import pytest
from canned.site import JOB, NTP, PASSWORD, Site

TYPED = "typed <b>'\" ü\nzweite"
FORMS = (
    ("/cluster", {"minutes": "17", "why": "fans <b>"}, ("17", "fans <b>")),
    ("/cluster/add-slave", {"name": "pbx<b>"}, ("pbx<b>",)),
    ("/cluster/setup-master", {"cluster_ip": "1.2.3.4", "references": TYPED}, ("1.2.3.4", "typed <b>'\" ü")),
    ("/network", {"host_name": "pbx<b>", "phone_nic": "eth0"}, ("pbx<b>",)),
    ("/services/ntp", {"enabled": "true", "stratum": "5<b>", "servers": TYPED}, ("checked", "5<b>", "typed <b>'\" ü")),
    ("/status", {"minutes": "17", "why": "fans <b>"}, ("17", "fans <b>")),
    ("/status/pbx1/N1", {"action": "acknowledge", "why": "fans <b>"}, ("fans <b>",)),
    ("/notifications", {"host": "mail<b>", "port": "17", "security": "tls"}, ("mail<b>", "17", 'value="tls" selected')),
    ("/users", {"action": "add", "name": "carl<b>", "role": "admin"}, ("carl<b>", 'value="admin" selected')),
    ("/users", {"action": "add-token", "name": "icinga<b>", "role": "admin"}, ('id="t-name" name="name" autocomplete="off" value="icinga<b>"',)),
    ("/salvage/x1", {"directory": "/root/<b>"}, ("/root/<b>",)),
)  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def _main(answer: httpx.Response) -> str:
    return html.unescape(answer.text.partition("<main")[2].partition("</main>")[0])


def _hidden(answer: httpx.Response, action: str) -> dict[str, str]:
    """The hidden fields of the form that is sent there."""
    form = answer.text.partition(f'action="{action}"')[2].partition("</form>")[0]
    return {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', form)}


@pytest.mark.parametrize(("path", "fields", "shown"), FORMS)
def test_after_signing_in_anew(site: Site, path: str, fields: dict[str, str], shown: tuple[str, ...]) -> None:
    """The session ended in the middle of a form: it comes back filled, without its password, and is where it was."""
    refused = site.ask("POST", path, cookies={}, data={**fields, "password": "never", "csrf": "old"})
    assert refused.status_code == 401
    assert "never" not in refused.text
    answer = site.ask("POST", "/login", cookies={}, data={"name": "anna", "password": PASSWORD} | {
        key: value for key, value in _hidden(refused, "/login").items() if key in ("kept", "next")})  # fmt: skip
    assert answer.status_code == 200
    assert [text for text in shown if text not in _main(answer)] == []
    assert f'data-path="{path}"' in answer.text


@pytest.mark.parametrize(("path", "fields", "shown"), FORMS)
def test_while_the_manager_is_down(site: Site, path: str, fields: dict[str, str], shown: tuple[str, ...]) -> None:
    """What was typed waits in the page that says so, until the manager is back; however often that is tried."""
    site.manager.down = True
    answer = site.send(path, **fields, password="never")
    assert "The manager of this node does not answer." in _main(answer)
    assert "never" not in answer.text
    if answer.status_code == 503:
        answer = site.ask("POST", "/again", data=_hidden(answer, "/again"))
        assert answer.status_code == 503
        site.manager.down = False
        answer = site.ask("POST", "/again", data=_hidden(answer, "/again"))
        assert answer.status_code == 200
    assert [text for text in shown if text not in _main(answer)] == []


@pytest.mark.parametrize(("path", "fields", "shown"), FORMS)
def test_in_another_language(site: Site, path: str, fields: dict[str, str], shown: tuple[str, ...]) -> None:
    """Changing the language takes what was typed along."""
    answer = site.ask("POST", "/language", data={"language": "de", "next": path, "kept": json.dumps(fields)})
    assert answer.status_code == 200
    assert '<html lang="de">' in answer.text
    assert [text for text in shown if text not in _main(answer)] == []


def test_a_long_text_is_kept(site: Site) -> None:
    """As long as any form of ours may be."""
    long = "é, " * 10_000
    refused = site.ask("POST", "/services/ntp", cookies={}, data={"servers": long})
    assert refused.status_code == 401
    fields = _hidden(refused, "/login")
    answer = site.ask("POST", "/login", cookies={}, data={**fields, "name": "anna", "password": PASSWORD})
    assert long.strip() in _main(answer)


def test_signing_in_while_the_manager_is_down(site: Site) -> None:
    """Both at once: signed in, and what was typed still waits."""
    refused = site.ask("POST", "/services/ntp", cookies={}, data={"stratum": "5"})
    site.manager.down = True
    fields = {"name": "anna", "password": PASSWORD} | {
        k: v for k, v in _hidden(refused, "/login").items() if k in ("kept", "next")
    }
    answer = site.ask("POST", "/login", cookies={}, data=fields)
    assert answer.status_code == 503
    assert "set-cookie" in answer.headers
    assert _hidden(answer, "/again")["kept"] == '{"stratum": "5"}'


def test_the_way_to_sign_in_keeps_what_waits(site: Site) -> None:
    """A wrong password, or the other language on the page to sign in at, loses nothing."""
    refused = site.ask("POST", "/services/ntp", cookies={}, data={"stratum": "5"})
    fields = {k: v for k, v in _hidden(refused, "/login").items() if k in ("kept", "next")}
    wrong = site.ask("POST", "/login", cookies={}, data={**fields, "name": "anna", "password": "wrong"})
    assert _hidden(wrong, "/login")["kept"] == fields["kept"]
    kept = json.dumps({**fields, "name": "anna"})
    german = site.ask("POST", "/language", cookies={}, data={"language": "de", "next": "/login", "kept": kept})
    assert _hidden(german, "/login")["kept"] == fields["kept"]
    assert _hidden(german, "/login")["next"] == "/services/ntp"
    assert 'value="anna"' in german.text


def test_a_failed_job_is_tried_again_as_it_was(site: Site) -> None:
    """Its fields are filled in; a join code, which is secret, and another work's arguments are not."""
    assert "/cluster/add-slave?job=7" in site.ask("GET", "/jobs/7").text
    assert 'value="192.168.1.12"' in site.ask("GET", "/cluster/add-slave?job=7").text
    assert 'value="192.168.1.12"' not in site.ask("GET", "/cluster/re-add?job=7").text
    for bad in ("99999999999999999999", "x", "-1", "８"):
        assert site.ask("GET", f"/cluster/add-slave?job={bad}").status_code == 200
    code = {**JOB, "work": "prepare-slave", "arguments": {"key": "ishmael-join-..."}}
    site.manager.answers["/jobs/7"] = code
    assert "ishmael-join" not in _main(site.ask("GET", "/cluster/prepare-slave?job=7"))


def test_a_failed_change_of_a_service_is_tried_again(site: Site) -> None:
    """Settings of the job in place of those that hold."""
    site.manager.answers["/jobs/7"] = {**JOB, "work": "apply-service", "arguments": {
        "service": "ntp", "set": ["enabled=true", "stratum=4", "servers=a,b"], "password_file": "/run/secret"}}  # fmt: skip
    answer = site.ask("GET", "/services/ntp?job=7")
    assert "checked" in _main(answer)
    assert 'value="4"' in _main(answer)
    assert ">a\nb<" in _main(answer)
    assert "secret" not in answer.text
    assert site.manager.answers["/services/ntp"] == NTP


def test_a_failed_change_of_the_network_is_tried_again(site: Site) -> None:
    """The same."""
    arguments = {"host_name": "pbx9", "phone_nic": "eth0", "dns": ["1.1.1.1", "2.2.2.2"]}
    site.manager.answers["/jobs/7"] = {**JOB, "work": "apply-network", "arguments": arguments}
    answer = site.ask("GET", "/network?job=7")
    assert 'value="pbx9"' in answer.text
    assert "1.1.1.1\n2.2.2.2" in answer.text


def test_what_is_no_character_is_no_bug(site: Site) -> None:
    """Half a pair of UTF-16 in what was kept."""
    kept = '{"why": "fans \\ud800"}'
    for answer in (
        site.send("/again", next="/status", kept=kept),
        site.ask("POST", "/login", cookies={}, data={"name": "anna", "password": "wrong", "next": "/", "kept": kept}),
        site.ask("POST", "/language", data={"language": "de", "next": "/status", "kept": kept}),
    ):
        assert answer.status_code in (200, 401)
        assert "fans ?" in answer.text


def test_signing_in_leads_to_what_was_asked_for(site: Site) -> None:
    """With its query: a job that is tried again is so after signing in."""
    answer = site.ask("GET", "/cluster/add-slave?job=7", cookies={})
    assert answer.headers["location"] == "/login?next=/cluster/add-slave%3Fjob%3D7"
    page = site.ask("GET", answer.headers["location"], cookies={})
    assert _hidden(page, "/login")["next"] == "/cluster/add-slave?job=7"
    sent = {"name": "anna", "password": PASSWORD, "next": "/cluster/add-slave?job=7"}
    assert site.ask("POST", "/login", cookies={}, data=sent).headers["location"] == "/cluster/add-slave?job=7"
