"""Every work: what stands against it, what it does, and that a cut or a failure leaves nothing half-done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ishmael.manager.jobs.journal import Journal
from ishmael.manager.jobs.model import JobState
from ishmael.manager.jobs.queue import Queue
from ishmael.manager.jobs.runner import Runner
from ishmael.manager.ports.network import Nic, Route
from ishmael.manager.works.base import Notes, Step, Work
from ishmael.manager.works.catalogue import catalogue
from ishmael.manager.works.failover import SETTLE_MS
from ishmael.words import places
from ishmael.words.errors import HostFault, IshmaelError
from ishmael.words.roles import Role
from manager.helpers import SET_UP, SLAVE, Cut, Hurt, done, findings, hurt_factory, run, stage
from manager.world import CLUSTER_KEY, GATEWAY, OTHER_KEY, World

CASES: list[tuple[str, str, int, Mapping[str, Any]]] = [
    ("setup-master", "fresh", 0, SET_UP),
    ("prepare-slave", "master", 1, {"key": CLUSTER_KEY}),
    ("add-slave", "prepared", 0, SLAVE),
    ("re-add", "standby", 1, {}),
    ("remove-slave", "complete", 0, {}),
    ("failover", "complete", 0, {}),
    ("reset", "master", 0, {}),
]


def steps_of(world: World, case: tuple[str, str, int, Mapping[str, Any]], where: Path) -> int:
    work, _, machine, arguments = case
    journal = Journal(str(where / "count.sqlite"))
    plan = Queue(journal, catalogue(world.machines[machine].hands)).plan(work, arguments, ())
    journal.close()
    return int(plan["steps"])


def each_place(case: tuple[str, str, int, Mapping[str, Any]], where: Path) -> Iterator[tuple[int, bool]]:
    world = World()
    stage(world, case[1], where)
    for at in range(1, steps_of(world, case, where) + 1):
        yield at, False
        yield at, True


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_cut_anywhere_and_resumed_ends_the_same(
    case: tuple[str, str, int, Mapping[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A work killed before or after any step, then resumed by a new manager, ends as if it had not been killed."""
    work, begin, number, arguments = case
    straight = World()
    stage(straight, begin, where := tmp_path_factory.mktemp("straight"))
    done(straight.machines[number], work, arguments, where)
    for at, late in each_place(case, tmp_path_factory.mktemp("places")):
        world = World()
        stage(world, begin, where := tmp_path_factory.mktemp("cut"))
        path, machine = str(where / "job.sqlite"), world.machines[number]
        works = catalogue(machine.hands)
        journal = Journal(path)
        job = Queue(journal, works).submit(work, arguments, ())
        cut = {**works, work: hurt_factory(works[work], at, late, Cut())}
        with pytest.raises(Cut):
            Runner(journal, cut, nullcontext).run_next()
        assert journal.job(job.id).state == JobState.RUNNING
        journal.close()
        journal = Journal(path)
        Runner(journal, catalogue(machine.hands), nullcontext).run_next()
        ended = journal.job(job.id)
        journal.close()
        assert ended.state == JobState.DONE, (at, late, ended.error)
        assert world.image() == straight.image(), (at, late)


UNDOABLE = [case for case in CASES if case[0] in ("setup-master", "prepare-slave", "add-slave")]


