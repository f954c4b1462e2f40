"""Defences taken away one at a time: the simulator's invariants must notice each. What they miss is not proven."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from ishmael.core import duties, facts, rules, rules_master, rules_slave, rules_waiting, senses
from ishmael.core.events import OnlyNotified
from ishmael.sim.schedule import Strike
from ishmael.sim.world import World

Mutate = Callable[[World], None]


@dataclass(frozen=True)
class Mutant:
    """One defence less.

    Args:
        what: what is missing, in plain words.
        patches: (module, name, replacement) while it is applied.
        rule: id of a rule that is taken out of the table.
        rows: (rule id, new condition) for rows whose condition is weakened.
        world: done to each world.
        mix: faults to choose from, for what is rarely met by chance.
        gold: (witness, fencing) of every world, for what concerns only them.
        strikes: a plan that is written down, for what is hardly ever met by chance.
    """

    what: str
    patches: tuple[tuple[Any, str, Any], ...] = ()
    rule: str = ""
    rows: tuple[tuple[str, Callable[..., bool]], ...] = ()
    world: Mutate = lambda _world: None
    mix: tuple[str, ...] = ()
    gold: tuple[bool, bool] | None = None
    strikes: tuple[Strike, ...] = ()

    @contextmanager
    def applied(self) -> Iterator[Mutate]:
        """Take the defence away while open; gives what to do to each world."""
        conditions = dict(self.rows)
        table = {
            role: tuple(
                replace(row, when=conditions[row.id]) if row.id in conditions else row
                for row in rows
                if row.id != self.rule
            )
            for role, rows in rules._BY_ROLE.items()
        }
        with ExitStack() as stack:
            stack.enter_context(patch.object(rules, "_BY_ROLE", table))
            for module, name, replacement in self.patches:
                stack.enter_context(patch.object(module, name, replacement))
            yield self.world


def _times(**changes: int) -> Mutate:
    def mutate(world: World) -> None:
        world.times = replace(world.times, **changes)
        for node in world.nodes.values():
            node.config = world.config_of(node.id)

    return mutate


def _lease_stays(world: World) -> None:
    for node in world.nodes.values():
        node.machine.lapses = False


def _no_fsync(world: World) -> None:
    world.syncs_record = False


def _always(*_args: Any) -> bool:
    return True


def _never(*_args: Any) -> bool:
    return False


def _nothing(*_args: Any) -> None:
    return None


def _unheard(*_args: Any) -> None:
    """Takes in an event and notes nothing."""


def _hears_anything(s: Any) -> bool:
    return bool(s.peer_ms >= 0 and s.peer is not None and s.now_ms - s.peer_ms <= 10 * s.config.times.hears_ms)


def _resumes_though_fit(s: Any) -> bool:
    return facts.ready(s) and rules_waiting._mine(s, s.record) and facts.vacant(s) and facts.sees_reference(s)


def _resumes_at_once(s: Any) -> bool:
    return facts.ready(s) and rules_waiting._mine(s, s.record) and s.let_go_ms >= 0 and facts.sees_reference(s)


def _keeps_blindly(s: Any) -> bool:
    return s.holds and rules_waiting._mine(s, s.record)


def _unclaimed_at_once(s: Any) -> bool:
    return s.phone_frame_ms >= 0 and s.now_ms - s.phone_frame_ms < 100 and not s.probe.cluster


def _claim_without_disk(s: Any) -> bool:
    return s.claim is not None and not s.claim.acting


_NETWORKS = (
    *("phone-link-down", "phone-vlan-wrong", "phone-dead-both", "references-silent", "internal-cut", "isolated-master"),
    *("isolated-slave", "corosync-blocked", "flapping", "loss", "one-way", "corosync-killed", "keeper-killed"),
)

MUTANTS: dict[str, Mutant] = {
    "no-take-min": Mutant(
        "a slave takes over after one silent probe",
        world=_times(take_min_ms=1, suspect_ms=60, probes=1, released_probes=1, probes_when_lossy=1),
        mix=_NETWORKS,
    ),
    "no-isolation-drop": Mutant("an isolated master keeps the address", rule="1"),
    "lease-stays": Mutant(
        "the kernel never removes the address",
        world=_lease_stays,
        mix=("keeper-frozen", "internal-cut", "corosync-blocked", "isolated-master"),
    ),
    "no-alone-wait": Mutant("a master goes alone without waiting for the fitness to end", world=_times(alone_ms=0)),
    "no-fsync": Mutant("a record counts as saved before it is on disk", world=_no_fsync),
    "claim-without-disk": Mutant("a taker acts before its record is saved", rows=(("10b", _claim_without_disk),)),
    "fitness-ignored": Mutant(
        "any slave takes over",
        world=_times(fitness_ms=60_000),
    ),
    "go-without-freshness": Mutant(
        "a slave acts on a go however old",
        patches=((rules_slave, "_is_fresh", _always),),
        strikes=(
            Strike("planned", 1, (0, 100), (0, 1)),
            Strike("keeper-frozen", 2, (8, 60), (3600, 6000)),
        ),
    ),
    "never-alone": Mutant("a master whose slave is lost waits for it for ever", rule="2e"),
    "no-conflict-drop": Mutant("a holder ignores the peer's announcements", rule="6a"),
    "no-step-down": Mutant(
        "a master ignores a higher epoch and the peer's announcements", rows=(("5a", _never), ("6a", _never))
    ),
    "no-pause": Mutant(
        "a pause goes unnoticed",
        patches=((senses, "_paused", _nothing),),
        strikes=(
            Strike("kernel-hung", 1, (0, 100), (2500, 6000)),
            Strike("power-cut", 2, (1000, 2000), (9000, 9000)),
        ),
    ),
    "standby-serves": Mutant(
        "a standby node is like any other",
        patches=((facts, "in_standby", _never),),
        world=_times(dial_tone_ms=500, boot_ms=1000),
        strikes=(
            Strike("power-cut", 1, (0, 100), (1000, 1500)),
            Strike("power-cut", 2, (6000, 7000), (14000, 15000)),
            Strike("keeper-killed", 1, (200, 400), (0, 1)),
        ),
    ),
    "resumes-though-fit": Mutant(
        "a master whose slave was fit resumes alone at once", rows=(("7a", _resumes_though_fit),)
    ),
    "hears-anything": Mutant(
        "any message counts as hearing, however old its echo", patches=((facts, "hears", _hears_anything),)
    ),
    "fit-before-synchronous": Mutant(
        "the slave counts as fit before commits wait for it",
        patches=((rules_master, "wants_synchronous", _never),),
        rows=(
            ("2a", _never),
            (
                "2b",
                lambda s: (
                    s.record is not None and not s.record.slave_fit and facts.may_save(s) and facts.slave_stands(s)
                ),
            ),
            ("2c", _never),
        ),
    ),
    "witness-ignored": Mutant(
        "a node takes over, and keeps serving, without the witness's vote",
        patches=((facts, "elected", _always), (facts, "outvoted", _never), (facts, "has_votes", _always)),
        gold=(True, False),
        strikes=(Strike("nodes-cut", 1, (0, 100), (4000, 6000)),),
    ),
    "outvoted-keeps": Mutant(
        "a master keeps serving though the witness stands with the other node",
        patches=((facts, "outvoted", _never),),
        gold=(True, False),
        strikes=(
            Strike("witness-far", 1, (0, 50), (7000, 8000)),
            Strike("nodes-cut", 1, (0, 100), (4000, 6000)),
        ),
    ),
    "elected-at-once": Mutant(
        "a slave takes over on the witness's vote before the master can have let go",
        patches=((facts, "elected", facts.has_votes),),
        gold=(True, False),
        strikes=(
            Strike("witness-far", 1, (0, 50), (7000, 8000)),
            Strike("nodes-cut", 1, (0, 100), (4000, 6000)),
        ),
    ),
    "fence-not-awaited": Mutant(
        "a slave takes over before the power switch has confirmed",
        patches=((facts, "fenced", _always),),
        gold=(False, True),
        strikes=(Strike("nodes-cut", 1, (0, 100), (4000, 6000)),),
    ),
    "unclaimed-at-once": Mutant(
        "a slave takes over as soon as a master that it cannot reach does not announce itself",
        patches=((facts, "unclaimed", _unclaimed_at_once),),
        strikes=(Strike("one-way-to-master", 1, (0, 100), (6000, 7000)),),
    ),
    "unheard-master-silent": Mutant(
        "a master that does not hear its slave does not say that it serves",
        patches=((duties, "_claim_aloud", _nothing), (duties, "_announce", _nothing)),
        strikes=(Strike("one-way-to-master", 1, (0, 100), (6000, 7000)),),
    ),
    "hold-ignored": Mutant(
        "a slave takes over though the admin of the master holds takeovers",
        patches=((facts, "held", lambda s: s.hold),),
        strikes=(
            Strike("hold", 1, (0, 100), (8000, 9000)),
            Strike("power-cut", 1, (300, 600), (6000, 7000)),
        ),
    ),
    "notify-only-ignored": Mutant(
        "failover checks that only notify move the services all the same",
        patches=((senses, "_HANDLERS", {**senses._HANDLERS, OnlyNotified: _unheard}),),
        strikes=(
            Strike("only-notified", 1, (0, 100), (8000, 9000)),
            Strike("power-cut", 1, (500, 700), (6000, 7000)),
        ),
    ),
    "foreign-ignored": Mutant(
        "a slave takes over though a foreign machine has the cluster IP",
        patches=((facts, "foreign_holder", _never),),
        strikes=(
            Strike("stranger", 1, (0, 100), (8000, 9000)),
            Strike("power-cut", 1, (1200, 1500), (5000, 6000)),
        ),
    ),
    "settles-at-once": Mutant(
        "a master hands over as soon as its telephone network comes back for the slave first",
        world=_times(settle_ms=0),
        strikes=(Strike("phone-dead-both", 1, (0, 100), (2000, 3000)),),
    ),
    "lapse-ignored": Mutant(
        "a lease that lapsed is simply taken again",
        rows=(("9a", _never),),
        mix=("keeper-frozen", "userland-frozen", "vm-stopped", "kernel-hung"),
    ),
    "takes-back-at-once": Mutant(
        "a former master resumes without waiting for the slave's fitness to end",
        patches=((rules_waiting, "resumes_after_let_go", _resumes_at_once),),
        rows=(("1b", _resumes_at_once),),
        mix=("isolated-master", "corosync-failing", "internal-cut"),
    ),
    "keeps-role-blindly": Mutant(
        "a restarted keeper keeps the role without asking anybody",
        rows=(("7d", _keeps_blindly),),
        mix=("kernel-hung", "keeper-killed", "keeper-frozen", "vm-stopped"),
    ),
    # Two at a time: one defence may hide the lack of the other.
    "pair:no-isolation-drop+lease-stays": Mutant(
        "a master that is cut off neither lets go nor loses its lease",
        rule="1",
        world=_lease_stays,
        mix=("isolated-master", "keeper-frozen"),
    ),
    "pair:no-conflict-drop+no-step-down+no-pause": Mutant(
        "a master that slept trusts everything from before and ignores its successor",
        patches=((senses, "_paused", _nothing),),
        rows=(("5a", _never), ("6a", _never)),
        mix=("kernel-hung", "vm-stopped", "keeper-frozen"),
    ),
    "pair:no-fsync+claim-without-disk": Mutant(
        "an epoch is acted under that no disk has",
        world=_no_fsync,
        rows=(("10b", _claim_without_disk),),
    ),
    "pair:no-alone-wait+fitness-ignored": Mutant(
        "the master goes alone at once and the slave's fitness never ends",
        world=_times(alone_ms=0, fitness_ms=60_000),
    ),
    "pair:resumes-though-fit+standby-serves": Mutant(
        "an old master comes back as if nothing had happened",
        patches=((facts, "in_standby", _never),),
        rows=(("7a", _resumes_though_fit),),
        mix=("power-cut", "power-both", "keeper-killed"),
    ),
    "served-apart-ignored": Mutant(
        "after a split a node with the lower epoch becomes slave, whatever it has written meanwhile",
        patches=((facts, "served_apart", _never), (facts, "peer_served_apart", _never)),
        gold=(False, False),
        strikes=(
            Strike("nodes-cut", 1, (0, 100), (60000, 60001)),
            Strike("flapping", 1, (3500, 4000), (6000, 7000)),
            Strike("power-cut", 2, (7500, 8000), (60000, 60001)),
        ),
    ),
    "released-is-unheard": Mutant(
        "a master that is merely not heard counts as one that released", patches=((facts, "released", _always),)
    ),
}
