"""The slave's rules: following the master, and taking over from it (rules 3, 4 and 5)."""

from __future__ import annotations

from dataclasses import replace

from ishmael.core import acts, facts
from ishmael.core import commands as do
from ishmael.core.messages import Accept, Go, Refuse
from ishmael.core.outbox import Outbox
from ishmael.core.state import Accepted, Claim, State
from ishmael.words.record import Epoch, Record
from ishmael.words.roles import Role

# Longer than a keeper takes to be restarted.
_IDLE_MS = 2000


def record_differs(s: State) -> bool:
    """A serving peer's record is newer than mine, or mine never was acted on."""
    peer = s.peer
    if not facts.peer_serves(s) or peer is None or peer.record is None or peer.record.taking or s.accepted is not None:
        return False
    # A master that handed over shows a record that names me: that is its farewell, not its claim.
    if peer.record.master != s.config.peer:
        return False
    if (s.saving is not None and s.saving.record == peer.record) or (s.saving is None and not facts.may_save(s)):
        return False
    # Who served apart from it waits in its own record, which is the evidence, until the master has written that down. In
    # standby it has followed before; then its own record is merely one that could not be written over.
    if s.role is Role.WAITING and facts.served_apart(s):
        return False
    mine = s.record
    if mine is None or peer.record.order > mine.order:
        return True
    # Equal records: this node only has to find its place.
    return mine == peer.record and s.role is Role.WAITING


def adopt(s: State, out: Outbox) -> None:
    """Follow the peer."""
    if s.peer is None or s.peer.record is None:
        return
    record = s.peer.record
    away = s.config.me in record.standby
    why = "The other node is master; this one must be re-added." if away else "The other node is master."
    acts.follow(s, out, record, "5", why)


def _takeover_record(s: State, epoch: Epoch) -> Record:
    standby = frozenset({s.config.peer})
    return Record(epoch, s.config.me, taking=True, standby=standby, witness_off=facts.witness_off(s))


def _could_take(s: State) -> bool:
    return facts.can_take(s) and not facts.hears(s) and s.saving is None and facts.has_votes(s)


def _may_take(s: State) -> bool:
    return "F1" not in s.only_notified and _could_take(s)


def _gone(s: State) -> bool:
    return (facts.silent(s) and facts.elected(s)) or facts.released(s) or facts.unclaimed(s)


def master_gone(s: State) -> bool:
    """Rule 3 without its fence: silent, and the witness agrees; or seen, and without the cluster IP."""
    return _may_take(s) and _gone(s)


def takeover_withheld(s: State) -> bool:
    """F1 only notifies, and rule 3 would apply now."""
    told = facts.withheld("F1") in s.reported
    return "F1" in s.only_notified and not told and _could_take(s) and _gone(s)


def tell_withheld(s: State, out: Outbox) -> None:
    """F1: say what is not done."""
    acts.withhold(s, out, "F1", "The master is gone, and this slave does not take over")


def master_silent(s: State) -> bool:
    """Rule 3a."""
    return _may_take(s) and facts.silent(s) and facts.elected(s) and facts.fenced(s)


def take_silent(s: State, out: Outbox) -> None:
    """Rule 3a: claim."""
    epoch = facts.epoch_above(s)
    acts.claim(
        s, out, "3a", "The master is silent on both networks.", _takeover_record(s, epoch),
        silent_ms=s.now_ms - s.life_ms, probes=s.probe.silent,
    )  # fmt: skip


def address_released(s: State) -> bool:
    """Rule 3b."""
    return _may_take(s) and facts.released(s) and facts.fenced(s)


def take_released(s: State, out: Outbox) -> None:
    """Rule 3b: claim."""
    epoch = facts.epoch_above(s)
    acts.claim(
        s, out, "3b", "The master's machine answers, but it no longer holds the cluster IP.", _takeover_record(s, epoch),
        unheard_ms=s.now_ms - s.peer_ms, probes=s.probe.released,
    )  # fmt: skip


def address_unclaimed(s: State) -> bool:
    """Rule 3d."""
    return _may_take(s) and facts.unclaimed(s) and facts.fenced(s)


def take_unclaimed(s: State, out: Outbox) -> None:
    """Rule 3d: claim."""
    epoch = facts.epoch_above(s)
    acts.claim(
        s, out, "3d", "The master is seen on the telephone network and no longer claims the cluster IP.",
        _takeover_record(s, epoch), unheard_ms=s.now_ms - s.peer_ms, probes=s.probe.unclaimed,
    )  # fmt: skip


