"""The virtual world: two nodes, two networks, Corosync, data, time and chance."""

from __future__ import annotations

import random
from collections import Counter

from ishmael.core.asks import Ask
from ishmael.core.commands import Answer
from ishmael.core.machine import Step
from ishmael.core.state import Config, State
from ishmael.sim.agenda import Agenda
from ishmael.sim.corosync import Corosync
from ishmael.sim.database import Database
from ishmael.sim.ether import Ether
from ishmael.sim.monitors import Monitors
from ishmael.sim.node import Node
from ishmael.sim.trace import Trace
from ishmael.words.record import Epoch, Record
from ishmael.words.roles import Network, Role
from ishmael.words.settings import Times

REFERENCES = ("gateway", "switch")
WITNESS = "witness"


class World:
    """Everything round the two cores.

    Args:
        seed: of all chance.
        times: the protocol's times.
        dial_tone_first: the policy of rule 8.
        witness: a third vote decides splits.
        fencing: each node can cut the other's power.
        fence_fallback: a takeover goes on when that fails.
    """

    def __init__(
        self,
        seed: int,
        times: Times | None = None,
        *,
        dial_tone_first: bool = True,
        witness: bool = False,
        fencing: bool = False,
        fence_fallback: bool = False,
    ) -> None:
        self.seed = seed
        self.draw = random.Random(seed)  # noqa: S311 - chance for a simulation, not for a secret
        self.times = times or Times()
        self.stress = 0.0
        self.discards_agreed = True
        self.syncs_record = True
        self.agenda = Agenda(self._after_each)
        self.trace = Trace()
        self.counts: Counter[str] = Counter()
        self.moves = self.lost_grip = self._last_master = 0
        self.answers: dict[int, Answer] = {}
        self.last_rule: dict[int, str] = {}
        self.dial_tone_first = dial_tone_first
        self.witness, self.fencing, self.fence_fallback = witness, fencing, fence_fallback
        self.fence_broken = False
        self.only_notified: frozenset[str] = frozenset()
        self.held = False
        self.nodes = {number: Node(number, self, self.config_of(number)) for number in (1, 2)}
        self.ether = Ether(self.agenda, self.draw, self.nodes, REFERENCES)
        self.corosync = Corosync(self.agenda, self.draw, self.nodes, self._knet_loss)
        if witness:
            self.corosync.witness = self._reaches_witness
        self.database = Database(self.agenda, self.draw, self.nodes, self._streams)
        self.monitors = Monitors(self)
        self._tickets = 0
        self._wire_up()

    def _wire_up(self) -> None:
        self.ether.on_peer_frame = self.monitors.peer_frame
        self.database.on_alone = self.monitors.acknowledged_alone
        self.database.on_open = lambda node: self.monitors.opened(node, self.last_rule.get(node.id, ""))
        for node in self.nodes.values():
            node.machine.powered = False
            node.machine.on_holds = self._holders_changed

    def config_of(self, number: int, *, alone: bool = False) -> Config:
        """What a keeper reads from its settings."""
        return Config(
            number,
            0 if alone else 3 - number,
            REFERENCES,
            self.dial_tone_first,
            self.times,
            witness=self.witness,
            fencing=self.fencing,
            fence_fallback=self.fence_fallback,
        )

    # --- a beginning ------------------------------------------------------------------------------------------------

    def boot_pair(self, record: Record | None = None) -> None:
        """Both nodes boot with a record that names node 1 as master with an unfit slave."""
        record = record or Record(Epoch(1, 1), 1)
        for node in self.nodes.values():
            node.machine.disk.visible = node.machine.disk.durable = record
            node.boot()

    def run_until_complete(self, limit_ms: float = 15000) -> bool:
        """Let time pass until a master serves with a fit slave."""
        end_ms = self.agenda.now_ms + limit_ms
        while self.agenda.now_ms < end_ms:
            self.agenda.run_for(50)
            if self.complete():
                return True
        return False

    def complete(self) -> bool:
        """A master serves, and its slave holds fitness."""
        masters = self.monitors.masters()
        if len(masters) != 1:
            return False
        master, slave = masters[0], self.nodes[3 - masters[0].id]
        if slave.keeper is None or not slave.keeper.runs or not master.workload_open:
            return False
        return slave.keeper.state.fit_until_ms > slave.machine.mono_ms()

    def ask(self, number: int, what: str, **more: object) -> int:
        """An admin asks; returns the ticket under which the answer will stand in ``answers``."""
        self._tickets += 1
        self.trace.remark(self.agenda.now_ms, f"ask {what} on node{number}")
        self.nodes[number].ask(Ask(what, self._tickets, **more))  # type: ignore[arg-type]
        return self._tickets

    def only_notify(self, checks: frozenset[str]) -> None:
        """An admin switches these failover checks to notify only; the managers tell their keepers, and say so again."""
        self.trace.remark(self.agenda.now_ms, f"only notify: {', '.join(sorted(checks)) or 'none'}")
        self.only_notified = checks

    def re_add(self, number: int) -> None:
        """The re-add work: the node's data is made to follow the master's, then the admin admits it."""
        node, master = self.nodes[number], self.nodes[3 - number]
        if master.role is Role.MASTER and node.role is Role.STANDBY and node.machine.runs:
            self.database.rewind(number)
            self.ask(master.id, "admit", node=number)

    def reset(self, number: int) -> None:
        """Reset a node whose record cannot be trusted, and add it anew: it gets the master's data."""
        self.ask(number, "forget")
        self.agenda.run_for(2000)
        keeper = self.nodes[number].keeper
        if keeper is not None:
            self.database.rewind(number)
            keeper.reconfigure(self.config_of(number))

    def waits_for_admin(self) -> bool:
        """One node is out, or lost its record, and the other is in standby; or no record is left that says who was master."""
        roles = [node.role for node in self.nodes.values()]
        records = [node.machine.disk.visible for node in self.nodes.values()]
        away = [r is not None and number in r.standby for number, r in zip(self.nodes, records, strict=True)]
        disks = [node.machine.disk for node in self.nodes.values()]
        nothing = all(disk.visible is None or disk.damaged for disk in disks)
        lost = Role.OUT in roles or any(disk.visible is None for disk in disks)
        # A disk that was full when its node handed over does not know of it; the node itself does.
        return (lost and (any(away) or Role.STANDBY in roles)) or nothing

    # --- seen by the parts ------------------------------------------------------------------------------------------

    def holders(self) -> list[Node]:
        """Nodes whose kernel has the cluster IP."""
        return [node for node in self.nodes.values() if node.machine.powered and node.machine.holds]

    def looked(self) -> None:
        """Links, machines or processes changed: Corosync notices."""
        self.corosync.look()
        self.monitors.split_seen |= self._split() and not self.votes_count()

    def _split(self) -> bool:
        """The nodes reach each other on no way that both could use, while both may see a reference."""
        phone = self.ether.wires[Network.PHONE]
        two_way = phone.joins(1, 2) and phone.joins(2, 1)
        return not two_way and not self.corosync.linked and not any(self.cut_off(number) for number in (1, 2))

    def observe(self, node: Node, before: State, result: Step) -> None:
        """One step of a core was made."""
        if before.role is not result.state.role:
            self.monitors.role_changed(node, before, result.state)
        self.monitors.applied(node, result.rules)
        if result.rules or result.notices or before.role is not result.state.role:
            self.trace.step(self.agenda.now_ms, node.name, before, result)
            for rule in result.rules:
                self.counts[f"rule {rule}"] += 1
            for notice in result.notices:
                self.counts[f"notice {notice.kind}"] += 1
                if notice.kind == "let-go":
                    self.lost_grip += 1
                if notice.kind == "became-master":
                    self.last_rule[node.id] = notice.rule
                    self.moves += int(self._last_master not in (0, node.id))
                    self._last_master = node.id
                    self.counts[f"takeover {notice.rule}"] += 1
                if notice.kind == "slave-fit":
                    self.monitors.fit_again(node)

    def answered(self, node: Node, answer: Answer) -> None:
        """A keeper answered an admin."""
        self.answers[answer.ticket] = answer
        text = "done" if answer.refusal is None else f"refused: {answer.refusal.code}"
        self.trace.remark(self.agenda.now_ms, f"{node.name} answers: {text}")

    def _after_each(self) -> None:
        self.monitors.check()

    def _holders_changed(self) -> None:
        self.monitors.holders_changed()
        names = [node.name for node in self.holders()]
        self.trace.remark(self.agenda.now_ms, f"cluster IP: {' and '.join(names) or 'nobody'}")

    def _knet_loss(self, network: Network) -> float:
        """Loss on a link between the two Corosyncs; 1 when it cannot be up."""
        wire = self.ether.wires[network]
        return wire.lossy(1, 2) if wire.carries_udp(1, 2) else 1.0

    def cut_off(self, number: int) -> bool:
        """In truth, a node reaches neither a reference nor the other Corosync."""
        wire = self.ether.wires[Network.PHONE]
        sees = any(wire.joins(number, name) and wire.joins(name, number) for name in REFERENCES)
        return not sees and not self.corosync.linked

    def _reaches_witness(self, number: int) -> bool:
        """The witness stands behind the telephone network."""
        wire = self.ether.wires[Network.PHONE]
        return wire.joins(number, WITNESS) and wire.joins(WITNESS, number)

    def votes_count(self) -> bool:
        """A witness is in use by both: then a split is no excuse for anything."""
        states = [node.keeper.state for node in self.nodes.values() if node.keeper is not None]
        off = any(state.record is not None and state.record.witness_off for state in states)
        return self.witness and not off

    def _streams(self) -> bool:
        """Replication has a path: either network, both ways."""
        return any(wire.joins(1, 2) and wire.joins(2, 1) for wire in self.ether.wires.values())
