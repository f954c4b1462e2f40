"""What must never happen, watched after every event; and what must always happen in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ishmael.core import facts
from ishmael.core.state import State
from ishmael.sim.ether import FOREIGN
from ishmael.words.record import Epoch
from ishmael.words.roles import Network, Role

if TYPE_CHECKING:
    from ishmael.sim.node import Node
    from ishmael.sim.world import World

DUAL_MS = 100
_TIMER_LATE_MS = 60
# Asked who holds the cluster IP all the while, a slave has met every other holder by then.
_STRANGER_MS = 1000.0
# Beside the wait since the last grant: a slave that is heard again in between and does not stream is given 500 ms
# (rule 2c), a fact may be late, the record must be on disk.
_UNSTALLED_MS = 1000.0
_UNASKED = ("3a", "3b", "3d", "8")


class Violated(AssertionError):
    """A promise of docs/reference/failover.md was broken."""


class Monitors:
    """The invariants of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dual_ms_max = 0.0
        self._dual_since_ms = -1.0
        self._first_frame_ms = -1.0
        self._gone_ms: dict[int, float] = {}
        self._resumed_ms: dict[int, float] = {}
        self._epochs: dict[Epoch, int] = {}
        self.unserved_since_ms = 0.0
        self.served_ms = -1.0
        self.written_off = False
        # A split in which both see a reference: named there too. Two holders are still not allowed once frames pass.
        self.split_seen = False
        # Their records were set back, as from a backup: whether a slave was fit is not in them any more.
        self.set_back: set[int] = set()
        # Stopped with all their clocks, these cannot know how old their fitness is: named in docs/reference/failover.md
        # as beyond two nodes alone; unless CLOCK_BOOTTIME tells them (the value), once they run.
        self.timeless: dict[int, bool] = {}
        self._idle_since_ms: dict[int, float] = {}
        self._cut_off_ms: dict[int, float] = {}
        self._stalls_since_ms: dict[int, float] = {}

    # --- told by the world ------------------------------------------------------------------------------------------

    def peer_frame(self) -> None:
        """A frame passed between the nodes."""
        now_ms = self.world.agenda.now_ms
        if self._dual_since_ms >= 0 and not 0 <= self._first_frame_ms <= now_ms:
            self._first_frame_ms = now_ms

    def keeper_gone(self, node: int) -> None:
        """The keeper of a node was killed or stopped."""
        self._gone_ms[node] = self.world.agenda.now_ms

    def resumed(self, node: int) -> None:
        """The keeper of a node runs (again); one that was restarted has no more than its predecessor's lease."""
        keeper = self.world.nodes[node].keeper
        if keeper is not None and keeper.state.incarnation:
            self._gone_ms.pop(node, None)
        if self.timeless.get(node):
            del self.timeless[node]
        self._resumed_ms[node] = self.world.agenda.now_ms

    def holders_changed(self) -> None:
        """A kernel added or removed the cluster IP."""
        now_ms = self.world.agenda.now_ms
        holders = self.world.holders()
        if len(holders) > 1:
            if self._dual_since_ms < 0:
                self._dual_since_ms, self._first_frame_ms = now_ms, -1.0
        elif self._dual_since_ms >= 0:
            if self._first_frame_ms >= 0:
                self.dual_ms_max = max(self.dual_ms_max, now_ms - self._first_frame_ms)
            self._dual_since_ms = -1.0
        if holders:
            self.unserved_since_ms = -1.0
        elif self.unserved_since_ms < 0:
            self.unserved_since_ms = now_ms

    def about_to_hold(self, node: Node) -> None:
        """The keeper of ``node`` adds the cluster IP: only under its own epoch, on disk, and never in standby."""
        durable = node.machine.disk.durable
        if durable is None or durable.master != node.id:
            self.fail(f"{node.name} takes the address with {durable} on disk")
        if node.id in durable.standby:
            self.fail(f"{node.name} takes the address although its record says standby")
        keeper = node.keeper
        claim = keeper.state.claim if keeper is not None else None
        if claim is not None and claim.record.epoch != durable.epoch:
            self.fail(f"{node.name} acts under {claim.record.epoch} with {durable.epoch} on disk")
        if claim is not None and claim.rule == "3c" and any(epoch > durable.epoch for epoch in self._epochs):
            self.fail(f"{node.name} acts on a go for {durable.epoch} that was outlived by a higher epoch")
        if self._epochs.setdefault(durable.epoch, node.id) != node.id:
            self.fail(f"both nodes acted under epoch {durable.epoch}")

    def role_changed(self, node: Node, before: State, after: State) -> None:
        """A standby node never claims by itself; a former master whose released role nobody took is no such node."""
        if after.role in (Role.TAKING, Role.MASTER):
            self._gone_ms.pop(node.id, None)
        if after.role is Role.TAKING and self.world.held and after.claim is not None and after.claim.rule in _UNASKED:
            self.fail(f"{node.name} takes over by rule {after.claim.rule} although an admin holds that")
        if after.role is Role.TAKING and after.claim is not None and after.claim.rule in _UNASKED:
            self._look_at_unasked(node, after.claim.rule)
        standby = before.record is not None and node.id in before.record.standby
        if after.role is Role.TAKING and standby and before.role is not Role.HANDING:
            self.fail(f"{node.name} claims although it is in standby")

    def _look_at_unasked(self, node: Node, rule: str) -> None:
        keeper, ether = node.keeper, self.world.ether
        if rule != "8" and keeper is not None and "F1" in keeper.told_only:
            self.fail(f"{node.name} takes over by rule {rule} although F1 only notifies")
        wire, seen_ms = ether.wires[Network.PHONE], self.world.agenda.now_ms - ether.stranger_since_ms
        clear = wire.joins(node.id, FOREIGN) and wire.joins(FOREIGN, node.id) and not wire.lossy(node.id, FOREIGN)
        if ether.stranger_since_ms >= 0 and clear and seen_ms > _STRANGER_MS:
            self.fail(f"{node.name} takes over by rule {rule} beside a foreign machine with the cluster IP")

    def applied(self, node: Node, rules: tuple[str, ...]) -> None:
        """The rules of one step: none of the keeper's failover checks moves anything while it only notifies."""
        told = node.keeper.told_only if node.keeper is not None else frozenset()
        for check in told.intersection(rules):
            self.fail(f"{node.name} acts by {check}, which only notifies")

    def acknowledged_alone(self, node: Node) -> None:
        """``node`` acknowledged a commit that its slave need not have: no slave may hold fitness."""
        peer = self.world.nodes[3 - node.id]
        keeper = peer.keeper
        if node.id in self.set_back:
            return
        if keeper is None or not keeper.alive or self.split_seen or peer.machine.stopped_vm or peer.id in self.timeless:
            return
        state = keeper.state
        if state.role is Role.SLAVE and state.fit_until_ms > peer.machine.mono_ms():
            self.fail(f"{node.name} acknowledges alone while {peer.name} is fit")

    def opened(self, node: Node, rule: str) -> None:
        """``node`` opened its database for writing."""
        database = self.world.database
        # Rules 8 and 4j serve rather than wait for a node that is out of reach; what it has alone goes to salvage.
        if rule in ("8", "4j") or (rule in ("3a", "3b") and node.id in self.timeless):
            self.written_off = True
        if self.written_off or self.split_seen:
            database.write_off(node.id)
            return
        lost = database.lacks(node.id)
        if lost:
            self.fail(f"{node.name} serves by rule {rule} and lacks data: {lost}")

    def fit_again(self, master: Node) -> None:
        """Both nodes have the same data again: what is not in it has gone to salvage, and all of it counts from now on."""
        if self.written_off or self.split_seen:
            self.world.database.write_off(master.id)
        self.written_off = self.split_seen = False
        self.set_back.clear()

    # --- checked after every event ----------------------------------------------------------------------------------

    def check(self) -> None:
        """Never two holders beyond the allowed time."""
        self._count_split()
        if self._dual_since_ms < 0 or self._first_frame_ms < 0:
            return
        now_ms = self.world.agenda.now_ms
        if now_ms <= self._first_frame_ms + DUAL_MS:
            return
        allowed_ms = self._first_frame_ms + DUAL_MS
        for node in self.world.nodes.values():
            if node.id in self._resumed_ms:
                allowed_ms = max(allowed_ms, self._resumed_ms[node.id] + DUAL_MS)
            keeper = node.keeper
            if node.id in self._gone_ms or keeper is None or not keeper.runs:
                gone_ms = self._gone_ms.get(node.id, now_ms)
                allowed_ms = max(allowed_ms, gone_ms + self.world.times.lease_ms + _TIMER_LATE_MS)
        if now_ms > allowed_ms:
            self.fail(f"two holders for {now_ms - self._first_frame_ms:.0f} ms after the first frame between them")

    def _count_split(self) -> None:
        """With a witness not even a split excuses two holders; a machine that is stopped or hung serves nobody.

        One that was stopped with all its clocks learns from its lost votes, X after it goes on, that another serves.
        """
        if self._dual_since_ms < 0 or self._first_frame_ms >= 0 or not self.world.votes_count():
            return
        holders, times = self.world.holders(), self.world.times
        if all(node.machine.kernel_alive for node in holders):
            slept = any(self.timeless.get(node.id) is False for node in holders)
            learns_ms = times.isolation_ms + 2 * times.tick_ms if slept else 0
            self._first_frame_ms = self.world.agenda.now_ms + learns_ms

    def fail(self, what: str) -> NoReturn:
        """Stop the run."""
        raise Violated(f"{self.world.agenda.now_ms:.0f} ms: {what}")

    def look(self, limit_ms: float) -> None:
        """Nobody may stay idle for ``limit_ms`` while no node serves and one could."""
        now_ms = self.world.agenda.now_ms
        able = {node.id for node in self.could_serve()}
        self._look_at_cut_off()
        self._look_at_commits()
        if self.world.holders() or not able:
            self._idle_since_ms.clear()
            return
        for number in able:
            self._idle_since_ms.setdefault(number, now_ms)
        for number in set(self._idle_since_ms) - able:
            del self._idle_since_ms[number]
        for number, since_ms in self._idle_since_ms.items():
            if now_ms - since_ms > limit_ms:
                self.fail(f"nobody serves for {now_ms - since_ms:.0f} ms although node{number} could")

    # --- liveness ---------------------------------------------------------------------------------------------------

    def _look_at_cut_off(self) -> None:
        """A holder that is cut off lets go in X, before a slave may take over."""
        now_ms, times = self.world.agenda.now_ms, self.world.times
        for node in self.world.nodes.values():
            keeper = node.keeper
            if not node.machine.holds or keeper is None or not keeper.runs or not self.world.cut_off(node.id):
                self._cut_off_ms.pop(node.id, None)
                continue
            since_ms = max(self._cut_off_ms.setdefault(node.id, now_ms), self._resumed_ms.get(node.id, 0.0))
            if now_ms - since_ms > times.isolation_ms + times.pause_ms + 2 * times.tick_ms:
                self.fail(f"{node.name} is cut off and holds the address for {now_ms - since_ms:.0f} ms")

    def _look_at_commits(self) -> None:
        """Commits of a master that is well stall no longer than until the slave's fitness has ended for certain."""
        now_ms, times = self.world.agenda.now_ms, self.world.times
        for node in self.world.nodes.values():
            keeper, since_ms = node.keeper, self.world.database.stalls_since_ms.get(node.id)
            disk = node.machine.disk
            well = keeper is not None and keeper.runs and node.machine.holds and not (disk.failing or disk.slow > 1)
            if since_ms is None or not well:
                self._stalls_since_ms.pop(node.id, None)
                continue
            from_ms = max(
                self._stalls_since_ms.setdefault(node.id, now_ms), since_ms, self._resumed_ms.get(node.id, 0.0)
            )
            if now_ms - from_ms > times.alone_ms + _UNSTALLED_MS:
                self.fail(f"commits on {node.name} stall for {now_ms - from_ms:.0f} ms")

    def masters(self) -> list[Node]:
        """Nodes that hold the cluster IP and whose keeper runs as master."""
        return [n for n in self.world.nodes.values() if n.role in (Role.MASTER, Role.HANDING) and n.machine.holds]

    def could_serve(self) -> list[Node]:
        """Healthy nodes that see a reference and may serve: not standby, not out, no admin hold."""
        able = []
        for node in self.world.nodes.values():
            keeper = node.keeper
            if keeper is None or not keeper.runs or node.machine.disk.failing or node.machine.disk.slow > 1:
                continue
            state = keeper.state
            if (
                state.role in (Role.OUT, Role.STANDBY)
                or facts.waits_for_admin(state) not in ("", "data first")
                or not facts.has_votes(state)
                or (self.world.fence_broken and not self.world.fence_fallback)
                or node.id in (state.record.standby if state.record else ())
                or state.record is None
            ):
                continue
            if facts.sees_reference(state) and not facts.foreign_holder(state):
                able.append(node)
        return able
