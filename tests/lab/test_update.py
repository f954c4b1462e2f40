"""Updating on real nodes, with real small packages in two versions and with Ishmael's own package."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ishmael.lab import plan
from ishmael.lab.base import DEBIAN, newest_package
from ishmael.lab.node import Node
from ishmael.lab.tools import wait_until
from ishmael.words import places
from tests.lab.conftest import Lab, _fresh, _take_down

pytestmark = pytest.mark.lab
_PROFILE = """
packages = ["pbx-tiny"]
firmware = ["/srv/firmware"]
"""
_CONTROL = "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Nobody <nobody@localhost>\n{more}Description: small\n"
CHECKOUT = Path(__file__).resolve().parents[2]


def _deb(where: Path, name: str, version: str, more: str = "") -> Path:
    """A small package with one file, which says its version."""
    tree = where / f"{name}-{version}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / f"usr/share/{name}").mkdir(parents=True)
    (tree / f"usr/share/{name}/version").write_text(version)
    (tree / "DEBIAN/control").write_text(_CONTROL.format(name=name, version=version, more=more))
    return _build(tree, where / f"{name}_{version}_all.deb")


def _build(tree: Path, target: Path) -> Path:
    argv = ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", str(tree), str(target)]
    subprocess.run(argv, check=True, capture_output=True)
    return target


def _next_ishmael(where: Path) -> Path:
    """Ishmael's package, unpacked and packed again as the next version: the same program that calls itself 0.1.1."""
    package = newest_package(CHECKOUT, os.environ.get("ISHMAEL_LAB_RELEASE", DEBIAN))
    tree = where / "ishmael"
    subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(tree)], check=True)
    control = (tree / "DEBIAN/control").read_text()
    (tree / "DEBIAN/control").write_text(control.replace("Version: 0.1.0", "Version: 0.1.1"))
    (metadata,) = tree.glob("usr/lib/ishmael/venv/lib/*/site-packages/ishmael-*.dist-info/METADATA")
    metadata.write_text(metadata.read_text().replace("Version: 0.1.0", "Version: 0.1.1", 1))
    return _build(tree, where / "ishmael_0.1.1_amd64.deb")


