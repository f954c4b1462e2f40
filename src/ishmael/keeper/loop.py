"""The keeper's one loop: time first, then what came in. No threads; nothing in it waits but the poll itself."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from ishmael import __version__
from ishmael.core import events as ev
from ishmael.core import facts
from ishmael.core.messages import Beat, MessageUnreadable, message_from_bytes
from ishmael.core.state import Config
from ishmael.keeper import corosync as cs
from ishmael.keeper.asks import Asks
from ishmael.keeper.control import Control, refusal
from ishmael.keeper.disk import TRY_OUT, RecordDamaged, read_framed
from ishmael.keeper.driver import Driver, monotonic_ms
from ishmael.keeper.eventlist import MARK
from ishmael.keeper.netlink import AddressGone, LinkChanged
from ishmael.keeper.notify import Notifier, watchdog_ms
from ishmael.keeper.places import Places, read_text
from ishmael.keeper.report import report
from ishmael.keeper.say import say
from ishmael.keeper.units import UnitStates
from ishmael.words.errors import RequestRefused
from ishmael.words.profile import Profile, profile_from_toml
from ishmael.words.record import Record, RecordUnreadable, record_from_bytes
from ishmael.words.roles import Network, Role
from ishmael.words.settings import Settings, settings_from_toml

_CONNECT_MS = 500
_IDLE_TICK_MS = 250
_LEAD_MS = 3


class Loop:
    """Everything of the keeper, joined.

    Args:
        places: where the files are.
        host_name: to find this node in the settings.
    """

    def __init__(self, places: Places, host_name: str) -> None:
        self._places = places
        self._host_name = host_name
        self.driver = Driver(places)
        at_once = {
            "status": self._status, "reload": self._reload, "recorder": self._recorder,
            "fitness-objection": self.driver.objections.take, "event": self.driver.tell_for,
            "only-notify": self.driver.only_notified.take,
        }  # fmt: skip
        self.asks = Asks(self.driver.feed, at_once)
        self.driver.answer = self.asks.answer
        self._control = Control(places.socket, self.asks.take)
        self._units = UnitStates()
        self._notifier = Notifier()
        self._watchdog_ms = watchdog_ms()
        self._watchdog_told_ms = 0
        self._poll = select.epoll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._tick_ms = -1
        self._connect_ms = -1
        self._wired: tuple[int, ...] = (0,)
        self._sources: tuple[object, ...] = ()
        self._processes = False

    # --- begin and end ----------------------------------------------------------------------------------------------

    def start(self, wakeup_fd: int) -> None:
        """Read settings and record, and tell the core.

        Args:
            wakeup_fd: becomes readable when a signal came.
        """
        self._places.var.mkdir(parents=True, exist_ok=True)
        self._watch(wakeup_fd, lambda: _drain(wakeup_fd))
        self._watch(self._control.listener.fileno(), self._accept)
        self._watch(self.driver.disk.records.fileno(), self._on_records)
        self._watch(self.driver.disk.logs.fileno(), lambda: _ignore(self.driver.disk.logs.answers()))
        self.driver.events.load(self._host_name)
        out_because = self._load()
        record, damaged = self._read_record()
        holds = self.driver.lease is not None and self.driver.lease.holds()
        incarnation = time.time_ns() // 1000
        self.driver.feed(ev.Started(incarnation, record, damaged, holds))
        self._tell_links()
        self._notifier.tell("READY=1", f"STATUS={out_because or self.driver.state.role}")

    def _load(self) -> str:
        """Read the settings; a node with settings it cannot read takes no part, and says why."""
        try:
            settings, profile = self._read_settings()
        except RequestRefused as error:
            say(f"{error.message} {error.hint}")
            self.driver.configure(None, self._host_name, None)
            self.driver.feed(ev.Configured(Config(because=error.message.rstrip("."))))
            return error.message
        self.driver.feed(self.driver.configure(settings, self._host_name, profile))
        return ""

    def _read_settings(self) -> tuple[Settings | None, Profile | None]:
        text = read_text(self._places.settings)
        if text is None:
            return None, None
        settings = settings_from_toml(text)
        if settings.named(self._host_name) is None:
            raise RequestRefused(
                "not-in-settings",
                f"This host is called {self._host_name}, and the settings know no node of that name.",
                "Give it its name back, or reset and re-add it.",
            )
        profile = read_text(self._places.profile)
        return settings, profile_from_toml(profile) if profile is not None else None

    def _read_record(self) -> tuple[Record | None, str]:
        try:
            raw = read_framed(self._places.var / "record")
            return (record_from_bytes(raw) if raw is not None else None), ""
        except (RecordDamaged, RecordUnreadable) as error:
            return None, str(error)

    def close(self) -> None:
        """Let go of everything but the address: its lease decides."""
        self._notifier.tell("STOPPING=1")
        self.driver.corosync.close()
        self.driver.disk.close()
        self._places.socket.unlink(missing_ok=True)

    # --- the loop ---------------------------------------------------------------------------------------------------

    def once(self) -> None:
        """Wait for the next event or tick, then take in everything."""
        self._wire()
        tick_ms, early_ms = self._tick_period_ms()
        due_ms = self._tick_ms + tick_ms if self._tick_ms >= 0 else 0
        wait_ms = max(0, due_ms - monotonic_ms())
        ready = self._poll.poll(wait_ms / 1000, 64)
        if monotonic_ms() >= due_ms - (early_ms if ready else 0):
            self._tick()
        for fd, _mask in ready:
            handler = self._handlers.get(fd)
            if handler is not None:
                handler()
        self.driver.services.advance(monotonic_ms())

    def _tick_period_ms(self) -> tuple[int, int]:
        """When the next tick is due after the last one, and how much earlier it is taken when something else wakes us.

        An idle node ticks rarely; the core's lateness counts from its own tick, so only where it takes no part. A quiet one
        leaves ticks out, and takes the next with the peer's beat, so that one wake-up does for both. The node with the
        higher number has a slightly shorter period: so the two find into step.
        """
        driver = self.driver
        if driver.settings is None:
            return _IDLE_TICK_MS, 0
        times, config = driver.state.config.times, driver.state.config
        if not driver.quiet:
            return times.tick_ms, 0
        period_ms = times.tick_ms * facts.QUIET_TICKS - (_LEAD_MS if config.me > config.peer else 0)
        return period_ms, max(0, period_ms - max(times.echo_ms, times.reference_ms))

    def _tick(self) -> None:
        now_ms = self._tick_ms = monotonic_ms()
        self._control.flush()
        if self.driver.settings is not None:
            self.driver.tick()
            self._connect(now_ms)
            self._units.refresh(self.driver.services.profile, now_ms)
        else:
            self._units.refresh(Profile("none"), now_ms)
        if self._watchdog_ms and now_ms - self._watchdog_told_ms >= self._watchdog_ms // 4:
            self._watchdog_told_ms = now_ms
            self._notifier.tell("WATCHDOG=1", f"STATUS={self.driver.state.role}")

    def _connect(self, now_ms: int) -> None:
        wanted = bool(self.driver.state.config.peer)
        if wanted and not self.driver.state.corosync and now_ms - self._connect_ms >= _CONNECT_MS:
            self._connect_ms = now_ms
            if self.driver.corosync.connect():
                self.driver.feed(ev.CorosyncChanged(True))
        elif not wanted and self.driver.state.corosync:
            self.driver.corosync.close()
            self.driver.feed(ev.CorosyncChanged(False))

    # --- descriptors ------------------------------------------------------------------------------------------------

    def _watch(self, fd: int, handler: Callable[[], None]) -> None:
        # A number can come back for another file: being registered is the poll's knowledge, not ours.
        with contextlib.suppress(FileExistsError):
            self._poll.register(fd, select.EPOLLIN)
        self._handlers[fd] = handler

    def _unwatch(self, fd: int) -> None:
        if self._handlers.pop(fd, None) is not None:
            # A descriptor that was closed has left the poll by itself.
            with contextlib.suppress(OSError):
                self._poll.unregister(fd)

    def _wire(self) -> None:
        """Watch what comes and goes: Corosync, the networks, processes of the workload, the disk helpers."""
        driver = self.driver
        processes = bool(driver.services.fds()) or self._units.fd >= 0
        sources = (
            driver.generation, driver.database.generation, driver.database.fd, *driver.corosync.fds(),
            driver.disk.records.fileno(), driver.watch, facts.questioned(driver.state),
        )  # fmt: skip
        if sources == self._sources and not processes and not self._processes:
            return
        self._sources, self._processes = sources, processes
        wanted: dict[int, Callable[[], None]] = {fd: partial(self._on_corosync, fd) for fd in driver.corosync.fds()}
        wanted |= dict.fromkeys(driver.services.fds(), lambda: None)
        if driver.database.fd >= 0:
            wanted[driver.database.fd] = driver.database.read
        if self._units.fd >= 0:
            wanted[self._units.fd] = self._units.read
        wanted[driver.disk.records.fileno()] = self._on_records
        if driver.watch is not None:
            wanted[driver.watch.fileno()] = self._on_links
        if driver.wires is not None:
            for network, port in driver.wires.ports.items():
                wanted[port.fileno()] = partial(self._on_frames, network)
            if facts.questioned(driver.state):
                wanted[driver.wires.references_fd] = driver.hear_references
        now = (driver.generation + driver.database.generation, *wanted)
        if now == self._wired and not processes:
            return
        for fd in self._wired[1:]:
            # A number that was closed here may be a client's by now.
            if fd not in wanted and fd not in self._control.clients:
                self._unwatch(fd)
        for fd, handler in wanted.items():
            self._watch(fd, handler)
        self._wired = now

    def _on_corosync(self, fd: int) -> None:
        for event in self.driver.corosync.dispatch(fd):
            match event:
                case cs.ViewChanged():
                    if self.driver.state.config.peer in event.joined:
                        self.driver.events.peer_came()
                    self.driver.feed(ev.ViewChanged(event.members, self.driver.state.quorate))
                case cs.QuorumChanged():
                    self.driver.feed(ev.ViewChanged(self.driver.state.members, event.quorate))
                case cs.MessageArrived():
                    self._on_message(event)
                case cs.ConnectionLost():
                    self.driver.feed(ev.CorosyncChanged(False))

    def _on_message(self, arrived: cs.MessageArrived) -> None:
        if arrived.sender != self.driver.state.config.peer:
            return
        if arrived.payload.startswith(MARK):
            self.driver.events.from_peer(arrived.payload.removeprefix(MARK))
            return
        try:
            message = message_from_bytes(arrived.payload)
            if isinstance(message, Beat) and message.question and self.driver.state.question_ms < 0:
                # What waits here was answered before the question: it proves nothing of now.
                self.driver.hear_references()
            self.driver.feed(ev.MessageArrived(message))
        except MessageUnreadable as error:
            say(f"message of node {arrived.sender} ignored: {error}")

    def _on_frames(self, network: Network) -> None:
        if self.driver.wires is None:
            return
        # While beats come in, the mere sight of the peer tells nothing new.
        s = self.driver.state
        wants_frames = s.role is Role.SLAVE and s.now_ms - s.peer_ms > 2 * s.config.times.echo_ms
        for event in self.driver.wires.read(network, wants_frames):
            self.driver.feed(event)

    def _on_links(self) -> None:
        wires, lease, watch = self.driver.wires, self.driver.lease, self.driver.watch
        if wires is None or lease is None or watch is None:
            return
        for event in watch.read():
            if isinstance(event, LinkChanged):
                network = Network.PHONE if event.nic == wires.who.me.phone_nic else Network.INTERNAL
                self.driver.feed(ev.LinkChanged(network, event.up))
            elif isinstance(event, AddressGone) and event.ip == wires.who.cluster_ip and not lease.holds():
                self.driver.feed(ev.AddressEnded(False))

    def _tell_links(self) -> None:
        wires, watch = self.driver.wires, self.driver.watch
        if wires is not None and watch is not None:
            for network, nic in (
                (Network.PHONE, wires.who.me.phone_nic),
                (Network.INTERNAL, wires.who.me.internal_nic),
            ):
                self.driver.feed(ev.LinkChanged(network, watch.is_up(nic)))

    def _on_records(self) -> None:
        for saved in self.driver.disk.records.answers():
            if saved.ticket == TRY_OUT:
                self.driver.disk_tried(saved.ok, saved.error)
                continue
            saving = self.driver.state.saving
            ticket = saved.ticket if saved.ticket >= 0 else (saving.ticket if saving is not None else -1)
            self.driver.feed(ev.SaveEnded(ticket, saved.ok, saved.error))

    # --- asks answered at once --------------------------------------------------------------------------------------

    def _accept(self) -> None:
        client = self._control.accept()
        if client is not None:
            fd = client.sock.fileno()
            self._watch(fd, lambda: self._serve(fd))
            self._serve(fd)  # who connects has mostly asked by now

    def _serve(self, fd: int) -> None:
        if fd in self._control.clients and not self._control.serve(fd):
            self._unwatch(fd)

    def _status(self, _ask: dict[str, Any]) -> dict[str, Any]:
        driver = self.driver
        return {
            "ok": True,
            "status": report(driver.state, driver.settings, self._units.states, driver.database.facts, __version__),
        }

    def _recorder(self, _ask: dict[str, Any]) -> dict[str, Any]:
        path = self._places.recording
        if not self.driver.recorder.write(path):
            return refusal("request", "busy", "The flight recorder is being written already.", "Try again in a moment.")
        return {"ok": True, "path": str(path)}

    def _reload(self, _ask: dict[str, Any]) -> dict[str, Any]:
        try:
            settings, profile = self._read_settings()
        except RequestRefused as error:
            return refusal("request", error.code, error.message, error.hint)
        self.driver.feed(self.driver.configure(settings, self._host_name, profile))
        if settings is None and self.driver.state.role is not Role.OUT:
            self.driver.feed(ev.Configured(Config()))
        self._tell_links()
        return {"ok": True}


def _drain(fd: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.read(fd, 4096)


def _ignore(_answers: object) -> None:
    """A log line that could not be written is lost; the journal has it too."""
