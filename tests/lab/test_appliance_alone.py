"""Network and services of two nodes that are no cluster yet, by command line. One story: each test goes on where the last one
ended, and the nodes are in the end as they were."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ishmael.lab import plan
from ishmael.lab.node import Node, Outcome
from ishmael.lab.post import Post
from ishmael.lab.tools import wait_until
from tests.lab.conftest import Lab
from tests.lab.test_guide import read_guide

pytestmark = pytest.mark.lab
REFUSED = 3
GUIDE = Path(__file__).resolve().parents[2] / "docs/guide/appliance.md"
NETWORK = {
    "--phone-nic": plan.PHONE_NIC, "--phone-address": "10.77.0.11/24", "--gateway": plan.GATEWAY_IP,
    "--internal-nic": plan.CABLE_NIC, "--internal-address": "10.78.0.1/30",
}  # fmt: skip
SET_UP = (
    "setup-master",
    "--cluster-ip",
    plan.CLUSTER_IP,
    "--phone-nic",
    plan.PHONE_NIC,
    "--internal-nic",
    plan.CABLE_NIC,
)
WANTED = {"dns-silent", "clock-not-in-step", "mail-not-accepted", "fax-not-set-up"}


@dataclass
class Asked:
    """A command on a node that is still running.

    Args:
        process: on the host.
    """

    process: subprocess.Popen[str]

    def end(self, timeout_s: float = 90.0) -> tuple[int, dict[str, Any]]:
        """Its exit code and what it said."""
        said, _ = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, json.loads(said)


def _node(lab: Lab, number: int) -> Node:
    return lab.cluster.nodes[number - 1]


def _ask(node: Node, *words: str) -> Asked:
    command = node.command(["ishmael", *words])
    return Asked(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True))


def _say(node: Node, *words: str, code: int = 0) -> dict[str, Any]:
    done = node.exec(["ishmael", *words, "--json"], timeout_s=60)
    assert done.returncode == code, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def _network(**changes: str) -> list[str]:
    options = NETWORK | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
    return ["network", "set", *(word for pair in options.items() for word in pair), "--yes", "--json"]


def _addresses(node: Node, nic: str) -> list[str]:
    shown = node.say(["ip", "-4", "-o", "address", "show", "dev", nic])
    return [line.split()[3] for line in shown.splitlines()]


def _holds(node: Node, address: str) -> bool:
    return _addresses(node, plan.PHONE_NIC) == [address]


def _took_s(job: dict[str, Any]) -> float:
    return (datetime.fromisoformat(job["ended_at"]) - datetime.fromisoformat(job["created_at"])).total_seconds()


@pytest.fixture(scope="module")
def unconfirmed(bare: Lab) -> Iterator[Asked]:
    """The second node's admin sets another address and another name, and then says nothing; a minute in which the rest happens."""
    asked = _ask(
        _node(bare, 2), *_network(phone_address="10.77.0.62/24", internal_address="10.78.0.2/30", host_name="other")
    )
    yield asked
    asked.process.kill()
    asked.process.wait()


def test_new_addresses_hold_at_once(bare: Lab, unconfirmed: Asked) -> None:
    """The old address is gone, the new one answers, and it is told how long there is to confirm."""
    node = _node(bare, 2)
    assert wait_until(lambda: _holds(node, "10.77.0.62/24"), 20, 0.1), _addresses(node, plan.PHONE_NIC)
    assert wait_until(lambda: node.say(["hostname"]).strip() == "other", 5, 0.1)
    assert _node(bare, 1).exec(["ping", "-c", "1", "-W", "3", "10.77.0.62"]).returncode == 0
    assert wait_until(lambda: _say(node, "network", "show")["waiting"] is not None, 15, 0.2)
    shown = _say(node, "network", "show")
    assert 1 <= shown["waiting"]["left_s"] <= 60
    nics = {nic["name"]: nic for nic in shown["nics"]}
    assert {name: (nic["carrier"], nic["managed_by"]) for name, nic in nics.items()} == {
        plan.PHONE_NIC: (True, "networkd"), plan.CABLE_NIC: (True, "networkd"),
    }  # fmt: skip
    assert nics[plan.PHONE_NIC]["mac"] == node.plan.phone_mac
    assert (shown["gateway"], shown["gateway_nic"], shown["locked"]) == (plan.GATEWAY_IP, plan.PHONE_NIC, False)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        (
            {"phone_address": "10.77.0.11/31", "internal_nic": "phone0", "dns": "nobody", "host_name": "a_b"},
            {("phone_address", "bad-address"), ("internal_nic", "same-nic-twice"), ("dns", "bad-address"),
             ("host_name", "bad-host-name")},
        ),
        (
            {"internal_address": "10.77.0.201/25", "gateway": "10.99.0.1", "phone_nic": "eth9"},
            {("internal_address", "networks-overlap"), ("gateway", "outside-network"), ("phone_nic", "nic-missing")},
        ),
        ({"phone_address": "10.77.0.2/24"}, {("phone_address", "address-taken")}),
    ],
)  # fmt: skip
def test_wrong_plans_are_refused_and_change_nothing(
    bare: Lab, changes: dict[str, str], found: set[tuple[str, str]]
) -> None:
    """All findings at once, each at its field."""
    node = _node(bare, 1)
    look = ["sh", "-c", "cat /etc/systemd/network/* /etc/hosts /etc/hostname; ip -4 address; ip route"]
    before = node.say(look)
    done = node.exec(["ishmael", *_network(**changes)], timeout_s=60)
    findings = json.loads(done.stdout)["error"]["findings"]
    assert (done.returncode, {(each["field"], each["code"]) for each in findings}) == (REFUSED, found)
    assert all(each["message"] and each["hint"] for each in findings)
    assert node.say(look) == before