@pytest.mark.parametrize("case", UNDOABLE, ids=lambda case: case[0])
def test_failing_anywhere_is_undone(
    case: tuple[str, str, int, Mapping[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A step that fails, whether it has acted or not, leaves both machines serving and enabled as before."""
    work, begin, number, arguments = case
    for at, late in each_place(case, tmp_path_factory.mktemp("places")):
        world = World()
        stage(world, begin, where := tmp_path_factory.mktemp("fail"))
        before = world.image()
        machine = world.machines[number]
        works = catalogue(machine.hands)
        journal = Journal(str(where / "job.sqlite"))
        job = Queue(journal, works).submit(work, arguments, ())
        failing = {**works, work: hurt_factory(works[work], at, late, HostFault("broken", "It broke.", "Mend it."))}
        Runner(journal, failing, nullcontext).run_next()
        ended = journal.job(job.id)
        journal.close()
        assert ended.state == JobState.FAILED
        assert ended.error is not None
        assert (ended.error["code"], ended.error["hint"]) == ("broken", "Mend it."), (at, late)
        assert world.image() == before, (at, late)


def test_undo_cut_is_taken_up_again(tmp_path: Path) -> None:
    """A manager killed while it undoes goes on undoing at its next start, and does not begin to act again."""
    world = World()
    before = world.image()
    machine = world.machines[0]
    works = catalogue(machine.hands)
    journal = Journal(str(tmp_path / "job.sqlite"))
    job = Queue(journal, works).submit("setup-master", SET_UP, ())

    def make(arguments: Mapping[str, Any], notes: Notes) -> Work:
        hurt = Hurt(works["setup-master"](arguments, notes), 6, True, HostFault("broken", "It broke.", ""))
        straight: Callable[[], Sequence[Step]] = hurt.steps

        def cut() -> None:
            raise Cut

        def steps() -> Sequence[Step]:
            made = list(straight())
            made[3] = replace(made[3], undo=cut)
            return made

        hurt.steps = steps  # type: ignore[method-assign]
        return hurt

    with pytest.raises(Cut):
        Runner(journal, {"setup-master": make}, nullcontext).run_next()
    assert journal.job(job.id).state == JobState.UNDOING
    Runner(journal, works, nullcontext).run_next()
    ended = journal.job(job.id)
    assert (ended.state, ended.error and ended.error["code"]) == (JobState.FAILED, "broken")
    assert world.image() == before
    journal.close()


# Set up master


def _change_nic(world: World, index: int, **changes: Any) -> None:
    nics = world.machines[0].network.found
    nics[index] = replace(nics[index], **changes)


def _routed(world: World) -> None:
    nics = world.machines[0].network.found
    nics.append(Nic("office0", "02:00:00:00:09:09", True, True, ("10.78.0.77/24",)))


SET_UP_FAULTS: dict[str, tuple[Callable[[World], Any], Mapping[str, Any], str]] = {
    "nic missing": (lambda w: None, {"phone_nic": "eth7"}, "nic-missing"),
    "nic down": (lambda w: _change_nic(w, 0, up=False, carrier=False), {}, "nic-down"),
    "no link": (lambda w: _change_nic(w, 0, carrier=False), {}, "nic-no-link"),
    "no address": (lambda w: _change_nic(w, 1, addresses=()), {}, "nic-no-address"),
    "same nic twice": (lambda w: None, {"internal_nic": "phone0"}, "same-nic-twice"),
    "no address typed": (lambda w: None, {"cluster_ip": "ten"}, "not-an-address"),
    "outside": (lambda w: None, {"cluster_ip": "10.79.0.10"}, "outside-telephone-network"),
    "own address": (lambda w: None, {"cluster_ip": "10.77.0.11"}, "nodes-own-address"),
    "taken": (lambda w: w.machines[0].network.answering.update({"10.77.0.10": "02:bb"}), {}, "cluster-ip-taken"),
    "no reference": (lambda w: w.machines[0].network.table.clear(), {}, "no-reference"),
    "silent reference": (lambda w: None, {"references": [GATEWAY, "10.77.0.9"]}, "reference-silent"),
    "no corosync": (lambda w: setattr(w.machines[0].corosync, "there", False), {}, "corosync-missing"),
    "overlap": (_routed, {}, "internal-network-overlaps"),
    "route": (
        lambda w: w.machines[0].network.table.append(Route("10.78.0.0/16", GATEWAY, "phone0")),
        {},
        "internal-network-overlaps",
    ),
    "public": (lambda w: _change_nic(w, 1, addresses=("8.8.8.9/30",)), {}, "internal-network-public"),
    "no unit": (lambda w: w.machines[0].services.units.pop("asterisk.service"), {}, "unit-missing"),
    "no profile": (lambda w: None, {"profile": "../../etc/passwd"}, "no-such-profile"),
    "cluster name": (lambda w: None, {"cluster_name": "x\n}\ntotem {"}, "bad-cluster-name"),
    "long cluster name": (lambda w: None, {"cluster_name": "x" * 4000}, "bad-cluster-name"),
    "mail address": (lambda w: None, {"email": "a@b\nBcc: x"}, "bad-email"),
    "policy": (lambda w: None, {"policy": "luck-first"}, "unknown-policy"),
    "ssh closed": (lambda w: setattr(w.machines[0].keys, "objection", "Root stays out."), {}, "ssh-closed"),
    "wrong own address": (lambda w: None, {"phone_ip": "10.77.0.99"}, "address-not-here"),
}


@pytest.mark.parametrize("name", SET_UP_FAULTS)
def test_set_up_refuses(name: str, tmp_path: Path) -> None:
    """Each fault of the machine or the form is a finding of its own, and nothing is touched."""
    world = World()
    fault, changes, code = SET_UP_FAULTS[name]
    fault(world)
    before = world.image()
    assert findings(world.machines[0], "setup-master", {**SET_UP, **changes}, tmp_path) == [code]
    assert world.image() == before


def test_an_address_that_is_none_is_told_beside_fields_that_are_missing(tmp_path: Path) -> None:
    """Whoever left fields empty learns of the wrong one at once, too."""
    with pytest.raises(IshmaelError) as caught:
        findings(World().machines[0], "setup-master", {"cluster_ip": "<b>"}, tmp_path)
    told = [(finding.field, finding.code) for finding in caught.value.findings]
    assert told == [("phone_nic", "missing"), ("internal_nic", "missing"), ("cluster_ip", "not-an-address")]


def test_five_faults_are_five_findings(tmp_path: Path) -> None:
    """All findings come at once."""
    world = World()
    world.machines[0].corosync.there = False
    wish = {**SET_UP, "cluster_ip": "10.77.0.11", "policy": "x", "references": ["10.77.0.8"], "profile": "none"}
    found = findings(world.machines[0], "setup-master", wish, tmp_path)
    assert sorted(found) == [
        "corosync-missing", "no-such-profile", "nodes-own-address", "reference-silent", "unknown-policy",
    ]  # fmt: skip


def test_set_up_leaves_a_master(tmp_path: Path) -> None:
    """Keys are closed to others, Corosync rests, the workload is the keeper's, and the key is handed out."""
    world = World()
    machine = world.machines[0]
    job = done(machine, "setup-master", SET_UP, tmp_path)
    assert job.result["ssh_public_key"] == f"{CLUSTER_KEY} ishmael-cluster"
    assert job.progress == "8/8 form the cluster and take the cluster IP"
    assert machine.files.mode(places.CLUSTER_KEY) == 0o600
    assert machine.files.mode(places.COROSYNC_KEY) == 0o400
    assert machine.services.units["asterisk.service"]["enabled"] is False
    assert machine.services.units["corosync.service"] == {"enabled": False, "active": False}
    assert machine.network.switches["net.ipv4.ip_nonlocal_bind"] == "1"
    assert machine.keeper.role == Role.MASTER
    keys = (machine.files.read(places.AUTHORIZED_KEYS) or b"").decode().splitlines()
    assert keys == [
        f"{OTHER_KEY} the-admin",
        f'restrict,command="/usr/bin/python3 -I -m ishmael.manager.door" {CLUSTER_KEY} ishmael-cluster',
    ]
    assert findings(machine, "setup-master", SET_UP, tmp_path) == ["already-set-up"]


# Prepare slave


@pytest.mark.parametrize(
    ("pasted", "code"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----", "private-key"),
        (f"{CLUSTER_KEY}\n{OTHER_KEY}", "several-keys"),
        ("hello", "no-public-key"),
        (CLUSTER_KEY[:-10], "no-public-key"),
        (CLUSTER_KEY.replace("ssh-ed25519", "ssh-rsa"), "no-public-key"),
        (f'command="rm -rf /" {CLUSTER_KEY}', "no-public-key"),
        ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ" + "C" * 171 + "==", "no-public-key"),
        ("ssh-ed25519 \x1b[31m", "no-public-key"),
    ],
)
def test_prepare_refuses(pasted: str, code: str, tmp_path: Path) -> None:
    """Only exactly one public key is let through; the door stays shut for everything else."""
    world = World()
    before = world.image()
    assert findings(world.machines[1], "prepare-slave", {"key": pasted}, tmp_path) == [code]
    with pytest.raises(IshmaelError) as refused:
        run(world.machines[1], "prepare-slave", {"key": pasted}, tmp_path)
    assert refused.value.exit_code == 3
    assert world.image() == before


def test_prepare_replaces_only_our_line(tmp_path: Path) -> None:
    """A second master's key takes the first one's place; the admin's own keys stay."""
    machine = World().machines[1]
    done(machine, "prepare-slave", {"key": OTHER_KEY}, tmp_path)
    done(machine, "prepare-slave", {"key": f"  {CLUSTER_KEY} comment\n"}, tmp_path)
    lines = (machine.files.read(places.AUTHORIZED_KEYS) or b"").decode().splitlines()
    assert lines[0] == f"{OTHER_KEY} the-admin"
    assert [CLUSTER_KEY in line for line in lines] == [False, True]


# Add slave


def test_add_makes_two_equal_nodes(tmp_path: Path) -> None:
    """Both nodes have the same settings, keys and Corosync files, and each may knock at the other's door."""
    world = World()
    stage(world, "complete", tmp_path)
    first, second = world.machines
    for path in (
        places.SETTINGS, places.COROSYNC_CONF, places.COROSYNC_KEY, places.CLUSTER_KEY, places.CLUSTER_KEY_PUBLIC,
        places.KNOWN_HOSTS, places.PROFILE, places.SYSCTL,
    ):  # fmt: skip
        assert first.files.content[path] == second.files.content[path], path
    for machine in world.machines:
        assert CLUSTER_KEY in (machine.files.read(places.AUTHORIZED_KEYS) or b"").decode()
        assert machine.services.units["corosync.service"] == {"enabled": True, "active": True}
        assert machine.services.units["asterisk.service"]["enabled"] is False
    assert (first.keeper.role, second.keeper.role) == (Role.MASTER, Role.SLAVE)
    assert findings(first, "add-slave", SLAVE, tmp_path) == ["has-a-slave"]
    assert findings(second, "add-slave", SLAVE, tmp_path) == ["not-master"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (lambda w: setattr(w.machines[1].corosync, "blocked", True), "no-corosync-contact"),
        (lambda w: setattr(w.machines[1].keeper, "deaf", True), "keeper-not-heard"),
        (lambda w: setattr(w.machines[1].keeper, "never_fit", True), "slave-not-fit"),
    ],
)
def test_add_gives_up_in_time(fault: Callable[[World], Any], code: str, tmp_path: Path) -> None:
    """A slave that does not come along ends the job as the peer's fault, with both nodes as before."""
    world = World()
    stage(world, "prepared", tmp_path)
    fault(world)
    if code == "no-corosync-contact":
        world.machines[0].corosync.blocked = True
    before = world.image()
    job = run(world.machines[0], "add-slave", SLAVE, tmp_path)
    assert job.error is not None
    assert (job.state, job.error["code"], job.error["whose"]) == (JobState.FAILED, code, "peer")
    assert world.image() == before
    assert world.clock.time_s < 120


# Re-add, remove, failover, reset


def test_re_add_brings_the_former_master_back(tmp_path: Path) -> None:
    """After a failover the new master re-adds the old one; it says which rung it took and what it moved."""
    world = World()
    stage(world, "standby", tmp_path)
    job = done(world.machines[1], "re-add", {}, tmp_path)
    assert {**job.result, "database": None} == {
        "slave": "node1", "node": 1, "rung": "none", "bytes_moved": 0, "bytes_kept": 0, "salvage": None, "database": None,
        "files_kept": [], "file_bytes_moved": 0, "updated": {}, "data_took_ms": None,
    }  # fmt: skip
    assert findings(world.machines[1], "re-add", {}, tmp_path) == ["already-complete"]


def test_re_add_of_a_bare_machine(tmp_path: Path) -> None:
    """A replaced machine with the old name gets everything anew; its other host key has to be overridden."""
    world = World()
    stage(world, "standby", tmp_path)
    bare = World().machines[0]
    bare.world = world
    world.machines[0] = bare
    done(bare, "prepare-slave", {"key": CLUSTER_KEY}, tmp_path)
    pins = world.machines[1].files
    pins.write(places.KNOWN_HOSTS, (pins.read(places.KNOWN_HOSTS) or b"").replace(b"DExMTEx", b"DExMTEy"), 0o600)
    assert findings(world.machines[1], "re-add", {}, tmp_path) == ["host-key-changed"]
    job = run(world.machines[1], "re-add", {}, tmp_path, override=("host-key-changed",))
    assert job.state == JobState.DONE, job.error
    assert job.result["bytes_moved"] > 0
    assert bare.files.content[places.SETTINGS] == world.machines[1].files.content[places.SETTINGS]


@pytest.mark.parametrize("reachable", [True, False])
def test_remove_leaves_a_master_alone(reachable: bool, tmp_path: Path) -> None:
    """The master goes on by itself, also when the slave cannot be told."""
    world = World()
    stage(world, "complete", tmp_path)
    first, second = world.machines
    second.on = reachable
    job = done(first, "remove-slave", {}, tmp_path)
    assert job.result == {"slave": "node2", "slave_withdrawn": reachable}
    settings = first.settings()
    assert settings is not None
    assert [node.name for node in settings.nodes] == ["node1"]
    assert first.keeper.role == Role.MASTER
    assert (second.files.read(places.SETTINGS) is None) == reachable
    if reachable:
        done(first, "add-slave", SLAVE, tmp_path)


def test_failover_only_to_a_fit_slave(tmp_path: Path) -> None:
    """A slave that is not fit is not handed anything."""
    world = World()
    stage(world, "complete", tmp_path)
    world.machines[1].keeper.never_fit = True
    assert findings(world.machines[0], "failover", {}, tmp_path) == ["failover-blocked"]
    assert "switch" not in world.machines[0].keeper.asked


def test_failover_to_this_node_when_nobody_serves(tmp_path: Path) -> None:
    """The data may be old: the admin is told so, and agrees to that by name."""
    world = World()
    stage(world, "complete", tmp_path)
    world.machines[0].on = False
    keeper = world.machines[1].keeper
    keeper.nobody = True
    assert findings(world.machines[1], "failover", {}, tmp_path) == ["old-data"]
    job = run(world.machines[1], "failover", {}, tmp_path, ("old-data",))
    assert (job.state, job.result["master"]) == (JobState.DONE, "node2")
    assert keeper.role == Role.MASTER


@pytest.mark.parametrize("number", [0, 1])
def test_failover_from_either_node(number: int, tmp_path: Path) -> None:
    """The admin may ask on the master or on the slave."""
    world = World()
    stage(world, "complete", tmp_path)
    result = done(world.machines[number], "failover", {}, tmp_path).result
    assert result == {"master": "node2", "files_left": 0, "files_waited_ms": 60}
    assert world.machines[0].following.asked == [SETTLE_MS], "the master is asked, whoever the admin sits at"
    assert world.machines[1].keeper.role == Role.MASTER


@pytest.mark.parametrize(
    ("waiting", "silent", "left", "told"), [(3, False, 3, "3 files had not"), (0, True, -1, "not known")]
)
def test_a_failover_does_not_wait_for_ever_for_files(
    waiting: int, silent: bool, left: int, told: str, tmp_path: Path
) -> None:
    """Files that do not get there in time, or nobody who knows, hold nothing up; it is told in the result and the event."""
    world = World()
    stage(world, "complete", tmp_path)
    following, keeper = world.machines[0].following, world.machines[0].keeper
    following.waiting, following.silent = waiting, silent
    assert done(world.machines[0], "failover", {}, tmp_path).result["files_left"] == left
    assert told in keeper.why and world.machines[1].keeper.role == Role.MASTER


def test_reset_returns_the_machine(tmp_path: Path) -> None:
    """After a reset nothing of the cluster is left, and the machine works as it did before."""
    world = World()
    before = world.image()
    stage(world, "complete", tmp_path)
    assert findings(world.machines[0], "reset", {}, tmp_path) == ["slave-left-behind"]
    run(world.machines[0], "reset", {}, tmp_path, override=("slave-left-behind",))
    run(world.machines[1], "reset", {}, tmp_path)
    assert world.image() == before