def master_idle(s: State) -> bool:
    """Rule 7: the master is heard, serves no more, and this node's fitness has ended."""
    return facts.hears(s) and not facts.fit(s) and s.now_ms - max(s.peer_served_ms, s.role_since_ms) > _IDLE_MS


def wait_for_a_master(s: State, out: Outbox) -> None:
    """Rule 7: look for who may serve, like after a boot."""
    acts.enter(s, Role.WAITING)
    out.tell("waiting", "7", "The other node is heard and does not serve any more.")


def offer_came(s: State) -> bool:
    """An offer waits for an answer."""
    return s.offered is not None


def weigh_offer(s: State, out: Outbox) -> None:
    """Refuse, or put the offered epoch on disk."""
    offer, s.offered = s.offered, None
    if offer is None:
        return
    refusal = _refusal(s, offer.epoch)
    if refusal or s.record is None:
        out.do(do.Send(Refuse(offer.nonce, refusal)))
        return
    record = _takeover_record(s, offer.epoch)
    s.accepted = Accepted(offer.nonce, facts.fresh_nonce(s), record, s.record)
    acts.save(s, out, record)


def _refusal(s: State, epoch: Epoch) -> str:
    if s.record is None or s.saving is not None:
        return "its record is being written"
    if epoch <= s.record.epoch:
        return "the offer is old"
    if not facts.fit(s):
        return "it is not fit"
    if not facts.sees_reference(s):
        return "it sees no reference on the telephone network"
    if facts.foreign_holder(s):
        return "a machine outside the cluster uses the cluster IP"
    return ""


def offer_recorded(s: State) -> bool:
    """The offered epoch reached the disk and the master does not know it yet."""
    return s.accepted is not None and not s.accepted.saved and s.record == s.accepted.record


def accept(s: State, out: Outbox) -> None:
    """Say so, with a nonce that the go must bring back."""
    if s.accepted is None:
        return
    nonce = facts.fresh_nonce(s)
    s.accepted = replace(s.accepted, saved=True, nonce=nonce)
    out.do(do.Send(Accept(s.accepted.offer, nonce)))


def go_came(s: State) -> bool:
    """Rule 3c: a go for my accept."""
    return s.go is not None


def take_by_go(s: State, out: Outbox) -> None:
    """Rule 3c: act at once, the record is on disk; but only on a go that is fresh."""
    go, s.go = s.go, None
    accepted = s.accepted
    if go is None or accepted is None or not accepted.saved or go.accept != accepted.nonce or accepted.withdrawn:
        return
    age_ms = s.now_ms - go.fresh.sent_ms
    if not _is_fresh(s, go):
        out.tell("go-too-old", "4", "The master's go came too late to act on.", age_ms=age_ms)
        return
    s.claim = Claim(
        "3c", "The master handed over in order.", accepted.record, accepted.before, -1, s.now_ms, gap_from_ms=s.peer_ms
    )
    acts.enter(s, Role.TAKING)
    out.tell("taking", "3c", "The master handed over in order.", epoch=str(accepted.record.epoch), go_age_ms=age_ms)
    acts.act_on_claim(s, out)


def _is_fresh(s: State, go: Go) -> bool:
    """A go that waited in a queue may be as old as a hand-over that was undone long ago; the nonce it brings is mine."""
    mine = go.fresh.incarnation == s.incarnation and go.fresh.sent_ms >= s.paused_ms
    return mine and s.now_ms - go.fresh.sent_ms <= s.config.times.hears_ms


def offer_void(s: State) -> bool:
    """The accepted offer is void: withdrawn, or its record could not be written, or the master serves on."""
    if s.accepted is None or s.saving is not None:
        return False
    serves_on = s.peer is not None and facts.hears(s) and s.peer.role is Role.MASTER
    old = s.accepted.saved and s.now_ms - s.accepted.nonce.sent_ms > s.config.times.hears_ms
    return s.accepted.withdrawn or s.record != s.accepted.record or (serves_on and old)


def void_offer(s: State, out: Outbox) -> None:
    """Return to the record from before."""
    accepted, s.accepted = s.accepted, None
    if accepted is None:
        return
    if s.record != accepted.before:
        acts.save(s, out, accepted.before)
    out.do(do.Send(Refuse(accepted.offer, "the offer is void")))
    out.tell("offer-void", "4", "The hand-over was undone; the master serves on.")
