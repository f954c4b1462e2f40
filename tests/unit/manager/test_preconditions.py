"""What should work before a cluster is formed is looked at by each service's own checks; what does not is told, and may wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from ishmael.manager.appliance import kept
from ishmael.words.language import said
from manager.helpers import SET_UP, done, run
from manager.test_services import DHCP, _world
from manager.world import Machine

SMARTHOST = ["enabled=true", "smarthost=mail.example.org"]
FAX = ["enabled=true", "number=+49 30 1234567", "country_code=49", "area_code=30"]
OWN = "10.77.0.11"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A node whose four services are set up and answer."""
    machine = _world().machines[0]
    for name, pairs in (("dns", DHCP), ("ntp", ["enabled=true"]), ("mail", SMARTHOST), ("fax", FAX)):
        done(machine, "apply-service", {"service": name, "set": pairs}, tmp_path)
    machine.surroundings.names = {"pbx.phones.internal": OWN}
    return machine


def _found(machine: Machine, where: Path) -> list[tuple[str, str]]:
    """Code and message of each finding; every one has a hint, may be overridden, and is said in German, too."""
    from ishmael.manager.jobs.journal import Journal
    from ishmael.manager.jobs.queue import Queue
    from ishmael.manager.works.catalogue import catalogue

    journal = Journal(str(where / "plan.sqlite"))
    plan = Queue(journal, catalogue(machine.hands)).plan("setup-master", SET_UP, ())
    journal.close()
    for finding in plan["findings"]:
        assert finding["overridable"], finding
        german = said("de", finding["message"])
        assert "funktioniert auf dieser Maschine nicht: " in german
        why = finding["message"].partition(": ")[2]
        assert why not in german, german
        assert said("de", finding["hint"]) != finding["hint"]
    return [(finding["code"], finding["message"]) for finding in plan["findings"]]


def test_services_that_work_stand_not_against_it(machine: Machine, tmp_path: Path) -> None:
    """Also on a machine that asks no name server for itself: its own one answers."""
    machine.surroundings.broken = {"dns"}
    assert _found(machine, tmp_path) == []
    assert run(machine, "setup-master", SET_UP, tmp_path).state == "done"


@pytest.mark.parametrize(
    ("unit", "code"),
    [
        ("dnsmasq.service", "dns-silent"),
        ("chrony.service", "clock-not-in-step"),
        ("postfix@-.service", "mail-not-accepted"),
        ("hfaxd.service", "fax-not-set-up"),
    ],
)
def test_a_service_that_does_not_run_is_named(machine: Machine, unit: str, code: str, tmp_path: Path) -> None:
    """By its unit."""
    machine.services.stop(unit)
    ((found, message),) = _found(machine, tmp_path)
    assert (found, f"{unit} does not run" in message) == (code, True)


def test_what_each_service_answers_is_looked_at(machine: Machine, tmp_path: Path) -> None:
    """A name that is not told, a time that is not told, a smarthost that refuses, a fax server that is silent: each by name."""
    machine.surroundings.names, machine.surroundings.time = {"pbx.phones.internal": "192.0.2.1"}, False
    machine.programs.trouble = ("login", "535 no")
    machine.surroundings.broken = {"fax"}
    found = dict(
        _found_with_said(machine, "no fax server answers at 127.0.0.1 port 4559 (Connection refused)", tmp_path)
    )
    assert set(found) == {"dns-silent", "clock-not-in-step", "mail-not-accepted", "fax-not-set-up"}
    assert f"{OWN} does not tell the address of pbx.phones.internal" in found["dns-silent"]
    assert f"{OWN} does not tell the time" in found["clock-not-in-step"]
    assert "mail.example.org refuses the login: 535 no" in found["mail-not-accepted"]


@pytest.mark.parametrize("trouble", ["unknown", "unreachable", "login", "tls"])
def test_a_smarthost_that_fails_is_told_in_both_languages(machine: Machine, trouble: str, tmp_path: Path) -> None:
    """Whatever it fails at."""
    machine.programs.trouble = (trouble, "as it says itself")
    ((code, message),) = _found(machine, tmp_path)
    assert (code, "as it says itself" in message) == ("mail-not-accepted", True)


def _found_with_said(machine: Machine, words: str, where: Path) -> list[tuple[str, str]]:
    machine.surroundings.said = words
    return _found(machine, where)


def test_a_checker_that_refuses_what_lies_there_is_heard(machine: Machine, tmp_path: Path) -> None:
    """An update of a package may have made a setting wrong."""
    machine.programs.says = "bad option at line 3"
    found = dict(_found(machine, tmp_path))
    assert "bad option at line 3" in found["dns-silent"] and len(found) == 4
    machine.files.write(kept.settings_path(kept.SERVICES["fax"]), b"no toml", 0o644)
    assert "is not TOML" in dict(_found(machine, tmp_path))["fax-not-set-up"]


@pytest.mark.parametrize(
    "words",
    [
        "/etc/resolv.conf names no name server",
        "none of 192.0.2.1, 192.0.2.2 answers",
        "chrony is not in step with any server",
        "no NTP service keeps it in step",
        "no mail server answers at 127.0.0.1 port 25 (Connection refused)",
        "the mail server says '554 no'",
        "the fax server was never set up",
        "what answers is no fax server",
    ],
)
def test_what_the_machine_has_of_its_own_counts_where_nothing_is_set_up(words: str, tmp_path: Path) -> None:
    """As it was seen, in both languages."""
    machine = _world().machines[0]
    machine.surroundings.broken = {"mail"}
    ((code, message),) = _found_with_said(machine, words, tmp_path)
    assert (code, words in message) == ("mail-not-accepted", True)
