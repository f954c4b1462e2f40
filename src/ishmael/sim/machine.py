"""One machine without its keeper: power, kernel with the address lease, clocks, and the disk with the record."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from ishmael.sim.agenda import Agenda
from ishmael.words.record import Record

_WALL_US = 1_700_000_000_000_000


@dataclass
class Disk:
    """The record on disk: what a reader sees, and what would survive a power cut.

    Args:
        visible: the record as a process reads it.
        durable: the record as it would be found after a power cut.
        damaged: why it cannot be trusted, or ``""``.
        slow: factor on the time a save takes.
        full: saves fail.
        fsync_fails: a save is renamed into its place, and then its fsync fails: it can be read, and a power cut may lose it.
        past: every record that was once durable, oldest first: what a backup of the machine may bring back.
    """

    visible: Record | None = None
    durable: Record | None = None
    damaged: str = ""
    slow: float = 1.0
    full: bool = False
    fsync_fails: bool = False
    past: list[Record | None] = field(default_factory=list)

    @property
    def failing(self) -> str:
        """Why a save fails; empty when it does not."""
        if self.full:
            return "no space left on device"
        return "input/output error" if self.fsync_fails else ""

    def synced(self, record: Record | None) -> None:
        """From now on this one survives."""
        self.durable = record
        self.past.append(record)

    def power_cut(self) -> None:
        """What was not synced is gone."""
        self.visible = self.durable

    def sync(self) -> None:
        """What is visible survives from now on."""
        self.durable = self.visible


class Machine:
    """Power, kernel and clocks of one node.

    Args:
        node: its id.
        agenda: virtual time.
        draw: chance.
        on_lapse: told when the kernel removed the address.
    """

    def __init__(self, node: int, agenda: Agenda, draw: random.Random) -> None:
        self.node = node
        self.agenda = agenda
        self.draw = draw
        self.disk = Disk()
        self.powered = True
        self.userland_frozen = False
        self.hung = False
        self.stopped_vm = False
        self.holds = False
        self.lapses = True
        self.on_lapse: Callable[[], None] = lambda: None
        self.on_holds: Callable[[], None] = lambda: None
        self._lease = 0
        self._lapse_ms = 0.0
        self.rate = 1.0 + draw.uniform(-0.004, 0.004)
        self._mono_base = draw.uniform(1e4, 1e8)
        self._since_ms = 0.0
        self._suspended_ms = 0.0
        self._stopped_ms = 0.0
        self.wall_offset_ms = 0.0

    @property
    def runs(self) -> bool:
        """Processes run."""
        return self.powered and not (self.userland_frozen or self.hung or self.stopped_vm)

    @property
    def kernel_alive(self) -> bool:
        """The kernel takes frames and answers ARP."""
        return self.powered and not (self.hung or self.stopped_vm)

    def mono_ms(self) -> int:
        """CLOCK_MONOTONIC, ms: this machine's own idea of time, stopped with the machine."""
        until_ms = self._stopped_ms if self.stopped_vm else self.agenda.now_ms
        return int(self._mono_base + (until_ms - self._since_ms) * self.rate)

    def boot_ms(self) -> int:
        """CLOCK_BOOTTIME, ms."""
        return self.mono_ms() + int(self._suspended_ms)

    def wall_us(self) -> int:
        """The wall clock, microseconds since its epoch: an admin or a time server may step it, either way."""
        return _WALL_US + int((self.agenda.now_ms + self.wall_offset_ms) * 1000)

    # --- power and pauses -------------------------------------------------------------------------------------------

    def power_off(self) -> None:
        """The power is cut."""
        self.powered = False
        self.userland_frozen = self.hung = self.stopped_vm = False
        self.disk.power_cut()
        self._set_holds(False)

    def power_on(self) -> None:
        """The machine boots: clocks start near zero, no address is left."""
        self.powered = True
        self._mono_base, self._since_ms, self._suspended_ms = self.draw.uniform(2000, 9000), self.agenda.now_ms, 0.0

    def stop_vm(self) -> None:
        """The hypervisor stops the machine: frames, leases and clocks stop."""
        self._stopped_ms = self.agenda.now_ms
        self.stopped_vm = True
        self._lease += 1

    def resume_vm(self, *, clocks_tell: bool) -> None:
        """The hypervisor lets it run on; with ``clocks_tell`` CLOCK_BOOTTIME has gone on meanwhile."""
        away_ms = self.agenda.now_ms - self._stopped_ms
        self.stopped_vm = False
        self._since_ms += away_ms
        if clocks_tell:
            self._suspended_ms += away_ms
        if self.holds:
            self._arm(max(0.0, self._lapse_ms - self._stopped_ms))

    def hang(self) -> None:
        """The kernel hangs: no frame, no process, and its timers do not fire. The clocks run on."""
        self.hung = True
        self._lease += 1

    def unhang(self) -> None:
        """The kernel comes back; timers that are due fire soon."""
        self.hung = False
        if self.holds:
            self._arm(max(self.draw.uniform(0, 30), self._lapse_ms - self.agenda.now_ms))

    # --- the address ------------------------------------------------------------------------------------------------

    def add_address(self, lease_ms: int) -> None:
        """Add the cluster IP with a finite lease; the kernel's timer is up to 30 ms late (measured)."""
        self._arm(lease_ms + self.draw.uniform(10, 30))
        self._set_holds(True)

    def refresh_address(self, lease_ms: int) -> bool:
        """Renew the lease if the address is there; whether it was."""
        if self.holds:
            self._arm(lease_ms + self.draw.uniform(10, 30))
        return self.holds

    def delete_address(self) -> None:
        """Remove the cluster IP."""
        self._lease += 1
        self._set_holds(False)

    def _arm(self, span_ms: float) -> None:
        self._lease += 1
        lease = self._lease
        self._lapse_ms = self.agenda.now_ms + span_ms
        if self.lapses:
            self.agenda.at(self._lapse_ms, lambda: self._lapse(lease))

    def _lapse(self, lease: int) -> None:
        if lease == self._lease and self.holds:
            self._set_holds(False)
            self.on_lapse()

    def _set_holds(self, holds: bool) -> None:
        if holds != self.holds:
            self.holds = holds
            self.on_holds()
