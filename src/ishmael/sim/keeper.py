"""The keeper's process in the virtual world: feeds the very same core and carries out its commands.

It obeys the duties listed in ``ishmael.core``. It can be stopped (SIGSTOP, a frozen userland) at any moment: what it was
about to do is then done when it runs again, and what arrived meanwhile waits in its sockets.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from ishmael.core import commands as do
from ishmael.core import facts
from ishmael.core.events import (
    AddressEnded,
    Configured,
    DataReported,
    DiskProbed,
    Event,
    FenceEnded,
    LinkChanged,
    OnlyNotified,
    SaveEnded,
    Started,
    SynchronousEnded,
    Ticked,
    WorkloadEnded,
)
from ishmael.core.machine import step
from ishmael.core.messages import Beat, Message
from ishmael.core.state import Config, State

if TYPE_CHECKING:
    from ishmael.sim.node import Node

_SOCKET_FRAMES_MAX = 400
_EVERYDAY = (do.Send, do.AskReferences, do.ProbePeer, do.ProbeHolder, do.RefreshAddress)
_REPORT_EVERY_MS = 100
_PROBE_DISK_EVERY_MS = 5000
_UNSENT_MAX = 15


class Keeper:
    """One life of a keeper.

    Args:
        node: where it runs.
        incarnation: a number no other life has had.
        config: what it reads from the settings.
        discards_agreed: ``DiscardFrames`` also throws away agreed messages that waited.
    """

    def __init__(self, node: Node, incarnation: int, config: Config, *, discards_agreed: bool) -> None:
        self.node = node
        self.world = node.world
        self.agenda = node.world.agenda
        self.draw: random.Random = node.world.draw
        self.alive = True
        self.sigstopped = False
        self.stopped_since_ms = -1.0
        self.state = State()
        self._config = config
        self.incarnation = incarnation
        self._discards_agreed = discards_agreed
        self._busy_until_ms = 0.0
        self._tick_due = False
        self._frames: list[Event] = []
        self._agreed: list[Event] = []
        self._ended: list[Callable[[], None]] = []
        self._unsent: list[Message] = []
        self._save_free_ms = 0.0
        self._running_workload: Callable[[], None] | None = None
        self._workload_number = 0
        self.told_only: frozenset[str] = frozenset()
        self.crash_in = 0
        self.crash: Callable[[], None] = lambda: None

    @property
    def stopped(self) -> bool:
        """It exists and does not run."""
        return self.sigstopped or not self.node.machine.runs

    @property
    def runs(self) -> bool:
        """It exists and runs."""
        return self.alive and not self.stopped

    def start(self) -> None:
        """Read the disk and begin to tick."""
        disk = self.node.machine.disk
        # A predecessor may have been killed between rename and fsync: what is read must survive before it is trusted.
        disk.sync()
        record = None if disk.damaged else disk.visible
        self.feed(Configured(self._config))
        self.feed(Started(self.incarnation, record, disk.damaged, self.node.machine.holds))
        for network, wire in self.world.ether.wires.items():
            self.feed(LinkChanged(network, self.node.id not in wire.no_carrier))
        self.world.corosync.connect(self.node.id)
        self._tick()
        self.agenda.after(_REPORT_EVERY_MS, self._report)
        self.agenda.after(_PROBE_DISK_EVERY_MS, self._probe_disk)

    def kill(self) -> None:
        """SIGKILL."""
        self.alive = False
        self.world.corosync.leave(self.node.id)

    def wake(self) -> None:
        """It may run again: a late tick first, then what waited."""
        if not self.runs:
            return
        self.world.monitors.resumed(self.node.id)
        ended, self._ended = self._ended, []
        # A call it had begun is finished by the kernel before the loop comes round to look at the clock.
        for what in ended:
            what()
        if self._tick_due:
            self._tick()
        agreed, self._agreed = self._agreed, []
        frames, self._frames = self._frames, []
        for event in [*agreed, *frames]:
            self.feed(event)

    # --- events -----------------------------------------------------------------------------------------------------

    def frame(self, event: Event) -> None:
        """Something arrived on the packet socket."""
        if self.runs:
            self.feed(event)
        elif self.alive and len(self._frames) < _SOCKET_FRAMES_MAX:
            self._frames.append(event)

    def agreed(self, event: Event) -> None:
        """Something arrived from the local Corosync."""
        if self.runs:
            self.feed(event)
        elif self.alive:
            self._agreed.append(event)

    def ended(self, event: Event) -> None:
        """A helper or the kernel reports."""
        self._when_running(lambda: self.feed(event))

    def _when_running(self, what: Callable[[], None]) -> None:
        if self.runs:
            what()
        elif self.alive:
            self._ended.append(what)

    def _tick(self) -> None:
        if not self.alive:
            return
        if self.stopped:
            self._tick_due = True
            return
        self._tick_due = False
        self.agenda.after(self.state.config.times.tick_ms + self._lateness_ms(), self._tick)
        if self._unsent or not self._may_skip():
            self._whole_tick()

    def _lateness_ms(self) -> float:
        late_ms = self.draw.expovariate(2.0)
        if self.draw.random() < self.world.stress:
            late_ms += self.draw.uniform(0, 120)
        return late_ms

    def _may_skip(self) -> bool:
        """A quiet node takes one tick of three."""
        s = self.state
        spell_ms = facts.QUIET_TICKS * s.config.times.tick_ms
        return facts.quiet(s) and self.node.machine.mono_ms() - s.last_tick_ms < spell_ms

    def _whole_tick(self) -> None:
        while self._unsent and self.world.corosync.send(self.node.id, self._unsent[0]):
            del self._unsent[0]
        self.feed(Ticked(self.node.machine.boot_ms()))

    def _report(self) -> None:
        if not self.alive:
            return
        self.agenda.after(_REPORT_EVERY_MS, self._report)
        if self.runs and self.told_only != self.world.only_notified:
            self.told_only = self.world.only_notified
            self.feed(OnlyNotified(self.told_only))
        self.report()

    def _probe_disk(self) -> None:
        """The helper writes and syncs a few bytes, so that a dead disk is known before the record has to be written."""
        if not self.alive:
            return
        self.agenda.after(_PROBE_DISK_EVERY_MS, self._probe_disk)
        disk = self.node.machine.disk
        if self.runs and self.state.saving is None:
            takes_ms = self.draw.uniform(2, 15) * disk.slow
            self.agenda.after(takes_ms, lambda: self.ended(DiskProbed(not disk.failing, disk.failing)))

    def report(self) -> None:
        """Look at the follower and say how far it is."""
        if self.runs and self.state.synchronous:
            in_step, why = self.world.database.in_step(self.node.id)
            self.feed(DataReported(in_step, why))

    def reconfigure(self, config: Config) -> None:
        """The settings were read again."""
        self._when_running(lambda: self.feed(Configured(config)))

    def feed(self, event: Event) -> None:
        """One step of the core, and its commands."""
        before = self.state
        result = step(before, self.node.machine.mono_ms(), event)
        self.state = result.state
        self.world.observe(self.node, before, result)
        for command in result.commands:
            if self.crash_in > 0 and not isinstance(command, _EVERYDAY):
                self.crash_in -= 1
                if self.crash_in == 0:
                    self.crash()
            if not self.alive:
                return  # it died between two commands
            self._soon(command)

    # --- commands ---------------------------------------------------------------------------------------------------

    def _soon(self, command: do.Command) -> None:
        """Carry out in order; what changes the address takes a moment, and can be overtaken by a kill or a stop."""
        handler = _HANDLERS[type(command)]
        takes_ms = 0.0
        if isinstance(command, do.TakeAddress):
            takes_ms = self.draw.uniform(1, 6)
        elif isinstance(command, do.DropAddress | do.RefreshAddress):
            takes_ms = self.draw.uniform(0.1, 1.5)
        start_ms = max(self._busy_until_ms, self.agenda.now_ms)
        if takes_ms == 0.0 and start_ms <= self.agenda.now_ms:
            handler(self, command)
            return
        self._busy_until_ms = start_ms + takes_ms
        self.agenda.at(self._busy_until_ms, lambda: self._when_running(lambda: handler(self, command)))

    def _send(self, command: do.Send) -> None:
        """A beat is worth nothing later; anything else is tried again with the next tick."""
        if not self.world.corosync.send(self.node.id, command.message) and not isinstance(command.message, Beat):
            self._unsent = [*self._unsent[-_UNSENT_MAX:], command.message]

    def _save(self, command: do.Save) -> None:
        """The helper writes one record after the other: temporary file, fsync, rename, fsync of the directory."""
        disk = self.node.machine.disk
        takes_ms = self.draw.uniform(2, 15) * disk.slow
        begin_ms = max(self._save_free_ms, self.agenda.now_ms)
        rename_ms, self._save_free_ms = begin_ms + takes_ms * 0.7, begin_ms + takes_ms
        power = self.node.power_number

        def rename() -> None:
            if self.node.power_number == power and not disk.full and self.alive:
                disk.visible, disk.damaged = command.record, ""

        def end() -> None:
            if self.node.power_number != power or not self.alive:
                return
            if disk.failing:
                self.ended(SaveEnded(command.ticket, ok=False, why=disk.failing))
                return
            if self.world.syncs_record:
                disk.synced(command.record)
            self.ended(SaveEnded(command.ticket, ok=True))

        self.agenda.at(rename_ms, rename)
        self.agenda.at(self._save_free_ms, end)

    def _take(self, _command: do.TakeAddress) -> None:
        self.world.monitors.about_to_hold(self.node)
        self.node.machine.add_address(self.world.times.lease_ms)
        self.feed(AddressEnded(holds=True))

    def _refresh(self, _command: do.RefreshAddress) -> None:
        if not self.node.machine.refresh_address(self.world.times.lease_ms):
            self.feed(AddressEnded(holds=False))

    def _drop(self, _command: do.DropAddress) -> None:
        self.node.machine.delete_address()
        self.feed(AddressEnded(holds=False))

    def _announce(self, _command: do.Announce) -> None:
        self.world.ether.announce(self.node.id)

    def _ask_references(self, command: do.AskReferences) -> None:
        self.world.ether.ask_references(self.node.id, command.names)

    def _probe_peer(self, _command: do.ProbePeer) -> None:
        self.world.ether.probe_peer(self.node.id)

    def _probe_holder(self, _command: do.ProbeHolder) -> None:
        self.world.ether.probe_holder(self.node.id)

    def _discard(self, _command: do.DiscardFrames) -> None:
        self._frames.clear()
        if self._discards_agreed:
            self._agreed = [e for e in self._agreed if not hasattr(e, "message")]

    def _open(self, _command: do.OpenWorkload) -> None:
        self._workload(True, self.draw.uniform(30, 400))

    def _close(self, command: do.CloseWorkload) -> None:
        takes_ms = self.draw.uniform(10, 150) if self.draw.random() < 0.8 else self.draw.uniform(150, 2000)
        if self.node.stop_hangs:
            takes_ms = float("inf")
        self._workload(False, min(takes_ms, command.limit_ms))

    def _workload(self, opened: bool, takes_ms: float) -> None:
        """A later order supersedes an earlier one; the services themselves survive the keeper."""
        self._workload_number += 1
        number, power = self._workload_number, self.node.power_number
        if not opened:
            self.node.workload_open = False
            self.world.database.close(self.node.id)

        def end() -> None:
            if number != self._workload_number or self.node.power_number != power or not self.alive:
                return
            if opened:
                self.node.workload_open = True
                self.world.database.open(self.node.id)
            self.ended(WorkloadEnded(opened, ok=True))

        self.agenda.after(takes_ms, end)

    def _warm(self, _command: do.WarmWorkload) -> None:
        self.world.database.follow(self.node.id)

    def _synchronous(self, command: do.SetSynchronous) -> None:
        power = self.node.power_number

        def end() -> None:
            if self.node.power_number == power and self.alive:
                self.ended(SynchronousEnded(command.on, ok=True))

        takes_ms = self.draw.uniform(2, 40)
        self.agenda.after(takes_ms * 0.8, lambda: self.world.database.set_synchronous(self.node.id, command.on))
        self.agenda.after(takes_ms, end)

    def _fence(self, command: do.Fence) -> None:
        """The power switch: the other node is off before it confirms."""
        peer = self.world.nodes[3 - self.node.id]

        def end() -> None:
            if self.world.fence_broken:
                if self.draw.random() < 0.5:
                    self.ended(FenceEnded(command.ticket, confirmed=False, why="the power switch does not answer"))
                return
            self.world.trace.remark(self.agenda.now_ms, f"{peer.name} is without power, by the switch")
            peer.power_off()
            self.ended(FenceEnded(command.ticket, confirmed=True))

        self.agenda.after(self.draw.uniform(100, 1100), end)

    def _answer(self, command: do.Answer) -> None:
        self.world.answered(self.node, command)


_HANDLERS: dict[type, Callable[..., None]] = {
    do.Send: Keeper._send,
    do.Save: Keeper._save,
    do.TakeAddress: Keeper._take,
    do.RefreshAddress: Keeper._refresh,
    do.DropAddress: Keeper._drop,
    do.Announce: Keeper._announce,
    do.AskReferences: Keeper._ask_references,
    do.ProbePeer: Keeper._probe_peer,
    do.ProbeHolder: Keeper._probe_holder,
    do.DiscardFrames: Keeper._discard,
    do.OpenWorkload: Keeper._open,
    do.CloseWorkload: Keeper._close,
    do.WarmWorkload: Keeper._warm,
    do.SetSynchronous: Keeper._synchronous,
    do.Fence: Keeper._fence,
    do.Answer: Keeper._answer,
}
