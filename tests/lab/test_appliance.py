"""Services on the nodes of a cluster. One story, to the power cut: each test goes on where the last one ended."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from ishmael.lab import client, plan
from ishmael.lab.answers import SETTLE_S, Asking, after_takeover_ms
from ishmael.lab.bench.services import FAXES, LEASES, change, receive_fax, switch_all_off, switch_all_on
from ishmael.lab.leased import MAC, LeasedPhone, Told
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.lab.post import USER, Post
from ishmael.lab.tools import wait_until
from tests.lab.conftest import ETC_FILES, Lab

pytestmark = pytest.mark.lab
CONF = "/etc/dnsmasq.d/ishmael.conf"
FOLLOWED_S = 60.0
NETWORK = ("--phone-nic", plan.PHONE_NIC, "--phone-address", "10.77.0.13/24", "--internal-nic", plan.CABLE_NIC,
           "--internal-address", "10.78.0.1/30", "--host-name", "other")  # fmt: skip
# The aims, and what is measured on a machine that does nothing else, are those of `script/bench services`.
APPLIED_S, ANSWERED_MS = 30.0, 15000.0
SEND = """
import smtplib, sys
with smtplib.SMTP(sys.argv[1], 25, timeout=5) as server:
    server.sendmail("phone@example.org", ["admin@example.org"], "Subject: " + sys.argv[2] + "\\r\\n\\r\\nhello\\r\\n")
"""


def _nodes(lab: Lab) -> tuple[Node, Node]:
    """The master and the other one."""
    master = lab.cluster.master()
    assert master is not None
    return master, next(node for node in lab.cluster.nodes if node.plan != master.plan)


def _reads(node: Node, path: str) -> str:
    return node.exec(["cat", path]).stdout


def _same(path: str, one: Node, other: Node) -> bool:
    return _reads(one, path) == _reads(other, path) != ""


@pytest.fixture(scope="module")
def off(lab: Lab) -> Iterator[None]:
    """The services of this story are off again when it ends."""
    yield
    master, _ = _nodes(lab)
    switch_all_off(master)


def test_changes_are_applied_and_followed(complete: Lab, off: None) -> None:
    """Switched on, and changed while they run; the slave has the same files soon, and runs what runs on both."""
    master, slave = _nodes(complete)
    times = switch_all_on(complete.plan, master)
    print(f"applied, in seconds: {json.dumps(times)}")
    assert max(times.values()) <= APPLIED_S
    for path in (CONF, "/etc/chrony/conf.d/ishmael.conf"):
        assert wait_until(partial(_same, path, master, slave), FOLLOWED_S, 0.2), path
    units = ["chrony", "postfix@-", "dnsmasq", "faxq", "hfaxd"]
    there = ["active", "active", "inactive", "inactive", "inactive"]
    assert wait_until(lambda: slave.exec(["systemctl", "is-active", *units]).stdout.split() == there, FOLLOWED_S, 0.2)


def test_a_fax_that_came_in_is_on_both_nodes(complete: Lab, off: None) -> None:
    """With its content, owner and mode; and one that was thrown away is gone there, too."""
    master, slave = _nodes(complete)
    look = ["sh", "-c", f"stat -c '%U %G %a %s' {FAXES}/fax00042.tif; sha256sum <{FAXES}/fax00042.tif"]
    receive_fax(master, "fax00042.tif")
    there = master.exec(look).stdout
    assert there.startswith("uucp uucp 644 60000\n")
    assert wait_until(lambda: slave.exec(look).stdout == there, FOLLOWED_S, 0.1)
    master.say(["rm", f"{FAXES}/fax00042.tif"])
    assert wait_until(lambda: "fax00042" not in slave.exec(["ls", FAXES]).stdout, FOLLOWED_S, 0.1)


def test_a_change_by_hand_is_taken_over_on_both_nodes_or_put_back(complete: Lab, off: None) -> None:
    """Named by the status; taken over, the slave has the line, too; on the slave it is put back, the master's line stays."""
    master, slave = _nodes(complete)
    master.say(["sed", "-i", "s/^bogus-priv$/&\\nlocal-ttl=7/", CONF])
    assert wait_until(lambda: CONF in (complete.cluster.status(master) or {}).get("drift", []), 10, 0.2)
    change(master, "take-over", "dns")
    assert wait_until(lambda: "local-ttl=7" in _reads(slave, CONF), FOLLOWED_S, 0.2)
    slave.say(["sh", "-c", f"echo log-queries >>{CONF}"])
    change(slave, "put-back", "dns")
    assert _reads(slave, CONF) == _reads(master, CONF)
    assert "local-ttl=7" in _reads(slave, CONF)
    change(master, "put-back", "dns", "--own-lines")
    assert wait_until(lambda: "local-ttl" not in _reads(slave, CONF), FOLLOWED_S, 0.2)


def _changed_by_hand(lab: Lab) -> list[list[str]]:
    return [(lab.cluster.status(node) or {}).get("drift", ["no answer"]) for node in lab.cluster.nodes]


