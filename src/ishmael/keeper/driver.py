"""The driver of the core: events in, commands out. The only place where both meet; it decides nothing."""

from __future__ import annotations

import contextlib
import json
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ishmael.core import commands as do
from ishmael.core import events as ev
from ishmael.core import facts
from ishmael.core.machine import step
from ishmael.core.messages import Beat, Message, message_to_bytes
from ishmael.core.state import Config, State
from ishmael.keeper.address import PREFIX_BITS, AddressLease
from ishmael.keeper.both import Both
from ishmael.keeper.control import refusal
from ishmael.keeper.corosync import Corosync
from ishmael.keeper.database import DatabaseLink
from ishmael.keeper.disk import Disk
from ishmael.keeper.eventlist import EventList
from ishmael.keeper.netlink import NetworkWatch
from ishmael.keeper.objections import Objections
from ishmael.keeper.only_notified import OnlyNotifiedChecks
from ishmael.keeper.places import Places
from ishmael.keeper.recorder import FlightRecorder
from ishmael.keeper.say import say
from ishmael.keeper.services import Services
from ishmael.keeper.wires import Wires
from ishmael.words.notices import Notice
from ishmael.words.profile import Profile
from ishmael.words.settings import Settings
from ishmael.words.told import TOLD_KINDS

_WHY_MAX = 500
_OUTBOX_MAX = 16
_DISK_EVERY_MS = 5000
_DATABASE_OPEN_MS = 60_000
"""A database that recovers from a crash may take its time; then it is reported, and goes on."""


def monotonic_ms() -> int:
    """CLOCK_MONOTONIC in ms."""
    return time.monotonic_ns() // 1_000_000


