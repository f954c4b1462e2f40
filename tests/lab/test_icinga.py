"""A real icinga2 in the lab's client: it accepts what the product prints, and its API shows each state change of a fault."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from ishmael.lab import client, plan
from ishmael.lab.icinga import Icinga
from ishmael.lab.node import Node
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault
from tests.lab.conftest import Lab

pytestmark = pytest.mark.lab
_OK, _CRITICAL, _UNKNOWN = 0, 2, 3
_CLUSTER = ("ishmael", "telephony")


def _two(lab: Lab) -> tuple[Node, Node]:
    master = lab.cluster.master()
    assert master is not None
    return master, next(node for node in lab.cluster.nodes if node.plan != master.plan)


@pytest.fixture
def icinga(complete: Lab) -> Iterator[Icinga]:
    """An Icinga with the objects that the product prints, to which the master pushes."""
    found, (master, _) = Icinga(complete.plan), _two(complete)
    try:
        found.open(master.say(["ishmael", "icinga", "config"]))
        found.use(master, complete.cluster.nodes)
        yield found
    finally:
        found.close()
        serving = complete.cluster.master()
        if serving is not None:
            serving.say(["ishmael", "icinga", "set", "--url", ""])


def _output(icinga: Icinga, host: str, service: str) -> str:
    result = icinga.services()[host, service]["last_check_result"]
    return str(result["output"]) if result else ""


def _says(icinga: Icinga, host: str, service: str, state: int, words: str = "") -> bool:
    return int(icinga.services()[host, service]["state"]) == state and words in _output(icinga, host, service)


def _pushed(icinga: Icinga) -> dict[tuple[str, str], dict[str, Any]]:
    """What the cluster itself has told, not the freshness check."""
    return {
        key: row
        for key, row in icinga.services().items()
        if (row["last_check_result"] or {}).get("check_source") == "ishmael"
    }


def _state(icinga: Icinga) -> int:
    return int(icinga.services()[_CLUSTER]["state"])


def test_every_service_has_a_result_and_a_fault_is_seen_to_come_and_go(complete: Lab, icinga: Icinga) -> None:
    """All of both nodes and telephony; Asterisk stops, and is there again."""
    master, slave = _two(complete)
    first, second = master.plan.name, slave.plan.name
    checks = json.loads(master.say(["ishmael", "checks", "--json"]))["checks"]
    names = {row["name"] for row in checks}
    wanted = {(node, name) for node in (first, second) for name in names} | {_CLUSTER}
    assert set(icinga.services()) == wanted
    assert wait_until(lambda: set(_pushed(icinga)) == wanted, 30, 0.5), wanted - set(_pushed(icinga))
    assert _says(icinga, second, "ami", _OK, f"not looked at while {second} is slave")
    assert wait_until(lambda: _state(icinga) != _CRITICAL, 30, 0.5), _output(icinga, *_CLUSTER)

    master.say(["systemctl", "kill", "-s", "STOP", "asterisk.service"])
    try:
        assert wait_until(lambda: _says(icinga, first, "ami", _CRITICAL), 40, 0.5), _output(icinga, first, "ami")
        assert wait_until(partial(_says, icinga, *_CLUSTER, _CRITICAL, "Asterisk"), 30, 0.2), _output(icinga, *_CLUSTER)
    finally:
        master.say(["systemctl", "kill", "-s", "CONT", "asterisk.service"])
    assert wait_until(lambda: _says(icinga, first, "ami", _OK), 40, 0.5), _output(icinga, first, "ami")
    # Not the state of before: the lamp tells of a pause of the machine for an hour.
    assert wait_until(lambda: _state(icinga) != _CRITICAL, 30, 0.5), _output(icinga, *_CLUSTER)
    # The stream of events comes some seconds after the state.
    assert wait_until(lambda: icinga.changes(first, "ami")[-2:] == [_CRITICAL, _OK], 10), icinga.changes(first, "ami")
    assert wait_until(lambda: _CRITICAL in icinga.changes(*_CLUSTER)[:-1], 10), icinga.changes(*_CLUSTER)
    assert icinga.changes(*_CLUSTER)[-1] != _CRITICAL


def test_the_new_master_pushes_after_a_power_cut(complete: Lab, icinga: Icinga) -> None:
    """What the dead node was asked is UNKNOWN and says why; once it is back and re-added all is as before."""
    master, slave = _two(complete)
    first, second = master.plan.name, slave.plan.name
    assert wait_until(lambda: len(_pushed(icinga)) == len(icinga.services()), 30, 0.5)
    try:
        assert complete.json("fault", "power-cut", first)
        gone = f"{second} does not reach {first}"
        assert wait_until(lambda: _says(icinga, first, "ami", _UNKNOWN, gone), 30, 0.5), _output(icinga, first, "ami")
        assert wait_until(lambda: _says(icinga, second, "ami", _OK, "Ping"), 45, 0.5), _output(icinga, second, "ami")
        assert _says(icinga, *_CLUSTER, 1) or _says(icinga, *_CLUSTER, _CRITICAL), _output(icinga, *_CLUSTER)
    finally:
        complete.json("heal")
    complete.cluster.re_add_standby()
    complete.cluster.wait_complete()
    told = f"not looked at while {first} is slave"
    assert wait_until(lambda: _says(icinga, first, "ami", _OK, told), 20, 0.5), _output(icinga, first, "ami")


def test_icinga_accepts_the_commands_alone(complete: Lab, icinga: Icinga) -> None:
    """As agents get them. And `icinga2 daemon -C` is asked at all: what is no configuration is refused."""
    master, _ = _two(complete)
    commands = master.say(["ishmael", "icinga", "config", "--part", "commands"])
    assert 'object CheckCommand "ishmael"' in commands
    icinga.check(commands)
    with pytest.raises(HostFault, match="daemon -C"):
        icinga.check(commands + "object Nonsense {")


def test_prometheus_can_scrape_with_a_token(complete: Lab) -> None:
    """A viewer's token at the cluster IP, with the cluster's certificate as the only one that is trusted."""
    master, _ = _two(complete)
    token = json.loads(master.say(["ishmael", "user", "add-token", "prometheus", "--role", "viewer", "--json"]))
    certificate = complete.plan.run_directory / "prometheus.pem"
    certificate.write_text(master.say(["cat", "/etc/ishmael/web/tls.pem"]))
    url = f"https://{plan.CLUSTER_IP}/api/v1/metrics"
    words = ["curl", "-sS", "--cacert", str(certificate), "-w", "%{http_code} %{content_type}\n"]

    def ask(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            client.command(complete.plan, [*words, *more, url]), capture_output=True, text=True, check=False
        )

    try:
        # The test before has cut the power of a master.
        assert wait_until(lambda: ask().returncode == 0, 20, 0.5), ask().stderr
        refused, answered = ask(), ask("-H", f"Authorization: Bearer {token['token']}")
    finally:
        master.say(["ishmael", "user", "remove-token", str(token["id"])])
    assert "401" in refused.stdout
    assert "200 text/plain; version=0.0.4" in answered.stdout
    assert (
        "ishmael_master 1\n" in answered.stdout and f'ishmael_node_role{{node="{master.plan.name}"' in answered.stdout
    )
