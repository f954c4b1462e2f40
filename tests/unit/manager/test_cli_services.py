"""Services by command line: collected, looked at, applied or dropped; taken over or put back."""

from __future__ import annotations

import json

import pytest

from ishmael.manager.appliance import kept
from manager.test_cli import Served, ishmael, served
from manager.world import Machine

__all__ = ["served"]
NTP = "/etc/chrony/conf.d/ishmael.conf"


@pytest.fixture
def machine(served: Served) -> Machine:
    """The node that is asked, with every service's package."""
    machine = served.world.machines[0]
    for service in kept.SERVICES.values():
        for unit in (*service.about.units, *service.about.enable):
            machine.services.add(unit, enabled=False, active=False)
    return machine


def test_a_change_is_collected_looked_at_and_applied(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """Saving shows what would change and changes nothing; some are applied, the rest is dropped; each is shown as it ends."""
    before = machine.image()
    code, out, _ = ishmael(capsys, "services", "set", "ntp", "enabled=true", "stratum=7", "--pending")
    assert (code, "+local stratum 7" in out, "ishmael jobs apply 1" in out) == (0, True, True)
    code, out, _ = ishmael(capsys, "services", "set", "dns", "enabled=true", "--pending", "--json")
    assert (code, json.loads(out)["state"]) == (0, "pending")
    assert ishmael(capsys, "services", "set", "ntp", "enabled=true", "stratum=9", "--pending")[0] == 0
    assert machine.image() == before
    assert "+local stratum 9" in ishmael(capsys, "jobs", "3")[1]
    assert "bogus-priv" in json.loads(ishmael(capsys, "jobs", "2", "--json")[1])["facts"]["diff"]
    code, out, err = ishmael(capsys, "jobs", "apply", "1")
    assert (code, "apply-service done" in out, "put the new configuration in place" in err) == (0, True, True)
    assert b"local stratum 7" in (machine.files.read(NTP) or b"")
    code, out, _ = ishmael(capsys, "jobs", "drop", "--json")
    assert [job["state"] for job in json.loads(out)["jobs"]] == ["dropped", "dropped"]
    assert ishmael(capsys, "jobs", "drop")[1] == "Nothing is pending.\n"
    assert ishmael(capsys, "jobs", "apply")[1] == "Nothing is pending.\n"
    assert ishmael(capsys, "jobs", "apply", "2")[0] == 3
    assert machine.files.read("/etc/dnsmasq.d/ishmael.conf") is None


def test_what_is_wrong_is_not_even_collected(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """The field is named, and nothing waits."""
    code, _, err = ishmael(capsys, "services", "set", "ntp", "stratum=99", "--pending")
    assert (code, "stratum is no number" in err) == (3, True)
    assert ishmael(capsys, "jobs", "drop")[1] == "Nothing is pending.\n"


def test_applying_ends_as_its_jobs_end(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """All are tried; one that is refused by then is told, and the exit code is its."""
    for name in ("ntp", "dns"):
        assert ishmael(capsys, "services", "set", name, "enabled=true", "--pending")[0] == 0
    machine.programs.missing = {"/usr/sbin/chronyd"}
    code, out, err = ishmael(capsys, "jobs", "apply")
    assert (code, "chrony" in err, "apply-service done" in out) == (5, True, True)
    assert machine.services.active("dnsmasq.service")
    machine.programs.missing = {"/usr/sbin/dnsmasq"}
    assert ishmael(capsys, "services", "set", "ntp", "enabled=true", "--pending")[0] == 0
    code, out, _ = ishmael(capsys, "jobs", "apply", "--json")
    assert (code, [job["state"] for job in json.loads(out)["jobs"]]) == (0, ["done"])


def test_the_difference_is_shown_as_it_is(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """What looks like markup of the terminal is a host."""
    words = ("services", "set", "mail", "enabled=true", "smarthost=mail.example.org", "--dry-run")
    code, out, _ = ishmael(capsys, *words)
    assert (code, "+relayhost = [mail.example.org]:587" in out) == (0, True)


def test_a_change_by_hand_is_named_shown_taken_over_and_put_back(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """By every command that lists it; the way that is offered is a command that works."""
    assert ishmael(capsys, "services", "set", "ntp", "enabled=true", "--yes")[0] == 0
    ours = machine.files.read(NTP) or b""
    machine.files.write(NTP, ours + b"maxupdateskew 5\n", 0o644)
    for words in (("services", "list"), ("services", "show", "ntp"), ("drift", "list")):
        out = ishmael(capsys, *words)[1]
        assert NTP in out and "ishmael services take-over | put-back ntp" in out
    assert "+maxupdateskew 5" in ishmael(capsys, "drift", "show", NTP)[1]
    code, _, err = ishmael(capsys, "drift", "take-over", NTP)
    assert (code, "ishmael services take-over ntp" in err) == (3, True)
    assert ishmael(capsys, "services", "set", "ntp", "stratum=9", "--yes")[0] == 3
    code, out, _ = ishmael(capsys, "services", "take-over", "ntp", "--dry-run")
    assert (code, "+maxupdateskew 5" in out) == (0, True)
    assert ishmael(capsys, "services", "take-over", "ntp", "--yes")[0] == 0
    assert ishmael(capsys, "services", "set", "ntp", "stratum=9", "--yes")[0] == 0
    assert (machine.files.read(NTP) or b"").endswith(b"local stratum 9\nmaxupdateskew 5\n")
    assert "+maxupdateskew 5" in ishmael(capsys, "services", "show", "ntp")[1]
    machine.files.write(NTP, b"mine\n", 0o644)
    assert ishmael(capsys, "services", "put-back", "ntp", "--yes")[0] == 0
    assert (machine.files.read(NTP) or b"").endswith(b"local stratum 9\nmaxupdateskew 5\n")
    assert ishmael(capsys, "services", "put-back", "ntp", "--own-lines", "--yes")[0] == 0
    assert (machine.files.read(NTP) or b"").endswith(b"local stratum 9\n")
    assert ishmael(capsys, "services", "put-back", "ntp", "--own-lines", "--yes")[0] == 3