def _put(node: Node, files: list[Path]) -> None:
    for file in files:
        done = node.exec(
            ["sh", "-c", f"base64 -d >/root/{file.name}"], stdin=base64.b64encode(file.read_bytes()).decode()
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def debs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """pbx-tiny in two versions; the second needs a library that the first did not know; and the next Ishmael."""
    where = tmp_path_factory.mktemp("debs")
    return [
        _deb(where, "pbx-tiny", "1.0"),
        _deb(where, "libpbx-tiny", "7"),
        _deb(where, "pbx-tiny", "2.0", "Depends: libpbx-tiny (>= 7)\n"),
        _next_ishmael(where),
    ]


@pytest.fixture(scope="module")
def updating(debs: list[Path]) -> Iterator[Lab]:
    """A cluster whose profile names pbx-tiny; both nodes have version 1."""
    lab = _fresh("testupd")
    try:
        lab.json("up")
        for node in lab.cluster.nodes:
            _put(node, debs)
            node.say(["sh", "-c", f"sed -i '/^packages/d' {places.SHIPPED_PROFILES}/asterisk.toml"])
            script = f"f={places.SHIPPED_PROFILES}/asterisk.toml; (sed '/^\\[/,$d' $f; cat; sed -n '/^\\[/,$p' $f) >/p && cat /p >$f"
            assert node.exec(["sh", "-c", script], stdin=_PROFILE).returncode == 0
            node.say(["apt-get", "-q", "-y", "install", "/root/pbx-tiny_1.0_all.deb"])
        lab.json("form")
        yield lab
    finally:
        _take_down(lab)


def _tiny(node: Node) -> str:
    return node.say(["cat", "/usr/share/pbx-tiny/version"]).strip()


def _status(node: Node) -> dict[str, Any]:
    return dict(json.loads(node.say(["ishmael", "status", "--json"])))


def _versions(node: Node) -> dict[str, Any]:
    return {row["name"]: row["versions"] for row in _status(node)["nodes"]}


def _apt(node: Node, *words: str) -> subprocess.CompletedProcess[str]:
    done = node.exec(["apt-get", "-q", "-y", *words], timeout_s=120)
    return subprocess.CompletedProcess([], done.returncode, done.stdout, done.stderr)


def test_apt_is_locked_while_the_cluster_is_formed(updating: Lab) -> None:
    """On both nodes apt refuses another version, says why and the way; other packages and the same version go."""
    for node in updating.cluster.nodes:
        done = _apt(node, "install", "/root/libpbx-tiny_7_all.deb", "/root/pbx-tiny_2.0_all.deb")
        assert done.returncode != 0
        assert "pbx-tiny cannot be changed now" in done.stderr
        assert "ishmael remove-slave" in done.stderr
        assert _tiny(node) == "1.0"
        assert _apt(node, "remove", "pbx-tiny").returncode != 0
        assert _apt(node, "install", "/root/libpbx-tiny_7_all.deb").returncode == 0
        assert _apt(node, "remove", "libpbx-tiny").returncode == 0
        assert _apt(node, "install", "--reinstall", "/root/pbx-tiny_1.0_all.deb").returncode == 0


def test_an_emergency_update_makes_the_slave_unfit_until_it_is_re_added(updating: Lab) -> None:
    """The override lets apt go on; the slave says what differs; re-adding brings it the same, over the door."""
    cluster = updating.cluster
    master = cluster.master()
    assert master is not None
    slave = next(node for node in cluster.nodes if node is not master)
    files = ["/root/libpbx-tiny_7_all.deb", "/root/pbx-tiny_2.0_all.deb"]
    assert _apt(master, "-o", "Ishmael::Override=yes", "install", *files).returncode == 0

    def unfit() -> bool:
        seen = _status(master)
        return not seen["failover_possible"] and "pbx-tiny 1.0 instead of 2.0" in " ".join(seen["failover_blocked_by"])

    assert wait_until(unfit, 30, 0.3), _status(master)
    assert _versions(master)[slave.plan.name]["pbx-tiny"] == "1.0"
    refused = slave.exec(["ishmael", "failover", "--yes", "--json"])
    assert refused.returncode == 3
    job = cluster.ask(master, "re-add")
    assert job["result"]["updated"] == {"pbx-tiny": "2.0", "libpbx-tiny": "7"}
    cluster.wait_complete()
    assert _tiny(slave) == "2.0"


def test_update_the_way_of_the_guide(updating: Lab) -> None:
    """Remove, update Ishmael and a package, reboot (it serves at once), add again: same versions and firmware there."""
    cluster = updating.cluster
    master = cluster.master()
    assert master is not None
    slave = next(node for node in cluster.nodes if node is not master)
    slave.say(["sh", "-c", "mkdir -p /srv/firmware; echo old >/srv/firmware/phone.rom; echo x >/srv/firmware/gone"])
    master.say(
        ["sh", "-c", "mkdir -p /srv/firmware/a; echo new >/srv/firmware/phone.rom; echo b >/srv/firmware/a/b.rom"]
    )
    cluster.ask(master, "remove-slave")
    assert _apt(master, "install", "/root/pbx-tiny_1.0_all.deb", "--allow-downgrades").returncode == 0
    assert _apt(master, "install", "/root/ishmael_0.1.1_amd64.deb").returncode == 0
    # The update has restarted the keeper.
    cluster.wait_role(master, "master", 30)
    updating.json("reboot", master.plan.name)
    cluster.wait_role(master, "master", 30)
    assert _status(master)["holds_cluster_ip"] is True
    # The backup of the moment before: the old versions, and a phone system by itself when it is reset.
    assert _tiny(slave) == "2.0"
    assert _status(slave)["state"] == "slave-prepared"
    cluster.ask(slave, "reset")
    assert _status(slave)["state"] == "alone"
    assert slave.say(["systemctl", "is-active", "asterisk"]).strip() == "active"
    key = json.loads(master.say(["ishmael", "setup-master", "--show-key", "--json"]))["ssh_public_key"]
    cluster.ask(slave, "prepare-slave", "--key", key)
    words = ("--name", slave.plan.name, "--phone-ip", slave.plan.phone_ip, "--internal-ip", slave.plan.internal_ip)
    job = cluster.ask(master, "add-slave", *words)
    assert set(job["result"]["updated"]) == {"ishmael", "pbx-tiny"}
    assert job["result"]["bytes_moved"] > 5_000_000
    cluster.wait_complete()

    def same() -> bool:
        told = _versions(master)
        return bool(told[master.plan.name] == told[slave.plan.name] and told[slave.plan.name]["pbx-tiny"] == "1.0")

    assert wait_until(same, 30, 0.3), _versions(master)
    assert slave.say(["ishmael", "version"]).strip().endswith("0.1.1")
    tree = "cd /srv/firmware && find . -type f | sort | xargs md5sum"
    assert slave.say(["sh", "-c", tree]) == master.say(["sh", "-c", tree])
    assert _status(slave)["cluster_ip"] == plan.CLUSTER_IP


# What the program leaves where it wrote for a service: its own notes, and what lay there before.
_SERVED = """
mkdir -p /var/lib/ishmael/salvage/find-1 /etc/chrony && echo data >/var/lib/ishmael/salvage/find-1/x
echo ours >/etc/chrony/ishmael-a.conf; echo ours >/etc/chrony/ishmael-b.conf; echo by-hand >/etc/chrony/ishmael-c.conf
cat >/var/lib/ishmael/services.json <<END
{"ntp": {"files": {"/etc/chrony/ishmael-a.conf": "$1", "/etc/chrony/ishmael-b.conf": "$1", "/etc/chrony/ishmael-c.conf": "$1"}}}
END
echo '{"/etc/chrony/ishmael-b.conf": ["YmVmb3JlCg==", 384]}' >/var/lib/ishmael/services-before.json
"""


def test_purge_leaves_no_node_behind(updating: Lab) -> None:
    """Purged in the middle of a cluster, a slave is the machine it was, its database takes writes; the master serves on."""
    cluster = updating.cluster
    master = cluster.master()
    assert master is not None
    slave = next(node for node in cluster.nodes if node is not master)
    slave.say(["sh", "-c", "systemctl stop ishmael-manager"])
    slave.say(["sh", "-c", _SERVED, "sh", hashlib.sha256(b"ours\n").hexdigest()])
    done = _apt(slave, "purge", "ishmael")
    assert done.returncode == 0, done.stderr
    assert "not all that the cluster changed" not in done.stdout + done.stderr, done.stdout
    assert slave.exec(["systemctl", "is-active", "corosync"]).stdout.strip() == "inactive"
    assert "ishmael-cluster" not in slave.say(["cat", "/root/.ssh/authorized_keys"])
    left = slave.say(
        ["sh", "-c", "ls -d /etc/ishmael /var/lib/ishmael/* /usr/lib/ishmael /etc/apt/apt.conf.d/60ishmael || true"]
    )
    assert left.split() == ["/var/lib/ishmael/salvage"] and "stays in /var/lib/ishmael/salvage" in done.stdout
    assert slave.say(["cat", "/var/lib/ishmael/salvage/find-1/x"]) == "data\n"
    served = slave.say(["sh", "-c", "cd /etc/chrony && for f in ishmael-*.conf; do stat -c '%n %a' $f; cat $f; done"])
    assert served.split() == ["ishmael-b.conf", "600", "before", "ishmael-c.conf", "644", "by-hand"]
    assert _status(master)["holds_cluster_ip"] is True
    # The database is its own again: it takes writes, waits for nobody, and starts at boot.
    ours = slave.say(
        ["sh", "-c", "grep -rl ishmael /etc/postgresql || true; ls /var/lib/postgresql/*/*/standby.signal || true"]
    )
    assert ours == ""
    write = "su postgres -c \"psql -Atc 'CREATE TABLE own(a int); INSERT INTO own VALUES (7); TABLE own'\""
    assert "7" in slave.say(["sh", "-c", write]).split()
    assert slave.say(["sh", "-c", "cat /etc/postgresql/*/*/start.conf"]).strip() == "auto"
    assert slave.say(["systemctl", "is-active", "asterisk"]).strip() == "active"
    # Alone it is an ordinary machine: nothing is locked, and apt works.
    assert _apt(slave, "install", "/root/pbx-tiny_2.0_all.deb", "/root/libpbx-tiny_7_all.deb").returncode == 0
