"""What a reset must leave behind, whichever release and node: a machine that stands alone, also after it has booted again."""

from __future__ import annotations

import json

from tests.lab.conftest import Lab


def failed_units(lab: Lab, node: str) -> str:
    """Units of a node that failed, one a line."""
    return lab.sh(node, "systemctl list-units --failed --plain --no-legend")


def _reads_its_page(lab: Lab, node: str) -> str:
    look = (
        "import ssl, urllib.request; print(urllib.request.urlopen("
        f"'https://{lab.plan.node(node).phone_ip}/', context=ssl._create_unverified_context()).status)"
    )
    return lab.sh(node, f'python3 -c "{look}"')


def _stands_alone(lab: Lab, node: str) -> None:
    status = json.loads(lab.sh(node, "ishmael status --json"))
    assert (status["state"], status["role"]) == ("alone", "out")


def emergency(lab: Lab, node: str) -> None:
    """A node without a slave, with neither keeper nor manager left, takes the cluster IP as its own and boots again: alone,
    serving, nothing failed."""
    lab.sh(node, "systemctl mask --now ishmael-keeper && systemctl stop ishmael-manager")
    lab.sh(node, "ishmael-reset-cluster --take-cluster-ip --yes")
    assert "10.77.0.10/" in lab.sh(node, "ip -4 addr")
    assert lab.sh(node, "systemctl is-active asterisk ishmael-manager").split() == ["active", "active"]
    lab.sh(node, "systemctl unmask ishmael-keeper")
    lab.json("reboot", node)
    _stands_alone(lab, node)
    assert "10.77.0.10/" in lab.sh(node, "ip -4 addr")
    assert "online" in lab.sh(node, "pg_lsclusters --no-header")
    assert failed_units(lab, node) == ""
    assert _reads_its_page(lab, node) == "200"
    lab.sh(node, "ishmael-reset-cluster --give-up-cluster-ip")
    assert "10.77.0.10/" not in lab.sh(node, "ip -4 addr")


def in_peace(lab: Lab, node: str) -> None:
    """A removed node is reset and boots again: alone, without the cluster IP."""
    lab.cluster.ask(next(each for each in lab.cluster.nodes if each.plan.name == node), "reset")
    lab.json("reboot", node)
    _stands_alone(lab, node)
    assert "10.77.0.10/" not in lab.sh(node, "ip -4 addr")