def test_what_is_switched_off_is_gone_on_both_nodes_and_nobody_changed_it(complete: Lab, off: None) -> None:
    """Its files are taken back on the slave, too; the leases, which are copied, are no change by hand."""
    master, slave = _nodes(complete)
    change(master, "set", "dns", "enabled=false")
    assert wait_until(lambda: slave.exec(["test", "-e", CONF]).returncode == 1, FOLLOWED_S, 0.2)
    assert wait_until(lambda: _changed_by_hand(complete) == [[], []], FOLLOWED_S, 0.5), _changed_by_hand(complete)
    change(master, "set", "dns", "enabled=true")
    assert wait_until(partial(_same, CONF, master, slave), FOLLOWED_S, 0.2)


def test_a_phone_and_every_service_outlive_a_power_cut(complete: Lab, off: None) -> None:
    """A phone gets all it needs from the cluster IP; the new master knows its lease and renews it; each service is back in time."""
    old, new = _nodes(complete)
    with LeasedPhone(complete.plan) as phone:
        got = phone.wait("bound")
        _has_all(got)
        row = f"{MAC} {got.options['ip']}"
        assert wait_until(lambda: row in _reads(new, LEASES), FOLLOWED_S, 0.1)
        complete.cluster.wait_complete()
        with Asking(complete.plan) as asking:
            assert wait_until(lambda: _sent(complete.plan, "before"), 10, 0.1)
            complete.json("fault", "power-cut", old.plan.name)
            complete.cluster.wait_role(new, "master")
            # Not at once: dnsmasq writes the file anew when it starts.
            assert wait_until(lambda: row in _reads(new, LEASES), FOLLOWED_S, 0.02)
            running = ["systemctl", "is-active", "--quiet", "dnsmasq"]
            assert wait_until(lambda: new.exec(running).returncode == 0, FOLLOWED_S, 0.05)
            phone.renew()
            renewed = phone.wait("renew")
            assert wait_until(lambda: _sent(complete.plan, "after"), 10, 0.1)
            time.sleep(SETTLE_S)
    _has_all(renewed)
    assert renewed.options["ip"] == got.options["ip"]
    times = after_takeover_ms(asking.found, old.plan.name, new.plan.name)
    print(f"after the takeover, in milliseconds: {json.dumps(times)}")
    assert {word for _, word in asking.found["dns"]} == {plan.CLUSTER_IP}
    assert {word for _, word in asking.found["dhcp"]} == {plan.CLIENT_IP}
    assert max(value for name, value in times.items() if name != "silence") <= ANSWERED_MS
    assert wait_until(lambda: "after" in Post(complete.plan).text(), 20, 0.2)


def _has_all(told: Told) -> None:
    """Address, gateway, and everything else from the cluster IP: names, time, SIP server (RFC 3361), provisioning, renewals."""
    got = told.options
    assert got["ip"].startswith("10.77.0.1") and 100 <= int(got["ip"].rpartition(".")[2]) <= 199
    wanted: dict[str, Any] = {
        "router": plan.GATEWAY_IP, "dns": plan.CLUSTER_IP, "ntpsrv": plan.CLUSTER_IP, "serverid": plan.CLUSTER_IP,
        "domain": "phones.internal", "sipsrv": plan.CLUSTER_IP, "tftp": plan.CLUSTER_IP,
        "opt160": plan.CLUSTER_IP.encode().hex(), "lease": "120",
    }  # fmt: skip
    assert {name: got.get(name) for name in wanted} == wanted


def _sent(lab: LabPlan, subject: str) -> bool:
    """A mail was taken at the cluster IP."""
    words = client.command(lab, [sys.executable, "-c", SEND, plan.CLUSTER_IP, subject])
    return subprocess.run(words, capture_output=True, check=False, timeout=30).returncode == 0


def test_bad_settings_change_nothing_on_the_node(complete: Lab) -> None:
    """Findings come all at once, the service's own checker has its say, and the files are those of before."""
    master = complete.cluster.master()
    assert master is not None
    before = complete.sh(master.plan.name, ETC_FILES)
    words = [
        "ishmael",
        "services",
        "set",
        "dns",
        "enabled=true",
        "dhcp=true",
        "range_from=10.77.0.5",
        "range_to=x",
        "--yes",
    ]
    done = master.exec([*words, "upstream=nobody", "--json"], timeout_s=60)
    assert done.returncode == 3
    dns = ["dns", "enabled=true", "dhcp=true"]
    for words in (
        [*dns, "range_from=10.77.0.5", "range_to=10.77.0.60"],
        [*dns, "range_from=10.77.0.199", "range_to=10.77.0.100"],
        ["mail", "enabled=true", "smarthost=nobody.invalid"],
        [
            "mail",
            "enabled=true",
            f"smarthost={plan.CLIENT_IP}",
            "verify=false",
            f"user={USER}",
            "--password-file",
            "/etc/hostname",
        ],
        ["ntp", "upstream=-x"],
        ["mail", "enabled=true", "smarthost=a b"],
        ["fax", "enabled=true", "number=1"],
    ):
        assert master.exec(["ishmael", "services", "set", *words, "--yes", "--json"], timeout_s=60).returncode == 3
    locked = master.exec(["ishmael", "network", "set", *NETWORK, "--yes", "--json"], timeout_s=60)
    assert locked.returncode == 3, locked.stdout
    assert complete.sh(master.plan.name, ETC_FILES) == before