def test_an_interface_of_somebody_else_is_not_fought_over(bare: Lab) -> None:
    """Debian's ifupdown has it: refused, with the way to move over."""
    node = _node(bare, 1)
    node.say(["sh", "-c", "mkdir -p /etc/network; echo 'iface phone0 inet dhcp' >/etc/network/interfaces"])
    try:
        found = json.loads(node.exec(["ishmael", *_network()]).stdout)["error"]["findings"]
    finally:
        node.say(["rm", "/etc/network/interfaces"])
    assert [(each["field"], each["code"]) for each in found] == [("phone_nic", "network-managed-elsewhere")]
    assert "systemd-networkd" in found[0]["hint"]


def _answered(node: Node, *option: str) -> bool:
    return node.exec(["ishmael", "network", "confirm", *option, "--json"]).returncode == 0


def test_confirmed_settings_stay_and_refused_ones_go_at_once(bare: Lab) -> None:
    """Kept: the new address stays. Taken back: the one before is there again, and the job says that it was a wish."""
    node = _node(bare, 1)
    for address, option, ended, after in (
        ("10.77.0.61/24", (), (0, ""), "10.77.0.61/24"),
        ("10.77.0.63/24", ("--take-back",), (REFUSED, "not-kept"), "10.77.0.61/24"),
        ("10.77.0.11/24", (), (0, ""), "10.77.0.11/24"),
    ):
        asked = _ask(node, *_network(phone_address=address))
        assert wait_until(partial(_holds, node, address), 20, 0.1)
        assert wait_until(partial(_answered, node, *option), 10, 0.2)
        code, job = asked.end(20)
        assert (code, (job["error"] or {}).get("code", "")) == ended
        assert _holds(node, after)
    assert _say(node, "network", "confirm", code=REFUSED)["error"]["code"] == "nothing-to-confirm"


def _findings(node: Node) -> dict[str, str]:
    plan_of = json.loads(node.exec(["ishmael", *SET_UP, "--dry-run", "--json"], timeout_s=60).stdout)
    return {each["code"]: each["message"] for each in plan_of["findings"]}


def _typed(node: Node, line: str) -> str:
    """What is said to a line of the guide; typed again while it is too early to confirm."""
    found: list[Outcome] = []

    def typed() -> bool:
        found[:] = [node.exec(["sh", "-c", line], timeout_s=60)]
        return "wait to be confirmed" not in found[0].stderr

    assert wait_until(typed, 10, 0.3), (line, found)
    assert found[0].returncode == 0, (line, found)
    return found[0].stdout + found[0].stderr


