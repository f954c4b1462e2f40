"""Bad input at set-up, on real nodes: one clear error with a hint, the exit code of the contract, and nothing changed.

Before it two machines that belong to no cluster, after it what leads back there.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from ishmael.lab.tools import wait_until
from tests.lab import resets
from tests.lab.conftest import ETC_FILES, ISHMAEL, Lab

pytestmark = pytest.mark.lab
REFUSED = 3
_GOOD = {
    "--cluster-ip": "10.77.0.10",
    "--phone-nic": "phone0",
    "--internal-nic": "cable0",
    "--reference": "10.77.0.1",
}


@pytest.fixture(scope="module", autouse=True)
def _for_the_last_time(bare: Lab) -> Iterator[None]:
    """They become a cluster here, so that nobody can use them as bare nodes afterwards."""
    yield
    bare.run("down")


def _fingerprint(lab: Lab, node: str) -> str:
    """What must not change when something is refused."""
    return lab.sh(
        node,
        f"{ETC_FILES}; ip -4 addr; "
        "systemctl is-enabled corosync ssh || true; systemctl is-active corosync || true; ls /var/lib/ishmael | grep record || true",
    )


def _refused(lab: Lab, node: str, *words: str) -> tuple[int, dict[str, str]]:
    """Run a work that must be refused, and that nothing changed; returns its exit code, and hints by finding code."""
    before = _fingerprint(lab, node)
    done = lab.run("exec", node, "--timeout", "60", "--", "ishmael", *words, "--yes", "--json")
    assert _fingerprint(lab, node) == before
    error = json.loads(done.stdout)["error"]
    findings = error["findings"] or [error]
    return done.returncode, {found["code"]: found["hint"] for found in findings}


def _set_up(lab: Lab, **changes: str) -> tuple[int, dict[str, str]]:
    options = _GOOD | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
    words = [word for pair in options.items() for word in pair]
    return _refused(lab, "node1", "setup-master", *words)


def test_it_starts_alone(bare: Lab) -> None:
    """Nothing asked, nothing failed, no part in any cluster."""
    for node in ("node1", "node2"):
        assert json.loads(bare.sh(node, "ishmael status --json"))["state"] == "alone"
        assert resets.failed_units(bare, node) == ""


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"cluster_ip": "10.77.0.11"}, "nodes-own-address"),
        ({"cluster_ip": "192.168.7.7"}, "outside-telephone-network"),
        ({"cluster_ip": "telephone"}, "not-an-address"),
        ({"cluster_ip": "10.77.0.50"}, "cluster-ip-taken"),
        ({"phone_nic": "eth9"}, "nic-missing"),
        ({"phone_nic": "cable0"}, "same-nic-twice"),
    ],
)
def test_a_wrong_field_is_named(bare: Lab, changes: dict[str, str], code: str) -> None:
    """Each wrong field gives its own finding with a hint, exit code 3."""
    returned, hints = _set_up(bare, **changes)
    assert returned == REFUSED
    assert hints.get(code), hints


def test_several_faults_give_several_findings(bare: Lab) -> None:
    """A form with several faults is answered in one go."""
    returned, hints = _set_up(bare, cluster_ip="10.77.0.11", internal_nic="eth9", reference="10.99.0.1")
    assert returned == REFUSED
    assert {"nodes-own-address", "nic-missing"} <= set(hints), hints


def test_a_nic_that_is_down_is_refused(bare: Lab) -> None:
    """Taking the interface down by hand is noticed before anything is done."""
    bare.sh("node1", "ip link set cable0 down")
    try:
        returned, hints = _set_up(bare)
    finally:
        bare.sh("node1", "ip link set cable0 up")
    assert returned == REFUSED
    assert hints.get("nic-down"), hints


def test_a_missing_corosync_is_named(bare: Lab) -> None:
    """Without Corosync there is no cluster; the hint says what to install."""
    bare.sh("node1", "mv /usr/sbin/corosync /usr/sbin/corosync.away")
    try:
        returned, hints = _set_up(bare)
    finally:
        bare.sh("node1", "mv /usr/sbin/corosync.away /usr/sbin/corosync")
    assert returned in (REFUSED, 5)
    assert hints.get("corosync-missing"), hints


@pytest.mark.parametrize(
    "key",
    ["", "hello", "-----BEGIN OPENSSH PRIVATE KEY-----", "ssh-ed25519 AAAA", "ssh-ed25519 AAAA\nssh-ed25519 BBBB"],
)
def test_junk_is_no_key(bare: Lab, key: str) -> None:
    """Prepare slave takes exactly one public key."""
    returned, hints = _refused(bare, "node2", "prepare-slave", "--key", key)
    assert returned in (2, REFUSED)
    assert hints


def test_a_slave_with_the_masters_name_is_refused(bare: Lab) -> None:
    """Equal host names are refused with a hint, and the master stays as it is (C5)."""
    options = [word for pair in _GOOD.items() for word in pair]
    for code in ("dns-silent", "clock-not-in-step", "mail-not-accepted", "fax-not-set-up"):
        options += ["--override", code]
    done = bare.run("exec", "node1", "--", "ishmael", "setup-master", *options, "--yes", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    key = bare.sh("node1", "ishmael setup-master --show-key")
    bare.sh("node2", f"ishmael prepare-slave --key '{key}' --yes")
    # Made anew in the background, with the cluster IP in it: nothing that a refused work did.
    certificate = "openssl x509 -noout -ext subjectAltName -in /etc/ishmael/web/tls.pem"
    assert wait_until(lambda: _GOOD["--cluster-ip"] in bare.sh("node1", certificate), 15, 0.2)
    bare.sh("node2", "hostname node1")
    try:
        slave = ("--name", "node1", "--phone-ip", "10.77.0.12", "--internal-ip", "10.78.0.2")
        returned, hints = _refused(bare, "node1", "add-slave", *slave)
    finally:
        bare.sh("node2", "hostname node2")
    assert returned == REFUSED
    assert hints.get("same-host-name"), hints


def test_a_wrong_corosync_key_is_named_before_the_slave_is_touched(bare: Lab) -> None:
    """A damaged key of the master's Corosync is this machine's fault, and says so."""
    bare.sh("node1", "cp -p /etc/corosync/authkey /root/authkey; head -c 7 /root/authkey >/etc/corosync/authkey")
    try:
        slave = ("--name", "node2", "--phone-ip", "10.77.0.12", "--internal-ip", "10.78.0.2")
        returned, hints = _refused(bare, "node1", "add-slave", *slave)
    finally:
        bare.sh("node1", "cp -p /root/authkey /etc/corosync/authkey; rm /root/authkey")
    assert returned == 5
    assert hints.get("corosync-key-wrong"), hints


def test_what_a_phone_system_needs_is_named_item_by_item(bare: Lab) -> None:
    """DNS, clock, mail and fax of a bare node are looked at, and each that does not work is a finding to override (S4)."""
    bare.sh("node2", "cp -p /etc/resolv.conf /root/resolv.conf; echo nameserver 127.0.0.9 > /etc/resolv.conf")
    try:
        done = bare.run("exec", "node2", "--", "ishmael", "setup-master", *_words(), "--dry-run", "--json")
    finally:
        bare.sh("node2", "cat /root/resolv.conf > /etc/resolv.conf")
    findings = {found["code"]: found for found in json.loads(done.stdout)["findings"]}
    assert {"dns-silent", "mail-not-accepted"} <= set(findings), findings
    assert all(findings[code]["overridable"] for code in ("dns-silent", "mail-not-accepted"))


_SLAVE = ("--name", "node2", "--phone-ip", "10.77.0.12", "--internal-ip", "10.78.0.2")


def test_cables_that_are_swapped_are_noticed(bare: Lab) -> None:
    """The slave has its addresses on the wrong cards: neither answers, both fields are named, nothing is done."""
    swap = (
        "set -e; phone=$(ip -4 -o addr show {0} | awk '{{print $4}}'); cable=$(ip -4 -o addr show {1} | awk '{{print $4}}'); "
        "ip addr flush dev {0}; ip addr flush dev {1}; ip addr add $phone dev {1}; ip addr add $cable dev {0}"
    )
    bare.sh("node2", swap.format("phone0", "cable0"))
    try:
        done = bare.run("exec", "node1", "--timeout", "60", "--", "ishmael", "add-slave", *_SLAVE, "--yes", "--json")
    finally:
        bare.sh("node2", f"{swap.format('cable0', 'phone0')}; ip route replace default via 10.77.0.1 || true")
    error = json.loads(done.stdout)["error"]
    assert done.returncode == 4
    assert [(found["field"], found["code"]) for found in error["findings"]] == [
        ("internal_ip", "peer-unreachable"),
        ("phone_ip", "peer-unreachable"),
    ]


@pytest.mark.timeout(400)
def test_two_admins_at_once(bare: Lab) -> None:
    """Both add the same slave in the same moment: one job is done, the other is told why not, and the cluster is complete."""
    command = ["exec", "node1", "--", "ishmael", "add-slave", *_SLAVE, "--yes", "--json"]
    admins = [
        subprocess.Popen(
            [ISHMAEL, "lab", *command], env=os.environ | {"ISHMAEL_LAB": bare.name}, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [json.loads(admin.communicate(timeout=150)[0]) for admin in admins]
    assert sorted(admin.returncode for admin in admins) == [0, REFUSED], said
    (refused,) = [each["error"]["code"] for each in said if each.get("error")]
    assert refused in ("has-a-slave", "node-busy"), said
    bare.cluster.wait_complete()


@pytest.mark.timeout(400)
def test_a_replaced_machine_is_re_added_when_the_admin_says_so(bare: Lab) -> None:
    """Another machine under the old name shows another host key: told, and overridden it gets everything anew."""
    bare.json("fault", "power-cut", "node2")
    bare.json("heal")
    script = (
        "systemctl stop ishmael-keeper ishmael-manager ishmael-dbwatch corosync; rm -rf /etc/ishmael/* /var/lib/ishmael/*; "
        "rm /etc/ssh/ssh_host_*; ssh-keygen -q -A; rm -f /root/.ssh/authorized_keys; systemctl restart ssh; "
        "systemctl start ishmael-dbwatch ishmael-keeper ishmael-manager"
    )
    bare.sh("node2", script)
    key = bare.sh("node1", "ishmael setup-master --show-key")
    bare.sh("node2", f"ishmael prepare-slave --key '{key}' --yes")
    returned, hints = _refused(bare, "node1", "re-add")
    assert returned == REFUSED
    assert set(hints) == {"host-key-changed"}, hints
    done = bare.run("exec", "node1", "--", "ishmael", "re-add", "--override", "host-key-changed", "--yes", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    bare.cluster.wait_complete()


@pytest.mark.timeout(400)
def test_a_slave_without_power_is_removed_and_added_again(bare: Lab) -> None:
    """It could not be told; back again it takes nothing over, and is added with nothing typed (U5)."""
    bare.json("fault", "power-cut", "node2")
    assert bare.cluster.ask(bare.cluster.nodes[0], "remove-slave")["result"]["slave_withdrawn"] is False
    bare.json("heal")
    # Longer than any of its waits for a master that says nothing.
    time.sleep(10)
    assert "10.77.0.10/" not in bare.sh("node2", "ip -4 addr")
    assert bare.cluster.master() == bare.cluster.nodes[0]
    bare.cluster.ask(bare.cluster.nodes[0], "add-slave")
    bare.cluster.wait_complete()


@pytest.mark.timeout(400)
def test_resets_survive_a_reboot(bare: Lab) -> None:
    """Of the removed slave in peace, and of the node that serves alone in an emergency."""
    bare.cluster.ask(bare.cluster.nodes[0], "remove-slave")
    resets.in_peace(bare, "node2")
    resets.emergency(bare, "node1")


def _words() -> list[str]:
    return [word for pair in _GOOD.items() for word in pair]


def test_the_lab_needs_root() -> None:
    """Without root the lab is refused with a hint."""
    command = ["setpriv", "--reuid=65534", "--clear-groups", str(ISHMAEL), "lab", "up"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ, timeout=30)
    assert done.returncode == REFUSED
    assert "sudo" in done.stderr
