"""A node: its machine, its keeper's process, its workload; systemd starts what dies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ishmael.core.asks import Ask
from ishmael.core.events import AddressEnded, Event, LinkChanged
from ishmael.core.state import Config
from ishmael.sim.keeper import Keeper
from ishmael.sim.machine import Machine
from ishmael.words.roles import Network, Role

if TYPE_CHECKING:
    from ishmael.sim.world import World

_RESTART_MS = 300
_WATCHDOG_MS = 2000
_BOOT_MS = (1500, 3000)


class Node:
    """One of the two.

    Args:
        number: its id.
        world: everything round it.
        config: its settings, as the core needs them.
    """

    def __init__(self, number: int, world: World, config: Config) -> None:
        self.id = number
        self.world = world
        self.config = config
        self.machine = Machine(number, world.agenda, world.draw)
        self.machine.on_lapse = self._lapsed
        self.keeper: Keeper | None = None
        self.power_number = 0
        self.workload_open = False
        self.stop_hangs = False

    @property
    def name(self) -> str:
        """How it is called."""
        return f"node{self.id}"

    @property
    def role(self) -> Role | None:
        """The role its keeper believes in, or none without a keeper."""
        return self.keeper.state.role if self.keeper is not None and self.keeper.alive else None

    # --- life -------------------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Power on; Corosync and the keeper start after a while."""
        if self.machine.powered and self.power_number:
            return
        self.machine.power_on()
        self.power_number += 1
        number = self.power_number
        wait_ms = self.world.draw.uniform(*_BOOT_MS)

        def started() -> None:
            if self.machine.powered and self.power_number == number:
                if self.world.corosync.daemons[self.id].restarts:
                    self.world.corosync.start(self.id)
                self.start_keeper()

        self.world.agenda.after(wait_ms, started)
        self.world.looked()

    def power_off(self) -> None:
        """The power is cut."""
        self.power_number += 1
        if self.keeper is not None:
            self.keeper.alive = False
            self.keeper = None
        self.workload_open = False
        self.machine.power_off()
        self.world.corosync.stop(self.id)
        self.world.database.power_off(self.id)
        self.world.looked()

    def start_keeper(self) -> None:
        """A new life of the keeper."""
        # As the real one does: the wall clock tells its lives apart, and it may have been stepped in between.
        incarnation = self.machine.wall_us()
        self.keeper = Keeper(self, incarnation, self.config, discards_agreed=self.world.discards_agreed)
        self.world.monitors.resumed(self.id)
        self.keeper.start()

    def kill_keeper(self) -> None:
        """SIGKILL; systemd starts it again."""
        if self.keeper is None or not self.keeper.alive:
            return
        self.keeper.kill()
        self.world.monitors.keeper_gone(self.id)
        number = self.power_number

        def again() -> None:
            if self.power_number != number or (self.keeper is not None and self.keeper.alive):
                return
            if not self.machine.runs:
                self.world.agenda.after(50, again)
                return
            self.start_keeper()

        self.world.agenda.after(_RESTART_MS * self.world.draw.uniform(0.8, 1.3), again)

    def stop_keeper(self, *, watchdog: bool = True) -> None:
        """SIGSTOP; systemd's watchdog kills it after a while."""
        keeper = self.keeper
        if keeper is None or not keeper.alive:
            return
        keeper.sigstopped = True
        self.world.monitors.keeper_gone(self.id)

        def bark() -> None:
            if keeper.alive and keeper.sigstopped and keeper is self.keeper:
                if self.machine.runs:
                    self.kill_keeper()
                else:
                    self.world.agenda.after(100, bark)

        if watchdog:
            self.world.agenda.after(_WATCHDOG_MS + self.world.draw.uniform(0, 100), bark)

    def continue_keeper(self) -> None:
        """SIGCONT."""
        if self.keeper is not None and self.keeper.sigstopped:
            self.keeper.sigstopped = False
            self.keeper.wake()

    def wake(self) -> None:
        """The machine runs again after a pause."""
        if self.keeper is None or not self.keeper.runs:
            # Its keeper does not: what is left of the lease, whose clock may have stood still, runs from now.
            self.world.monitors.keeper_gone(self.id)
        if self.keeper is not None and self.keeper.alive:
            self.keeper.wake()
        self.world.looked()

    # --- what arrives -----------------------------------------------------------------------------------------------

    def frame(self, event: Event) -> None:
        """A frame arrived."""
        if self.keeper is not None and self.keeper.alive:
            self.keeper.frame(event)

    def listens(self) -> bool:
        """The mere sight of a frame of the peer is of interest: a slave that has heard nothing for two beats."""
        keeper = self.keeper
        if keeper is None or not keeper.alive or keeper.state.role not in (Role.SLAVE, Role.WAITING):
            return False
        return keeper.state.now_ms - keeper.state.peer_ms > 2 * self.world.times.echo_ms

    def from_corosync(self, event: Event) -> None:
        """The local Corosync says something."""
        if self.keeper is not None and self.keeper.alive:
            self.keeper.agreed(event)

    def link(self, network: Network, up: bool) -> None:
        """The carrier of a network interface changed."""
        wire = self.world.ether.wires[network]
        if up:
            wire.no_carrier.discard(self.id)
        else:
            wire.no_carrier.add(self.id)
        self.world.looked()
        if self.keeper is not None and self.keeper.alive:
            self.keeper.ended(LinkChanged(network, up))

    def ask(self, what: Ask) -> None:
        """An admin asks this node's keeper."""
        if self.keeper is not None and self.keeper.runs:
            self.keeper.feed(what)

    def _lapsed(self) -> None:
        if self.keeper is not None and self.keeper.alive:
            self.keeper.ended(AddressEnded(holds=False))