def test_the_guide_is_typed_line_by_line(bare: Lab) -> None:
    """Nothing is set up: four things stand against a cluster. After the guide each service answers, and none of them does."""
    node = _node(bare, 1)
    assert {"dns-silent", "mail-not-accepted", "fax-not-set-up"} <= set(_findings(node)) & WANTED
    password = Post(bare.plan).password_file.read_text()
    node.say(["sh", "-euc", "umask 077; cat >/root/smarthost"], stdin=password)
    behind: list[Asked] = []
    for line in read_guide(GUIDE.read_text()):
        assert line.where == "node1"
        if line.typed.endswith("&"):
            behind.append(_ask(node, *shlex.split(line.typed)[1:-1], "--json"))
            continue
        begun_s = time.monotonic()
        said = _typed(node, line.typed)
        assert [wanted for wanted in line.wanted if wanted not in said] == [], (line, said)
        if "jobs apply" in line.typed:
            print(f"four services were applied one after the other in {time.monotonic() - begun_s:.1f} s")
    assert [asked.end()[0] for asked in behind] == [0]
    seen = _say(node, "services", "list")["services"]
    assert {
        each["name"]: (each["changed_by_hand"], each["trouble"])
        for each in seen
        if each["changed_by_hand"] or each["trouble"]
    } == {}
    left = _findings(node)
    assert set(left) & (WANTED - {"clock-not-in-step"}) == set(), left
    node.say(["systemctl", "stop", "dnsmasq"])
    assert "dnsmasq.service does not run" in _findings(node)["dns-silent"]
    node.say(["systemctl", "start", "dnsmasq"])


def test_a_power_cut_in_the_middle_of_applying(bare: Lab) -> None:
    """The new file is there and the service has not read it: after the boot the job goes on, and the service runs with it."""
    node = _node(bare, 1)
    # The manager stands still as soon as the file is there, so that the cut falls behind it.
    pid = node.say(["systemctl", "show", "-p", "MainPID", "--value", "ishmael-manager"]).strip()
    trap = f"until grep -qs sip2 /etc/dnsmasq.d/ishmael.conf; do :; done; kill -STOP {pid}; echo stopped"
    stopper = subprocess.Popen(node.command(["sh", "-c", trap]), stdout=subprocess.PIPE, text=True)
    asked = _ask(node, "services", "set", "dns", "name=sip2", "--yes", "--json")
    try:
        assert stopper.communicate(timeout=30)[0].strip() == "stopped"
        node.power_cut()
        begun_s = time.monotonic()
        node.boot()
        node.wait_running()

        def ended() -> bool:
            done = node.exec(["ishmael", "jobs", "--limit", "1", "--json"], timeout_s=20)
            return done.returncode == 0 and json.loads(done.stdout)["jobs"][0]["state"] in ("done", "failed")

        assert wait_until(ended, 60, 0.3)
    finally:
        for process in (stopper, asked.process):
            process.kill()
            process.wait()
    (job,) = _say(node, "jobs", "--limit", "1")["jobs"]
    print(f"the job was {job['state']} {time.monotonic() - begun_s:.1f} s after the power came back")
    meant = "sip2" if job["state"] == "done" else "pbx"
    assert f"host-record={meant}.phones.internal" in node.say(["cat", "/etc/dnsmasq.d/ishmael.conf"])
    assert f'name = "{meant}"' in node.say(["cat", "/etc/ishmael/services/dns.toml"])
    seen = _say(node, "services", "show", "dns")
    assert (all(seen["units"].values()), seen["changed_by_hand"], seen["trouble"]) == (True, [], "")
    assert "dns-silent" not in _findings(node)
    assert _holds(node, "10.77.0.11/24")


def test_switched_off_the_machine_is_as_before(bare: Lab) -> None:
    """Debian's own files are back, and nothing runs any more."""
    node = _node(bare, 1)
    for name in ("dns", "ntp", "mail", "fax"):
        assert _say(node, "services", "set", name, "enabled=false", "--yes")["state"] == "done"
    assert not any(any(each["units"].values()) for each in _say(node, "services", "list")["services"])
    written = "/etc/dnsmasq.d/ishmael.conf /etc/chrony/conf.d/ishmael.conf /etc/postfix/ishmael_sasl"
    assert node.exec(["sh", "-c", f"ls {written}"]).stdout == ""


def test_unconfirmed_settings_are_taken_back_within_a_minute(bare: Lab, unconfirmed: Asked) -> None:
    """Nobody locks himself out: address and name are those of before, and the job says why."""
    code, job = unconfirmed.end()
    assert (code, job["error"]["code"]) == (REFUSED, "not-confirmed-in-time")
    took_s = _took_s(job)
    print(f"new settings that nobody confirmed were taken back {took_s:.1f} s after they were asked for")
    # The minute begins when they hold, and what was before has to be put back after it.
    assert 58 < took_s < 80
    node = _node(bare, 2)
    assert (_addresses(node, plan.PHONE_NIC), _addresses(node, plan.CABLE_NIC)) == (["10.77.0.12/24"], ["10.78.0.2/30"])
    assert node.say(["hostname"]).strip() == "node2"
    assert node.exec(["ping", "-c", "1", "-W", "3", plan.GATEWAY_IP]).returncode == 0
    assert _say(node, "network", "show")["waiting"] is None
