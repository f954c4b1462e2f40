"""One seed: a complete cluster, a mix of faults, then healing and the demand that it serves again."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ishmael.sim.faults import FAULTS, Fault, Undo
from ishmael.sim.monitors import Violated
from ishmael.sim.world import World
from ishmael.words.roles import Role
from ishmael.words.settings import Times

_LOOK_MS = 50
_BOOT_MS = 3500
_SERVES_MS = 5000
_SLOWEST_SAVE_MS = 15000
# With a single fault the way is known: lease and probes at most, or the F rules' own limits.
_SINGLE_MS = 3500
_WITNESS_MS, _FENCE_MS = 1800, 1200
# One node's word about who was master is lost: it stays out, or waits for the other.
_OUT = ("record-damaged", "record-future")
_ASTRAY = ("record-lost", "record-older")
_RECORD = (*_OUT, *_ASTRAY)
# A flapping network lets nobody prove anything for a while.
_SLOW = ("power-both", *_RECORD, "admin", "vm-stopped", "flapping")


@dataclass(frozen=True)
class Strike:
    """One fault of a plan that is written down.

    Args:
        fault: its name.
        node: to which; node 1 is the first master.
        gap_ms: (shortest, longest) time after the strike before.
        span_ms: (shortest, longest) time until it is undone.
    """

    fault: str
    node: int
    gap_ms: tuple[float, float]
    span_ms: tuple[float, float]


@dataclass
class Outcome:
    """What came of one seed.

    Args:
        seed: it.
        failure: what was broken, or ``""``.
        trace: one aligned trace.
        counts: faults, rules, takeovers seen.
        dual_ms: longest time of two holders after the first frame between them.
    """

    seed: int
    failure: str = ""
    trace: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    dual_ms: float = 0.0


class Schedule:
    """The plan of one seed, and its run."""

    def __init__(
        self,
        seed: int,
        mutate: Callable[[World], None] | None = None,
        mix: tuple[str, ...] = (),
        strikes: tuple[Strike, ...] = (),
        gold: tuple[bool, bool] | None = None,
    ) -> None:
        self.plan = random.Random(f"plan {seed}")  # noqa: S311 - not a secret
        self.world = _world(seed, self.plan, gold)
        if mutate is not None:
            mutate(self.world)
        self.strikes = strikes
        self.faults = [FAULTS[strike.fault] for strike in strikes] or _mix(self.plan, mix)
        self.undos: list[Undo] = []
        self._moved = self._let_go = 0

    def run(self) -> Outcome:
        """All of it."""
        outcome = Outcome(self.world.seed)
        try:
            self._play()
        except Violated as violated:
            outcome.failure = str(violated)
        except Exception as error:
            outcome.failure = f"{type(error).__name__}: {error}"
        outcome.trace = self.world.trace.text() if outcome.failure else ""
        outcome.counts = self.world.counts
        outcome.dual_ms = self.world.monitors.dual_ms_max
        return outcome

    def _play(self) -> None:
        world = self.world
        world.boot_pair()
        if not world.run_until_complete():
            world.monitors.fail("the pair does not become complete at the start")
        world.agenda.run_for(self.plan.uniform(0, 1000))
        self._moved, self._let_go = world.moves, world.lost_grip
        draw = self.plan
        for strike in self.strikes:
            self._watch(draw.uniform(*strike.gap_ms))
            self._begin(FAULTS[strike.fault], strike.node, draw.uniform(*strike.span_ms))
        for fault in self.faults if not self.strikes else ():
            self._strike(fault)
            gap_ms = draw.choice(
                [draw.uniform(0, 30), draw.uniform(0, 400), draw.uniform(0, 400), draw.uniform(400, 4000)]
            )
            self._watch(gap_ms)
        self._watch(self.plan.choice([self.plan.uniform(200, 2000), self.plan.uniform(4000, 9000)]))
        self._judge_moves()
        self._heal()

    def _judge_moves(self) -> None:
        """A single fault moves the role once at most, and many move nothing."""
        if len(self.faults) != 1 or self.faults[0].name in ("admin", "power-both"):
            return
        moves, lost_grip = self.world.moves - self._moved, self.world.lost_grip - self._let_go
        calm = self.world.stress == 0 and self.world.corosync.try_again == 0
        idle = self.faults[0].moves or not calm or moves + lost_grip == 0
        if moves > 1 or not idle:
            self.world.monitors.fail(f"{self.faults[0].name} moved the role {moves} times, let go {lost_grip} times")

    def _strike(self, fault: Fault) -> None:
        world, draw = self.world, self.plan
        master = next((n.id for n in world.monitors.masters()), draw.choice([1, 2]))
        number = {"master": master, "slave": 3 - master}.get(fault.whom) or (
            master if draw.random() < 0.65 else 3 - master
        )
        span_ms = -1.0
        if len(self.faults) > 1 and draw.random() < 0.6:
            span_ms = draw.choice([draw.uniform(50, 400), draw.uniform(400, 3000), draw.uniform(3000, 8000)])
        self._begin(fault, number, span_ms)

    def _begin(self, fault: Fault, number: int, span_ms: float) -> None:
        """Do it, and note when it is undone; at the end, when ``span_ms`` is negative."""
        world, draw = self.world, self.plan
        world.trace.remark(world.agenda.now_ms, f"FAULT {fault.name} on node{number}")
        world.counts[f"fault {fault.name}"] += 1
        undo = fault.begin(world, world.nodes[number], draw)
        done = [False]

        def once() -> None:
            if not done[0]:
                done[0] = True
                world.trace.remark(world.agenda.now_ms, f"healed {fault.name} on node{number}")
                undo()

        self.undos.append(once)
        if span_ms >= 0:
            world.agenda.after(span_ms, once)

    def _watch(self, span_ms: float) -> None:
        """Let time pass; nobody who could serve stays idle for long."""
        world = self.world
        end_ms = world.agenda.now_ms + span_ms
        while world.agenda.now_ms < end_ms:
            world.agenda.run_until(min(world.agenda.now_ms + _LOOK_MS, end_ms))
            world.monitors.look(self.limit_ms())

    def limit_ms(self) -> float:
        """How long nobody may serve although somebody could."""
        times = self.world.times
        if len(self.faults) == 1 and self.faults[0].name not in _SLOW:
            return _SINGLE_MS + _WITNESS_MS * self.world.witness + _FENCE_MS * self.world.fencing
        if not self.world.dial_tone_first:
            return float("inf")
        return times.dial_tone_ms + times.fitness_ms + 2000 + times.release_ms + 3000

    def _heal(self) -> None:
        world = self.world
        world.trace.remark(world.agenda.now_ms, "HEAL")
        for undo in reversed(self.undos):
            undo()
        for node in world.nodes.values():
            if node.keeper is not None:
                node.keeper.crash_in = 0  # a crash that has not struck by now strikes no more
        for node in world.nodes.values():
            node.boot()
            world.corosync.start(node.id)
        if self._until_one_master():
            self._re_add()

    def _until_one_master(self) -> bool:
        """Demand liveness; false when nobody may serve without an admin."""
        world = self.world
        limit_ms = _SERVES_MS + _BOOT_MS
        if any(f.name == "disk-slow" for f in self.faults):
            limit_ms += 2 * _SLOWEST_SAVE_MS  # a save that has begun goes on as slowly
        if any(f.name in _RECORD for f in self.faults):
            limit_ms += self.world.times.dial_tone_ms + self.world.times.fitness_ms + 2000
            if not world.dial_tone_first:
                return False
        end_ms = world.agenda.now_ms + limit_ms
        steady = 0
        while world.agenda.now_ms < end_ms and steady < 10:
            world.agenda.run_for(_LOOK_MS)
            self._boot_all()
            if world.waits_for_admin():
                return False  # a standby node never serves by itself
            steady = steady + 1 if len(world.monitors.masters()) == 1 and len(world.holders()) == 1 else 0
        if steady < 10:
            roles = {node.name: str(node.role) for node in world.nodes.values()}
            world.monitors.fail(f"no single master {limit_ms} ms after healing: {roles}")
        return True

    def _boot_all(self) -> None:
        """A power switch may have struck while or after all was healed."""
        for node in self.world.nodes.values():
            if not node.machine.powered:
                node.boot()

    def _re_add(self) -> None:
        """An admin re-adds whoever is out of service: the cluster becomes complete again."""
        world = self.world
        for node in world.nodes.values():
            world.ask(node.id, "release")
        for _ in range(3):
            self._boot_all()
            for node in world.nodes.values():
                if node.role is Role.OUT:
                    world.reset(node.id)
            masters = world.monitors.masters()
            if masters:
                world.re_add(3 - masters[0].id)
                if any(f.name in _ASTRAY for f in self.faults):
                    world.database.rewind(3 - masters[0].id)  # it cannot know that it has served meanwhile
            slow_ms = 4 * _SLOWEST_SAVE_MS if any(f.name == "disk-slow" for f in self.faults) else 0
            if world.run_until_complete(8000 + slow_ms):
                return
        if world.monitors.masters() or world.dial_tone_first:
            roles = {node.name: str(node.role) for node in world.nodes.values()}
            world.monitors.fail(f"the cluster does not become complete again: {roles}")


def _world(seed: int, plan: random.Random, gold: tuple[bool, bool] | None) -> World:
    draw = random.Random(f"gold {seed}")  # noqa: S311 - not a secret
    witness, fencing = gold or (draw.random() < 0.25, draw.random() < 0.25)
    times = replace(Times(), dial_tone_ms=plan.choice([5000, 5000, 5000, 30000]), witness_off_ms=3000)
    world = World(
        seed,
        times,
        dial_tone_first=plan.random() < 0.85,
        witness=witness,
        fencing=fencing,
        fence_fallback=gold is None and draw.random() < 0.5,
    )
    world.stress = plan.choice([0.0, 0.0, 0.0, 0.003])
    world.discards_agreed = plan.random() < 0.5
    world.corosync.try_again = plan.choice([0.0, 0.0, 0.0, 0.05])
    world.corosync.encode = plan.random() < 0.05
    return world


def _mix(plan: random.Random, names: tuple[str, ...]) -> list[Fault]:
    number = plan.choices([1, 2, 3, 4, 5], [25, 30, 25, 15, 5])[0]
    among = [FAULTS[name] for name in names] if names else [f for f in FAULTS.values() if f.by_chance]
    chosen = [plan.choice(among) for _ in range(number)]
    damaged = [f for f in chosen if f.name in _OUT]
    for extra in damaged[1:]:
        chosen.remove(extra)
    return chosen
