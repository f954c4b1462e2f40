"""The join code: one paste, proofs in both directions, nothing typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ishmael.manager.works.join_code import JoinCode, make_join_code, proof, read_join_code
from ishmael.words import places
from ishmael.words.errors import Finding, RequestRefused
from manager.helpers import done, findings, run, stage
from manager.world import CLUSTER_KEY, OTHER_KEY, World


def _code(world: World) -> JoinCode:
    settings = world.machines[0].settings()
    assert settings is not None
    return make_join_code(world.machines[0].hands, settings, settings.nodes[0])


def _master(where: Path) -> World:
    world = World()
    stage(world, "master", where)
    return world


def test_one_paste_and_nothing_typed(tmp_path: Path) -> None:
    """Prepared with the code, the node is found by itself; the secret is spent afterwards, and a new code differs."""
    world = _master(tmp_path)
    first, second = world.machines
    code = _code(world)
    told = done(second, "prepare-slave", {"join": f"  {code.text()[:50]}\n{code.text()[50:]}  "}, tmp_path)
    assert (told.result["cluster"], told.result["master"]) == ("ishmael", "node1")
    assert second.files.mode(places.JOIN_SECRET) == 0o600
    job = done(first, "add-slave", {}, tmp_path)
    assert job.result["slave"] == "node2"
    settings = second.settings()
    assert settings is not None
    assert settings.nodes[1].phone_ip == "10.77.0.12"
    assert first.files.read(places.JOIN_SECRET) is None


def test_the_key_field_takes_a_code_too(tmp_path: Path) -> None:
    """A form with one field takes whichever of the two was pasted."""
    world = _master(tmp_path)
    done(world.machines[1], "prepare-slave", {"key": _code(world).text()}, tmp_path)
    assert findings(world.machines[0], "add-slave", {}, tmp_path) == []


def test_the_code_is_not_shown_again(tmp_path: Path) -> None:
    """A job that carries a join code does not show its secret to whoever may list jobs."""
    world = _master(tmp_path)
    code = _code(world)
    job = done(world.machines[1], "prepare-slave", {"join": code.text()}, tmp_path)
    assert code.secret not in str(job.to_mapping())
    assert job.to_mapping()["arguments"]["join"] == "ishmael-join-..."


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda text: text[:-9], "join-code-damaged"),
        (lambda text: text[:60], "join-code-damaged"),
        (lambda text: text.replace("1-", "2-", 1), "no-join-code"),
        (lambda _: "hello", "no-join-code"),
        (lambda _: CLUSTER_KEY, "no-join-code"),
        (lambda _: "ishmael-join-1-.", "join-code-damaged"),
        (lambda _: "ishmael-join-1-" + "x" * 4000, "join-code-damaged"),
    ],
)
def test_a_damaged_code_is_refused(change: Callable[[str], str], code: str, tmp_path: Path) -> None:
    """Half a paste, another version, or anything else is named, and nothing is touched."""
    world = _master(tmp_path)
    text = change(_code(world).text())
    before = world.image()
    assert findings(world.machines[1], "prepare-slave", {"join": text}, tmp_path) == [code]
    assert world.image() == before


def test_reading_is_the_inverse_of_writing() -> None:
    """What a code says survives the way through a clipboard."""
    code = JoinCode("Büro", CLUSTER_KEY, "pbx1", "SHA256:x", "10.255.0.1", "192.168.1.11", "ab" * 16)
    assert read_join_code(code.text()) == code
    assert isinstance(read_join_code(JoinCode("b", "no key", "p", "f", "10.0.0.1", "10.1.0.1", "ab").text()), Finding)


def _swap(world: World) -> None:
    phone, cable = world.machines[1].network.found
    world.machines[1].network.found = [
        type(phone)(phone.name, phone.mac, True, True, cable.addresses),
        type(cable)(cable.name, cable.mac, True, True, ("10.99.0.1/24",)),
    ]


def _master_off(world: World) -> None:
    world.machines[0].on = False


def _other_master(world: World) -> None:
    world.machines[0].network.found[1] = (
        world.machines[0].network.found[1].__class__("cable0", "02:00:00:00:01:02", True, True, ("10.78.0.2/30",))
    )
    world.machines[1].network.found[1] = (
        world.machines[1].network.found[1].__class__("cable0", "02:00:00:00:02:02", True, True, ("10.78.0.1/30",))
    )


def _same_name(world: World) -> None:
    world.machines[1].host.host_name = "node1"


@pytest.mark.parametrize(
    ("fault", "codes"),
    [
        (_swap, {"network-missing"}),
        (_master_off, {"master-unreachable"}),
        (_other_master, {"other-master"}),
        (_same_name, {"same-host-name"}),
    ],
)
def test_both_cables_lead_to_the_master(fault: Callable[[World], Any], codes: set[str], tmp_path: Path) -> None:
    """Preparing with a code looks at the master over both networks, and says which of them is wrong."""
    world = _master(tmp_path)
    text = _code(world).text()
    fault(world)
    before = world.image()
    assert set(findings(world.machines[1], "prepare-slave", {"join": text}, tmp_path)) == codes
    assert world.image() == before


def test_only_who_knows_the_secret_is_found(tmp_path: Path) -> None:
    """A machine that accepts the cluster's key but was not prepared with the code is not taken for the slave."""
    world = _master(tmp_path)
    first, second = world.machines
    assert findings(first, "add-slave", {}, tmp_path) == ["no-join-secret"]
    _code(world)
    done(second, "prepare-slave", {"key": CLUSTER_KEY}, tmp_path)
    assert findings(first, "add-slave", {}, tmp_path) == ["no-slave-found"]
    second.files.write(places.JOIN_SECRET, b"00" * 16, 0o600)
    assert findings(first, "add-slave", {}, tmp_path) == ["no-slave-found"]
    assert proof("a", "n", OTHER_KEY, "h") != proof("a", "m", OTHER_KEY, "h")


