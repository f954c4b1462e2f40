"""Taking in events: each handler only notes what was learned. What follows from it is the rules' business."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ishmael.core import acts, facts
from ishmael.core import events as ev
from ishmael.core.asks import Ask
from ishmael.core.commands import DiscardFrames
from ishmael.core.messages import Accept, Beat, Go, Offer, Refuse, SwitchWanted, Withdraw
from ishmael.core.outbox import Outbox
from ishmael.core.state import ProbeSense, ReferenceSense, State, VacancySense
from ishmael.words.roles import Network, Role

_NOT_SAVED = "record-not-saved"


def absorb(s: State, event: ev.Event, out: Outbox) -> None:
    """Note what ``event`` says in ``s`` (a copy that the caller owns)."""
    _HANDLERS[type(event)](s, event, out)


def _started(s: State, e: ev.Started, out: Outbox) -> None:
    s.incarnation = e.incarnation
    s.references = {name: ReferenceSense() for name in s.config.references}
    s.started_ms = s.role_since_ms = s.now_ms
    s.peer_ms = s.life_ms = s.now_ms
    s.record = e.record
    s.holds = e.holds
    # What an earlier life granted is not known any more: count from now, the latest it can have been.
    s.granted_ms = s.now_ms
    s.slave_let_go = False
    if e.damaged:
        s.out_because = f"the record on disk cannot be trusted: {e.damaged}"
        s.role = Role.OUT
        out.tell("stays-out", "7", s.out_because + "; re-add this node", damaged=e.damaged)
        return
    s.out_because = "" if s.config.me else s.config.because
    if s.config.me and (e.record is not None or s.config.peer):
        s.role = Role.WAITING


def _configured(s: State, e: ev.Configured, out: Outbox) -> None:
    had_peer = s.config.peer
    s.config = e.config
    s.references = {name: s.references.get(name, ReferenceSense()) for name in e.config.references}
    if not e.config.peer:
        s.peer, s.heard_ms = None, -1
    elif e.config.peer != had_peer:
        s.peer_ms = s.life_ms = s.now_ms
    if s.role is Role.OUT and not s.out_because.startswith("the record"):
        s.out_because = "" if e.config.me else e.config.because
        if e.config.me and (s.record is not None or e.config.peer):
            s.role, s.role_since_ms = Role.WAITING, s.now_ms
    if e.config.me:
        out.tell("configured", "", "The settings were read.", peer=e.config.peer)


def _ticked(s: State, e: ev.Ticked, out: Outbox) -> None:
    times = s.config.times
    offset_ms = e.boot_ms - s.now_ms
    first = s.last_tick_ms < 0
    planned_ms = times.tick_ms * (facts.QUIET_TICKS if s.spaced else 1)
    late_ms = 0 if first else s.now_ms - s.last_tick_ms - planned_ms
    slept_ms = 0 if first else offset_ms - s.boot_offset_ms
    s.last_tick_ms, s.boot_offset_ms = s.now_ms, offset_ms
    if late_ms > times.pause_ms or slept_ms > times.pause_ms:
        _paused(s, late_ms, slept_ms, out)


def _paused(s: State, late_ms: int, slept_ms: int, out: Outbox) -> None:
    # An echo that waited in a queue would pass for fresh on a clock that stood still meanwhile.
    s.paused_ms = s.nonces_from_ms = s.now_ms
    s.probe, s.vacancy, s.fence = ProbeSense(), VacancySense(), None
    s.reference_ms = -1
    # Being late holds off taking: the silence is counted anew.
    s.peer_ms = s.life_ms = s.now_ms
    if slept_ms > 0:
        s.fit_until_ms = -1
    out.do(DiscardFrames())
    out.tell(
        "paused",
        "9",
        "This node did not run for a while; it trusts nothing from before.",
        late_ms=late_ms,
        slept_ms=slept_ms,
    )


def _message(s: State, e: ev.MessageArrived, out: Outbox) -> None:
    s.peer_ms = s.life_ms = s.now_ms
    match e.message:
        case Beat():
            _beat(s, e.message)
        case Offer():
            s.offered = e.message
            _hands_over(s)
        case Accept():
            if s.handing is not None and s.handing.offer == e.message.offer:
                s.handing = replace(s.handing, accept=e.message.nonce)
        case Refuse():
            if s.handing is not None and s.handing.offer == e.message.offer and s.handing.accept is None:
                out.refuse(
                    s.handing.ticket,
                    "slave-refused",
                    f"The slave refused: {e.message.why}.",
                    "See ishmael status on the slave.",
                )
                out.tell("switch-refused", "4", f"The slave refused to take over: {e.message.why}.")
                _undo_offer(s)
        case Go():
            s.go = e.message
            _hands_over(s)
        case Withdraw():
            if s.accepted is not None and s.accepted.offer == e.message.offer:
                s.accepted = replace(s.accepted, withdrawn=True)
        case SwitchWanted():
            s.asks = (*s.asks, Ask("switch", why=e.message.why, since_ms=s.now_ms))


def _hands_over(s: State) -> None:
    """Known before its next beat, which may never come."""
    if s.peer is not None:
        s.peer = replace(s.peer, role=Role.HANDING)


def _undo_offer(s: State) -> None:
    s.offer_failed_ms = s.now_ms
    acts.enter(s, Role.MASTER)


def _beat(s: State, beat: Beat) -> None:
    if s.peer_hold and not beat.hold:
        acts.wait_anew(s)
    s.peer, s.peer_hold = beat, beat.hold
    if beat.role in (Role.MASTER, Role.HANDING):
        s.peer_served_ms = s.now_ms
    echoed = _echoed(s, beat)
    if beat.echo is not None and echoed:
        s.heard_ms = max(s.heard_ms, beat.echo.sent_ms)
        s.reported -= {"cluster-link-lost", "fence-failed", facts.withheld("F1")}
        s.fence = None
        if s.withdrawn_ms >= 0 and beat.echo.sent_ms > s.withdrawn_ms and not beat.fit:
            s.slave_let_go = True
    if s.role is not Role.SLAVE:
        s.fit_until_ms = -1
    elif beat.role in (Role.MASTER, Role.HANDING):
        _fitness(s, beat)
    asking = s.reference_lost_ms >= 0 and s.now_ms - s.reference_lost_ms > s.config.times.settle_ms // 10
    if asking and s.role is Role.MASTER and beat.references_good == 0:
        s.dark_ms = s.now_ms
    if beat.question and s.question_ms < 0:
        s.question_ms, s.question_good, s.reference_ask_ms = s.now_ms, 0, -1
        s.urgent = True  # the master cannot serve any more: ask at once
    elif not beat.question:
        s.question_ms = -1


def _echoed(s: State, beat: Beat) -> bool:
    """The beat brings back a nonce of mine, of this life and sent since the last pause."""
    echo = beat.echo
    return echo is not None and echo.incarnation == s.incarnation and echo.sent_ms >= s.nonces_from_ms


def _fitness(s: State, beat: Beat) -> None:
    same = s.record is not None and beat.record is not None and s.record.epoch == beat.record.epoch
    if not beat.fit or not (same or s.accepted is not None):
        s.fit_until_ms = -1
    elif beat.echo is not None and _echoed(s, beat):
        s.fit_until_ms = max(s.fit_until_ms, beat.echo.sent_ms + s.config.times.fitness_ms)


def _corosync(s: State, e: ev.CorosyncChanged, out: Outbox) -> None:
    if s.corosync == e.up:
        return
    s.corosync = e.up
    s.corosync_lost_ms = -1 if e.up else s.now_ms
    s.corosync_ms = s.now_ms if e.up else -1
    if e.up:
        s.reported -= {facts.withheld("F2")}
        out.tell("corosync-up", "", "Connected to Corosync.")
    else:
        # What it last said of votes holds no longer; the next one's first view counts.
        s.quorate = False
        s.quorum_lost_ms = s.now_ms if s.quorum_lost_ms < 0 else s.quorum_lost_ms
        out.tell("corosync-lost", "11", "The connection to this node's own Corosync was lost.")


def _view(s: State, e: ev.ViewChanged, out: Outbox) -> None:
    changed = e.members != s.members
    if changed or e.quorate != s.quorate:
        s.view_ms = s.now_ms
    s.members, s.quorate = e.members, e.quorate
    if e.quorate:
        s.quorum_lost_ms = -1
    elif s.quorum_lost_ms < 0:
        s.quorum_lost_ms = s.now_ms
    if changed:
        out.tell("view-changed", "", "The group of keepers changed.", members=sorted(e.members), quorate=e.quorate)


def _peer_frame(s: State, e: ev.PeerFrameSeen, _out: Outbox) -> None:
    s.life_ms = s.frame_ms = s.now_ms
    phone = e.network is Network.PHONE
    if phone:
        s.phone_frame_ms = s.now_ms
    s.probe = replace(s.probe, life=True, phone_life=s.probe.phone_life or phone)


def _peer_address(s: State, e: ev.PeerAddressAnswered, _out: Outbox) -> None:
    s.life_ms = s.frame_ms = s.now_ms
    s.probe = replace(s.probe, life=True, own=s.probe.own or e.network is Network.PHONE)
    if e.network is Network.PHONE:
        s.own_address_ms = s.now_ms


def _holder(s: State, e: ev.HolderSeen, out: Outbox) -> None:
    s.vacancy, s.holder_ms = VacancySense(), s.now_ms
    if e.by == "peer":
        s.life_ms = s.frame_ms = s.now_ms
        s.probe = replace(s.probe, life=True, cluster=True, cluster_ms=s.now_ms)
        if s.holds:
            if s.conflict_ms < 0 or s.now_ms - s.conflict_last_ms > 1000:
                s.conflict_ms = s.now_ms
            s.conflict_last_ms = s.now_ms
            s.conflict_new = True
        return
    if s.foreign_mac != e.mac or s.now_ms - s.foreign_ms > 10000:
        out.tell("address-conflict", "3", f"A machine outside the cluster ({e.mac}) uses the cluster IP.", mac=e.mac)
    s.foreign_mac, s.foreign_ms = e.mac, s.now_ms


def _reference(s: State, e: ev.ReferenceAnswered, _out: Outbox) -> None:
    sense = s.references.get(e.reference)
    if sense is None or sense.asked_ms < 0 or sense.answered_ms >= sense.asked_ms:
        return
    s.references = {
        **s.references,
        e.reference: replace(sense, answered_ms=sense.asked_ms, missed=0),
    }
    s.reference_ms = max(s.reference_ms, sense.asked_ms)
    if 0 <= s.question_ms <= sense.asked_ms:
        s.question_good += 1
        # The master waits for this answer, so the next ask follows the answer to the last one at once.
        if s.question_good == s.config.times.reference_good:
            s.beat_ms, s.urgent = -1, True
        elif facts.questioned(s):
            s.reference_ask_ms, s.urgent = -1, True


def _link(s: State, e: ev.LinkChanged, out: Outbox) -> None:
    name = "telephone" if e.network is Network.PHONE else "internal"
    before = s.phone_link if e.network is Network.PHONE else s.internal_link
    if before == e.up:
        return
    if e.network is Network.PHONE:
        s.phone_link, s.phone_link_ms = e.up, s.now_ms
        s.beat_ms, s.urgent = -1, not e.up  # the question to the slave (F4) goes out at once
    else:
        s.internal_link = e.up
    out.tell(
        "link-changed",
        "11",
        f"The link of the {name} network {'came back' if e.up else 'was lost'}.",
        network=name,
        up=e.up,
    )


def _save_ended(s: State, e: ev.SaveEnded, out: Outbox) -> None:
    if s.saving is None or s.saving.ticket != e.ticket:
        return
    saving, s.saving = s.saving, None
    if e.ok:
        s.record = saving.record
        s.save_failed_ms = -1
        s.reported -= {_NOT_SAVED}
        return
    _not_saved(s, e.why, out)


def _not_saved(s: State, why: str, out: Outbox) -> None:
    s.save_failed_ms, s.save_failed_why = s.now_ms, why
    if _NOT_SAVED not in s.reported:
        s.reported |= {_NOT_SAVED}
        out.tell("record-not-saved", "10", f"The record could not be written: {why}.", cause=why)


def _address_ended(s: State, e: ev.AddressEnded, out: Outbox) -> None:
    if s.holds and not e.holds and not s.dropping and s.role in (Role.MASTER, Role.TAKING, Role.HANDING):
        s.lapsed = True
    if not e.holds and s.claim is not None and s.claim.acting:
        s.claim_failed = e.why or "the address could not be added"
    s.holds = e.holds
    s.dropping = False
    if e.why:
        out.tell("address-failed", "", f"The cluster IP: {e.why}.", cause=e.why)


def _workload_ended(s: State, e: ev.WorkloadEnded, out: Outbox) -> None:
    s.opened = e.opened
    if s.handing is not None and not e.opened:
        s.handing = replace(s.handing, closed=True)
    if not e.ok:
        out.tell(
            "workload-failed",
            "",
            f"The services did not {'start' if e.opened else 'stop'} in order: {e.why}.",
            cause=e.why,
        )
    elif e.opened:
        out.tell("workload-open", "", "All services are open.", since_role_ms=s.now_ms - s.role_since_ms)


def _synchronous_ended(s: State, e: ev.SynchronousEnded, out: Outbox) -> None:
    s.synchronous_wanted = None
    if e.ok:
        s.synchronous = e.on
        s.synchronous_ms = s.now_ms if e.on else -1
    else:
        out.tell("synchronous-failed", "2", f"Synchronous replication could not be switched: {e.why}.", on=e.on)
    # Only a report made after the switch tells that the slave has everything acknowledged before it.
    s.in_step, s.in_step_why = False, "not reported since replication was switched"


def _data(s: State, e: ev.DataReported, _out: Outbox) -> None:
    s.in_step, s.in_step_why = e.in_step, e.why
    if e.in_step:
        s.in_step_ms = s.now_ms


def _witness(s: State, e: ev.WitnessChanged, out: Outbox) -> None:
    if (s.witness_lost_ms < 0) == e.up:
        return
    s.witness_lost_ms = -1 if e.up else s.now_ms
    text = "The witness is connected." if e.up else "The connection to the witness was lost."
    out.tell("witness-connected" if e.up else "witness-lost", "11", text)


def _fence_ended(s: State, e: ev.FenceEnded, _out: Outbox) -> None:
    if s.fence is None or s.fence.ticket != e.ticket:
        return
    s.fence = replace(s.fence, confirmed=e.confirmed, failed="" if e.confirmed else e.why or "it was not confirmed")


def _disk(s: State, e: ev.DiskProbed, out: Outbox) -> None:
    """Rule 10: a disk that takes nothing is noticed before the record has to be written."""
    if e.ok or s.saving is not None or s.save_failed_ms >= 0:
        return
    _not_saved(s, e.why, out)


def _objected(s: State, e: ev.FitnessObjected, _out: Outbox) -> None:
    s.objection = e.why


def _only_notified(s: State, e: ev.OnlyNotified, _out: Outbox) -> None:
    if e.checks != s.only_notified:
        acts.wait_anew(s)
    s.only_notified = e.checks


def _asked(s: State, e: Ask, _out: Outbox) -> None:
    s.asks = (*s.asks, replace(e, since_ms=s.now_ms))


_HANDLERS: dict[type, Callable[[State, Any, Outbox], None]] = {
    ev.Started: _started,
    ev.Configured: _configured,
    ev.Ticked: _ticked,
    ev.MessageArrived: _message,
    ev.CorosyncChanged: _corosync,
    ev.ViewChanged: _view,
    ev.PeerFrameSeen: _peer_frame,
    ev.PeerAddressAnswered: _peer_address,
    ev.HolderSeen: _holder,
    ev.ReferenceAnswered: _reference,
    ev.LinkChanged: _link,
    ev.SaveEnded: _save_ended,
    ev.AddressEnded: _address_ended,
    ev.WorkloadEnded: _workload_ended,
    ev.SynchronousEnded: _synchronous_ended,
    ev.DataReported: _data,
    ev.FitnessObjected: _objected,
    ev.OnlyNotified: _only_notified,
    ev.WitnessChanged: _witness,
    ev.FenceEnded: _fence_ended,
    ev.DiskProbed: _disk,
    Ask: _asked,
}
