"""Corosync as two keepers see it: views, agreed messages, and a daemon that can die on its own.

Modelled after what was measured with token/consensus/join 200/60/30 and knet pings of 50/300 ms: a lost peer leaves the
view after 240-350 ms; a dead link stalls messages until knet or the token notices; messages reach only a keeper in the
same view; what a view change overtakes is lost.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ishmael.core.events import CorosyncChanged, MessageArrived, ViewChanged, WitnessChanged
from ishmael.core.messages import Message, message_from_bytes, message_to_bytes
from ishmael.sim.agenda import Agenda
from ishmael.words.roles import Network

if TYPE_CHECKING:
    from ishmael.sim.node import Node

_LINK_ORDER = (Network.INTERNAL, Network.PHONE)
_LOSS_THAT_BREAKS = 0.5
_FLAP_EVERY_MS = 200


@dataclass
class Daemon:
    """One node's Corosync.

    Args:
        node: the machine it runs on.
        running: the process exists.
        restarts: systemd restarts it.
        view: number of its present view; daemons with equal numbers share one.
        joined: the keeper is connected and in the group.
        held: messages of its keeper that wait for the link.
    """

    node: Node
    running: bool = False
    restarts: bool = True
    view: int = 0
    joined: bool = False
    held: list[Message] = field(default_factory=list)
    last_ms: float = 0.0

    @property
    def alive(self) -> bool:
        """It runs and is scheduled."""
        return self.running and self.node.machine.runs


class Corosync:
    """Both daemons and what lies between them."""

    def __init__(
        self, agenda: Agenda, draw: random.Random, nodes: dict[int, Node], carries: Callable[..., float]
    ) -> None:
        self._agenda = agenda
        self._draw = draw
        self._carries = carries
        self.daemons = {number: Daemon(node) for number, node in nodes.items()}
        self._views = 0
        self._active: Network | None = None
        self._linked = False
        self._stalled_until_ms = -1.0
        self._epoch = 0
        self.encode = False
        self.witness: Callable[[int], bool] | None = None
        self._reach: frozenset[int] = frozenset()
        self._voted = self._poll = 0
        self._apart = True
        self.try_again = 0.0
        agenda.after(_FLAP_EVERY_MS, self._flap)

    # --- links ------------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Something about links, machines or daemons changed."""
        self._look_at_witness()
        one, two = self.daemons[1], self.daemons[2]
        usable = [n for n in _LINK_ORDER if self._carries(n) < _LOSS_THAT_BREAKS]
        active = usable[0] if usable and one.alive and two.alive else None
        if active is self._active:
            return
        before, self._active = self._active, active
        self._linked = active is not None
        self._epoch += 1
        epoch = self._epoch
        if active is None:
            for daemon in self.daemons.values():
                self._agenda.after(self._draw.uniform(240, 350), lambda d=daemon: self._lose(d, epoch))  # type: ignore[misc]
        elif before is not None and one.view == two.view:
            self._stall(self._draw.uniform(50, 350))
        else:
            self._agenda.after(self._draw.uniform(150, 500), lambda: self._merge(epoch))
            self._stalled_until_ms = -1.0
            self._flush()

    @property
    def linked(self) -> bool:
        """Both daemons run and some link between them is up."""
        return self._linked

    def _stall(self, span_ms: float) -> None:
        """The link in use died and another is there: knet moves over, or the token is lost first."""
        self._stalled_until_ms = self._agenda.now_ms + span_ms
        epoch, token_lost = self._epoch, self._draw.random() < 0.5
        self._agenda.after(span_ms, lambda: self._unstall(epoch, token_lost))

    def _unstall(self, epoch: int, token_lost: bool) -> None:
        if epoch != self._epoch:
            return
        if not token_lost:
            self._flush()
            return
        for daemon in self.daemons.values():
            self._alone(daemon)
        self._agenda.after(self._draw.uniform(20, 200), lambda: self._merge(epoch))

    def _flap(self) -> None:
        """With many frames lost, the token is lost now and then."""
        self._agenda.after(_FLAP_EVERY_MS, self._flap)
        if self._active is None or self._agenda.now_ms < self._stalled_until_ms:
            return
        if self._draw.random() < self._carries(self._active) * 0.7:
            self._stall(self._draw.uniform(20, 200))

    def _lose(self, daemon: Daemon, epoch: int) -> None:
        """The token did not come back; a frozen daemon notices when it runs again."""
        if epoch != self._epoch or not daemon.alive:
            return
        self._alone(daemon)

    def _alone(self, daemon: Daemon) -> None:
        self._views += 1
        daemon.view = self._views
        daemon.held.clear()
        self._look_at_witness()
        self._tell_view(daemon)

    def _merge(self, epoch: int) -> None:
        one, two = self.daemons[1], self.daemons[2]
        if epoch != self._epoch or not self._linked or one.view == two.view:
            return
        for daemon in (one, two):
            self._alone(daemon)
        self._views += 1
        one.view = two.view = self._views
        self._look_at_witness()
        for daemon in (one, two):
            self._tell_view(daemon)

    # --- daemons and keepers ----------------------------------------------------------------------------------------

    def start(self, node: int) -> None:
        """The daemon starts, in a view of its own."""
        daemon = self.daemons[node]
        if daemon.running or not daemon.node.machine.powered:
            return
        daemon.running = True
        self._alone(daemon)
        self.look()
        self.connect(node)

    def stop(self, node: int) -> None:
        """The daemon dies."""
        daemon = self.daemons[node]
        was_joined = daemon.joined
        daemon.running = daemon.joined = False
        daemon.held.clear()
        self._views += 1
        daemon.view = self._views
        self.look()
        if was_joined:
            daemon.node.from_corosync(CorosyncChanged(up=False))

    def connect(self, node: int) -> None:
        """A keeper, or its daemon, has come up: it joins the group soon."""
        daemon = self.daemons[node]
        keeper = daemon.node.keeper

        def join() -> None:
            if (
                daemon.node.keeper is not keeper
                or keeper is None
                or not keeper.alive
                or not daemon.running
                or daemon.joined
            ):
                return
            if not daemon.alive or keeper.stopped:
                self._agenda.after(50, join)
                return
            daemon.joined = True
            daemon.node.from_corosync(CorosyncChanged(up=True))
            if self.witness is not None:
                daemon.node.from_corosync(WitnessChanged(node in self._reach))
            self._tell_views()

        self._agenda.after(self._draw.uniform(20, 200), join)

    def leave(self, node: int) -> None:
        """The keeper's process is gone; its daemon tells the group."""
        daemon = self.daemons[node]
        if daemon.joined:
            daemon.joined = False
            daemon.held.clear()
            self._tell_views()

    def _tell_views(self) -> None:
        for daemon in self.daemons.values():
            self._tell_view(daemon)

    def _tell_view(self, daemon: Daemon) -> None:
        if not daemon.joined:
            return
        members = frozenset(n for n, other in self.daemons.items() if other.joined and other.view == daemon.view)

        def tell() -> None:
            if daemon.joined:
                daemon.node.from_corosync(ViewChanged(members, self._quorate(daemon)))

        if self.witness is not None and self._apart and daemon.node.id in self._reach:
            return  # withheld until the witness has decided: see _decide
        self._agenda.after(self._draw.uniform(0.5, 3), tell)

    # --- the witness ------------------------------------------------------------------------------------------------

    def _quorate(self, daemon: Daemon) -> bool:
        return self.witness is None or not self._apart or self._voted == daemon.node.id

    def _look_at_witness(self) -> None:
        """The third vote goes to one side of a split: the side that has lost is told first, and then the other."""
        if self.witness is None:
            return
        reach = frozenset(n for n, d in self.daemons.items() if d.running and d.node.machine.runs and self.witness(n))
        one, two = self.daemons[1], self.daemons[2]
        apart = one.view != two.view or not (one.running and two.running)
        for number in self._reach ^ reach:
            self._agenda.after(self._draw.uniform(200, 1000), lambda n=number: self._tell_witness(n))  # type: ignore[misc]
        if (reach, apart) == (self._reach, self._apart):
            return
        self._reach, self._apart = reach, apart
        self._poll += 1
        poll = self._poll
        if not apart:
            self._voted = 0
            return
        for number, daemon in self.daemons.items():
            if number not in reach:
                self._agenda.after(self._draw.uniform(0.5, 3), lambda d=daemon: self._tell_decision(d, poll))  # type: ignore[misc]
        self._agenda.after(self._draw.uniform(100, 500), lambda: self._decide(poll))

    def _decide(self, poll: int) -> None:
        if poll != self._poll or not self._apart:
            return
        if self._voted not in self._reach:
            self._voted = min(self._reach, default=0)
        for number, daemon in self.daemons.items():
            later_ms = self._draw.uniform(500, 900) if number == self._voted else self._draw.uniform(0.5, 3)
            self._agenda.after(later_ms, lambda d=daemon: self._tell_decision(d, poll))  # type: ignore[misc]

    def _tell_decision(self, daemon: Daemon, poll: int) -> None:
        """What was decided on an earlier membership is not told any more: that poll has ended."""
        if daemon.joined and self._apart and poll == self._poll:
            members = frozenset(n for n, d in self.daemons.items() if d.joined and d.view == daemon.view)
            daemon.node.from_corosync(ViewChanged(members, self._quorate(daemon)))

    def _tell_witness(self, number: int) -> None:
        daemon = self.daemons[number]
        if daemon.joined:
            daemon.node.from_corosync(WitnessChanged(number in self._reach))

    # --- messages ---------------------------------------------------------------------------------------------------

    def send(self, node: int, message: Message) -> bool:
        """One agreed message to the other keeper; lost without a shared view. False for "try again" (flow control)."""
        daemon, other = self.daemons[node], self.daemons[3 - node]
        if not daemon.joined or (self.try_again and self._draw.random() < self.try_again):
            return False
        if daemon.view != other.view:
            return True
        delay_ms = self._draw.uniform(0.6, 3)
        loss = self._carries(self._active) if self._active is not None else 0.0
        while loss and self._draw.random() < loss:
            delay_ms += self._draw.uniform(5, 30)
        daemon.last_ms = max(daemon.last_ms, self._agenda.now_ms + delay_ms)
        view = daemon.view
        self._agenda.at(daemon.last_ms, lambda: self._arrive(daemon, other, view, message))
        return True

    def _arrive(self, daemon: Daemon, other: Daemon, view: int, message: Message) -> None:
        if daemon.view != view or other.view != view:
            return
        if not self._linked or self._agenda.now_ms < self._stalled_until_ms or daemon.held:
            daemon.held.append(message)
            return
        self._deliver(other, message)

    def _flush(self) -> None:
        """The link is back within the same view: totem sends again what was missed."""
        if self.daemons[1].view != self.daemons[2].view:
            return
        for number, daemon in self.daemons.items():
            held, daemon.held = daemon.held, []
            for message in held:
                self._deliver(self.daemons[3 - number], message)

    def _deliver(self, other: Daemon, message: Message) -> None:
        if not other.joined:
            return
        if self.encode:
            message = message_from_bytes(message_to_bytes(message))
        other.node.from_corosync(MessageArrived(message))
