"""A slave that cannot be added, or brought back: each fault is told in one go, and both nodes stay as they were."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ishmael.manager.ports.network import Nic, Route
from ishmael.manager.works.machine import OWN_HOST_KEY
from ishmael.words import places
from ishmael.words.errors import IshmaelError
from ishmael.words.roles import Role
from manager.helpers import SLAVE, findings, run, stage
from manager.world import HOST_KEYS, OTHER_KEY, World


def _new_address(world: World, nic: int, address: str) -> None:
    nics = world.machines[1].network.found
    nics[nic] = replace(nics[nic], addresses=(address,))


def _swap_cables(world: World) -> None:
    """Behind the telephone address another machine answers than behind the internal one."""
    world.strangers[SLAVE["phone_ip"]] = OTHER_KEY


def _forwarded(world: World) -> None:
    """Behind the telephone address the right machine answers, which does not have that address itself."""
    world.strangers[SLAVE["phone_ip"]] = HOST_KEYS["node2"]
    _new_address(world, 0, "10.77.0.13/24")


def _office(world: World) -> None:
    """A third interface of the other machine, in a network around the cable's."""
    world.machines[1].network.found.append(Nic("office0", "02:00:00:00:09:09", True, True, ("10.78.0.77/24",)))


ADD_FAULTS: dict[str, tuple[Callable[[World], Any], Mapping[str, Any], str, int]] = {
    "off": (lambda w: setattr(w.machines[1], "on", False), {}, "peer-unreachable", 4),
    "own name": (lambda w: None, {"name": "node1"}, "same-host-name", 3),
    "same name": (lambda w: setattr(w.machines[1].host, "host_name", "NODE1"), {}, "same-host-name", 3),
    "other name": (lambda w: None, {"name": "node3"}, "other-host-name", 3),
    "other version": (lambda w: setattr(w.machines[1].host, "software", "0.2.0"), {}, "version-differs", 4),
    "other architecture": (lambda w: setattr(w.machines[1].host, "machine", "aarch64"), {}, "architecture-differs", 4),
    "clock": (lambda w: setattr(w.machines[1].host, "clock_s", 1003.0), {}, "clock-differs", 4),
    "wrong network": (lambda w: None, {"phone_ip": "10.99.0.12"}, "outside-network", 3),
    "own ip": (lambda w: None, {"phone_ip": "10.77.0.11"}, "same-address", 3),
    "cluster ip": (lambda w: None, {"phone_ip": "10.77.0.10"}, "nodes-own-address", 3),
    "cables swapped": (_swap_cables, {}, "two-machines", 3),
    "address of something in between": (_forwarded, {}, "address-not-there", 3),
    "no space": (lambda w: setattr(w.machines[1].files, "free_bytes", lambda _path: 1000), {}, "disk-full", 4),
    "prefix": (lambda w: _new_address(w, 1, "10.78.0.2/24"), {}, "prefix-differs", 4),
    "cable's network elsewhere": (_office, {}, "internal-network-overlaps", 3),
    "route to the cable's network": (
        lambda w: w.machines[1].network.table.append(Route("10.78.0.0/16", "10.77.0.1", "phone0")),
        {},
        "internal-network-overlaps",
        3,
    ),
    "no corosync": (lambda w: setattr(w.machines[1].corosync, "there", False), {}, "corosync-missing", 4),
    "cluster's key lost": (lambda w: w.machines[0].files.remove(places.CLUSTER_KEY), {}, "cluster-key-missing", 5),
    "own host key lost": (lambda w: w.machines[0].files.remove(OWN_HOST_KEY), {}, "host-key-missing", 5),
    "key lost": (lambda w: w.machines[0].files.remove(places.COROSYNC_KEY), {}, "corosync-key-wrong", 5),
    "serving": (lambda w: setattr(w.machines[1].keeper, "role", Role.MASTER), {}, "peer-is-master", 3),
    "not let in": (lambda w: w.machines[1].files.remove(places.AUTHORIZED_KEYS), {}, "peer-refuses-key", 4),
}


@pytest.mark.parametrize("name", ADD_FAULTS)
def test_add_refuses(name: str, tmp_path: Path) -> None:
    """Each fault of the slave is told with whose fault it is, and both nodes are as before."""
    world = World()
    stage(world, "prepared", tmp_path)
    fault, changes, code, exit_code = ADD_FAULTS[name]
    fault(world)
    before = world.image()
    with pytest.raises(IshmaelError) as refused:
        run(world.machines[0], "add-slave", {**SLAVE, **changes}, tmp_path)
    assert code in [finding.code for finding in refused.value.findings]
    assert refused.value.exit_code == exit_code, refused.value.findings
    assert world.image() == before


@pytest.mark.parametrize("name", ["other architecture", "clock", "cables swapped", "no space", "no corosync", "off"])
def test_re_add_refuses(name: str, tmp_path: Path) -> None:
    """The same faults of a node that is brought back, and both are as before."""
    world = World()
    stage(world, "complete", tmp_path)
    world.machines[1].keeper.role = Role.STANDBY
    fault, _, code, exit_code = ADD_FAULTS[name]
    fault(world)
    before = world.image()
    with pytest.raises(IshmaelError) as refused:
        run(world.machines[0], "re-add", {}, tmp_path)
    assert code in [finding.code for finding in refused.value.findings]
    assert refused.value.exit_code == exit_code, refused.value.findings
    assert world.image() == before


def test_add_refuses_a_node_of_another_cluster(tmp_path: Path) -> None:
    """A node that has a master elsewhere is not taken away from it."""
    world, elsewhere = World(), World()
    stage(world, "prepared", tmp_path)
    stage(elsewhere, "complete", tmp_path)
    stolen, files = world.machines[1], elsewhere.machines[1].files
    stolen.files.content = {**files.content, places.CLUSTER_KEY_PUBLIC: (f"{OTHER_KEY} x\n".encode(), 0o644)}
    assert findings(world.machines[0], "add-slave", SLAVE, tmp_path) == ["in-another-cluster"]


def test_an_older_node_tells_no_routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be added all the same: its addresses are looked at."""
    world = World()
    stage(world, "prepared", tmp_path)
    node_kind = type(world.machines[0].hands.node)
    asked: Callable[..., Mapping[str, Any]] = node_kind.ask

    def ask(node: Any, peer: Any, op: str, *rest: Any, **more: Any) -> Mapping[str, Any]:
        answer = dict(asked(node, peer, op, *rest, **more))
        if op == "hello":
            del answer["routes"]
        return answer

    monkeypatch.setattr(node_kind, "ask", ask)
    assert findings(world.machines[0], "add-slave", SLAVE, tmp_path) == []