def test_half_typed_is_refused(tmp_path: Path) -> None:
    """Either everything is typed or nothing."""
    world = _master(tmp_path)
    with pytest.raises(RequestRefused) as refused:
        run(world.machines[0], "add-slave", {"name": "node2"}, tmp_path)
    assert {found.field for found in refused.value.findings} == {"phone_ip", "internal_ip"}


def test_services_that_do_not_work_are_named_and_can_be_overridden(tmp_path: Path) -> None:
    """Each of DNS, clock, mail and fax is a finding of its own (S4)."""
    world = World()
    first = world.machines[0]
    first.surroundings.broken = {"dns", "clock", "mail", "fax"}
    wanted = ["dns-silent", "clock-not-in-step", "mail-not-accepted", "fax-not-set-up"]
    arguments = {"cluster_ip": "10.77.0.10", "phone_nic": "phone0", "internal_nic": "cable0"}
    assert findings(first, "setup-master", arguments, tmp_path) == wanted
    assert run(first, "setup-master", arguments, tmp_path, tuple(wanted)).state == "done"


def test_a_reset_takes_the_cluster_ip_only_when_nobody_has_it(tmp_path: Path) -> None:
    """The former cluster IP becomes an own address after an ARP probe; refused while somebody answers for it."""
    world = _master(tmp_path)
    first = world.machines[0]
    first.services.add("ishmael-address.service", enabled=False, active=False)
    first.network.answering["10.77.0.10"] = "02:bb:00:00:00:01"
    assert findings(first, "reset", {"take_cluster_ip": True}, tmp_path) == ["cluster-ip-taken"]
    del first.network.answering["10.77.0.10"]
    job = run(first, "reset", {"take_cluster_ip": True}, tmp_path)
    assert job.state == "done", job.error
    assert first.files.read(places.TAKEN_ADDRESS) == b"10.77.0.10/24 phone0\n"
    assert first.services.units["ishmael-address.service"] == {"enabled": True, "active": True}
    assert first.files.read(places.JOIN_SECRET) is None
    fresh = World().machines[0]
    assert findings(fresh, "reset", {"take_cluster_ip": True}, tmp_path) == ["not-set-up"]


def test_a_failover_tells_the_calls_that_are_up(tmp_path: Path) -> None:
    """The preview of a failover names the number of calls that will be cut."""
    from ishmael.manager.jobs.journal import Journal
    from ishmael.manager.jobs.queue import Queue
    from ishmael.manager.works.catalogue import catalogue

    world = World()
    stage(world, "complete", tmp_path)
    world.machines[0].surroundings.up = 3
    journal = Journal(str(tmp_path / "plan.sqlite"))
    facts = Queue(journal, catalogue(world.machines[0].hands)).plan("failover", {}, ())["facts"]
    journal.close()
    assert facts["calls"] == "3 up; they are cut"