def boot_ms() -> int:
    """CLOCK_BOOTTIME in ms: runs on while the machine is suspended (clock_gettime(2))."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Driver:
    """Holds the state and the drivers.

    Args:
        places: where the files are.

    ``answer`` is called to answer an ask; ``generation`` counts how often sockets were opened anew.
    """

    def __init__(self, places: Places) -> None:
        self.state = State()
        self.settings: Settings | None = None
        self.corosync = Corosync("ishmael")
        self.disk = Disk()
        self.wires: Wires | None = None
        self.lease: AddressLease | None = None
        self.watch: NetworkWatch | None = None
        self._places = places
        self._both = Both(self._workload_ended)
        self.services = Services(lambda opened, failures: self._both.end("services", opened, failures))
        self.database = DatabaseLink(
            places.dbwatch, monotonic_ms, self._database_ended,
            lambda on: self.feed(ev.SynchronousEnded(on, True)),
            lambda in_step, why: self.feed(ev.DataReported(in_step, why)),
        )  # fmt: skip
        self.recorder = FlightRecorder()
        self.objections = Objections(monotonic_ms, lambda why: self.feed(ev.FitnessObjected(why)))
        self.only_notified = OnlyNotifiedChecks(monotonic_ms, lambda checks: self.feed(ev.OnlyNotified(checks)))
        self.events = EventList(places.var / "events.jsonl", self.disk)
        self._record_path = places.var / "record"
        self.answer: Callable[[do.Answer], None] = _nobody
        self.generation = 0
        self._inbox: deque[ev.Event] = deque()
        self._unsent: deque[Message] = deque(maxlen=_OUTBOX_MAX)
        self._busy = False
        self._told = 0
        self._disk_tried_ms = self._disk_next_ms = -1

    # --- settings ---------------------------------------------------------------------------------------------------

    def configure(self, settings: Settings | None, host_name: str, profile: Profile | None) -> ev.Configured:
        """Use these settings; gives the event to feed.

        Args:
            settings: none while this node is not set up.
            host_name: this node's, to find itself.
            profile: the workload.
        """
        me = settings.named(host_name) if settings is not None else None
        self._rewire(settings if me is not None else None, host_name)
        self.settings = settings if me is not None else None
        self.services.profile = profile or Profile("none")
        peer_id = peer.id if settings and me and (peer := settings.peer_of(me.id)) else 0
        self.database.configure(managed=me is not None and self._places.database.exists(), peer=peer_id)
        if settings is None or me is None:
            return ev.Configured(Config())
        return ev.Configured(
            Config(
                me=me.id,
                peer=peer_id,
                references=settings.references,
                dial_tone_first=settings.policy == "dial-tone-first",
                times=settings.times,
            )
        )

    def _rewire(self, settings: Settings | None, host_name: str) -> None:
        for old in (self.wires, self.lease, self.watch):
            if old is not None:
                old.close()
        self.wires = self.lease = self.watch = None
        self.generation += 1
        me = settings.named(host_name) if settings is not None else None
        if settings is None or me is None:
            return
        self.wires = Wires(settings, me)
        self.lease = AddressLease(me.phone_nic, settings.cluster_ip, settings.times.lease_ms // 1000)
        self.watch = NetworkWatch((me.phone_nic, me.internal_nic))
        # In memory, not on disk; without the file the lease alone decides.
        with contextlib.suppress(OSError):
            self._places.address.write_text(
                f"{settings.cluster_ip}/{PREFIX_BITS} dev {me.phone_nic}\n", encoding="ascii"
            )

    # --- events in --------------------------------------------------------------------------------------------------

    def feed(self, event: ev.Event) -> None:
        """Take in one event, and everything its commands bring about at once."""
        self._inbox.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._inbox:
                self._step(self._inbox.popleft())
        finally:
            self._busy = False

    def _step(self, event: ev.Event) -> None:
        now_ms = monotonic_ms()
        result = step(self.state, now_ms, event)
        self.recorder.note(self.state, now_ms, event, result.rules)
        self.state = result.state
        for command in result.commands:
            _EXECUTE[type(command)](self, command)
        for notice in result.notices:
            self._tell(notice)

    def tick(self) -> None:
        """Feed a tick, and send what Corosync would not take before."""
        while self._unsent and self.corosync.send(message_to_bytes(self._unsent[0])):
            self._unsent.popleft()
        if self.state.config.peer and self.state.corosync:
            self.events.pass_on(self.corosync.send)
        if self.wires is not None and self.wires.listens and not facts.suspects(self.state):
            self.wires.stop_listening()
        self.objections.expire()
        self.only_notified.expire()
        self.database.tick()
        now_ms = monotonic_ms()
        self._probe_disk(now_ms)
        # After a pause the core has what waits thrown away: it must not be taken in before.
        if now_ms - self.state.last_tick_ms <= self.state.config.times.pause_ms:
            self.hear_references()
        self.feed(ev.Ticked(boot_ms()))

    def hear_references(self) -> None:
        """Take in what the references have answered so far."""
        if self.wires is not None:
            for event in self.wires.read_references():
                self.feed(event)

    @property
    def quiet(self) -> bool:
        """Nothing waits for the next tick but what comes round with one tick of three."""
        return not self._unsent and facts.quiet(self.state)

    def _probe_disk(self, now_ms: int) -> None:
        """Rule 10: try the disk now and then, so that a dead one is known before a record has to be written."""
        if self._disk_tried_ms >= 0:
            limit_ms = 2 * self.state.config.times.save_ms
            if now_ms - self._disk_tried_ms > limit_ms and self.state.saving is None:
                self.feed(ev.DiskProbed(False, f"the disk takes nothing for {now_ms - self._disk_tried_ms} ms"))
            return
        if self.state.saving is None and now_ms - self._disk_next_ms >= 0:
            self._disk_next_ms = now_ms + _DISK_EVERY_MS
            self._disk_tried_ms = now_ms
            self.disk.try_out(self._record_path.with_name("disk-try"))

    def disk_tried(self, ok: bool, why: str) -> None:
        """The helper has tried the disk."""
        self._disk_tried_ms = -1
        self.feed(ev.DiskProbed(ok, why))

    def _fence(self, command: do.Fence) -> None:
        """No power switch can be set up yet; the settings never ask for one."""
        self.feed(ev.FenceEnded(command.ticket, False, "this version drives no power switch"))

    def _database_ended(self, opened: bool, why: str) -> None:
        self._both.end("database", opened, [f"database: {why}"] if why else [])

    def _workload_ended(self, opened: bool, failures: list[str]) -> None:
        self.feed(ev.WorkloadEnded(opened, not failures, "; ".join(failures)))

    # --- commands out -----------------------------------------------------------------------------------------------

    def _send(self, command: do.Send) -> None:
        sent = self.corosync.send(message_to_bytes(command.message))
        # A beat is worth nothing later; everything else is worth another try.
        if not sent and not isinstance(command.message, Beat):
            self._unsent.append(command.message)

    def _save(self, command: do.Save) -> None:
        self._disk_tried_ms = -1  # a save says as much, and takes the place of a try that still waits
        payload = command.record.to_bytes() if command.record is not None else b""
        self.disk.save(command.ticket, self._record_path, payload)

    def _take(self, _command: do.TakeAddress) -> None:
        why = "this node is not set up"
        if self.lease is not None:
            try:
                self.lease.take()
                why = ""
            except OSError as error:
                why = f"it could not be added: {error.strerror}"
        self.feed(ev.AddressEnded(not why, why))

    def _refresh(self, _command: do.RefreshAddress) -> None:
        try:
            if self.lease is not None and self.lease.refresh():
                return
            why = "it was gone when its lease was to be renewed"
        except OSError as error:
            why = f"its lease could not be renewed: {error.strerror}"
        self.feed(ev.AddressEnded(False, why))

    def _drop(self, _command: do.DropAddress) -> None:
        why = ""
        if self.lease is not None:
            try:
                self.lease.drop()
            except OSError as error:
                # Not refreshed any more, it goes when its lease ends.
                why = f"it could not be removed: {error.strerror}"
        self.feed(ev.AddressEnded(False, why))

    def _announce(self, _command: do.Announce) -> None:
        if self.wires is not None:
            self.wires.announce()

    def _ask_references(self, command: do.AskReferences) -> None:
        if self.wires is not None:
            self.wires.ask_references(command.names)

    def _probe_peer(self, _command: do.ProbePeer) -> None:
        if self.wires is not None:
            for event in self.wires.listen_for_life():
                self.feed(event)
            self.wires.probe_peer()

    def _probe_holder(self, _command: do.ProbeHolder) -> None:
        if self.wires is not None:
            self.wires.probe_holder()

    def _discard(self, _command: do.DiscardFrames) -> None:
        if self.wires is not None:
            self.wires.discard()

    def _open(self, _command: do.OpenWorkload) -> None:
        self._both.begin(True, *self._parts())
        if self.database.managed:
            self.database.open(_DATABASE_OPEN_MS)
        self.services.open()

    def _close(self, command: do.CloseWorkload) -> None:
        self._both.begin(False, *self._parts())
        if self.database.managed:
            self.database.close(command.limit_ms)
        self.services.close(command.limit_ms)

    def _parts(self) -> tuple[str, ...]:
        return ("services", "database") if self.database.managed else ("services",)

    def _warm(self, _command: do.WarmWorkload) -> None:
        if self.database.managed:
            self.database.warm()
        self.services.warm()

    def _synchronous(self, command: do.SetSynchronous) -> None:
        if self.database.managed:
            self.database.synchronous(command.on, once_caught_up=command.once_caught_up)
            return
        # A workload without replicated data is in step by definition: there is nothing to lose.
        self.feed(ev.SynchronousEnded(command.on, True))
        self.feed(ev.DataReported(True))

    def _reply(self, command: do.Answer) -> None:
        self.answer(command)

    # --- notices ----------------------------------------------------------------------------------------------------

    def _tell(self, notice: Notice) -> None:
        entry = self._entry(notice)
        self.events.own(entry)
        say(f"{notice.kind}: {notice.why} {json.dumps(dict(notice.facts))}")

    def tell_for(self, ask: dict[str, Any]) -> dict[str, Any]:
        """The ask ``event``: another program of this node tells both nodes something."""
        kind, why, told = ask.get("kind"), ask.get("why"), ask.get("facts", {})
        if kind not in TOLD_KINDS or not isinstance(why, str) or not why or not isinstance(told, dict):
            known = ", ".join(sorted(TOLD_KINDS))
            hint = f"kind is one of: {known}; why a text; facts an object."
            return refusal("request", "bad-event", "This is no event that may be told.", hint)
        self._tell(Notice(str(kind), "", why[:_WHY_MAX], told))
        return {"ok": True}

    def _entry(self, notice: Notice) -> dict[str, Any]:
        s = self.state
        now = datetime.now(UTC)
        self._told += 1
        me = self.settings.node(s.config.me) if self.settings is not None else None
        return {
            "id": f"{s.config.me}-{int(now.timestamp() * 1000):x}-{self._told}",
            "at": now.isoformat(timespec="milliseconds"),
            "epoch": str(s.record.epoch) if s.record is not None else None,
            "node": me.name if me is not None else None,
            "kind": notice.kind,
            "rule": notice.rule,
            "why": notice.why,
            "facts": dict(notice.facts),
        }


def _nobody(_command: do.Answer) -> None:
    """Before the control socket is there, nobody has asked."""


_EXECUTE: dict[type, Callable[[Driver, Any], None]] = {
    do.Send: Driver._send,
    do.Save: Driver._save,
    do.TakeAddress: Driver._take,
    do.RefreshAddress: Driver._refresh,
    do.DropAddress: Driver._drop,
    do.Announce: Driver._announce,
    do.AskReferences: Driver._ask_references,
    do.ProbePeer: Driver._probe_peer,
    do.ProbeHolder: Driver._probe_holder,
    do.DiscardFrames: Driver._discard,
    do.OpenWorkload: Driver._open,
    do.CloseWorkload: Driver._close,
    do.WarmWorkload: Driver._warm,
    do.SetSynchronous: Driver._synchronous,
    do.Fence: Driver._fence,
    do.Answer: Driver._reply,
}
