"""The master's rules: letting go, conflicts, the slave's fitness, handing over (rules 1, 2, 4, 5, 6, 9)."""

from __future__ import annotations

from dataclasses import replace

from ishmael.core import acts, facts
from ishmael.core import commands as do
from ishmael.core.messages import Go, Offer, Withdraw
from ishmael.core.outbox import Outbox
from ishmael.core.state import Handing, State
from ishmael.words.record import Record
from ishmael.words.roles import Role

_PATIENCE_MS = 3000
"""So long commits wait for a slave that is there and not in step yet, from when they began to wait."""
_NOT_AGAIN_MS = 5000
"""And so long they do not begin again after that was in vain."""
_FAILING_DISK_MS = 400
"""So long services may take to stop in order beside a disk that cannot take the record; then they are killed."""

# --- letting go -----------------------------------------------------------------------------------------------------


def outranked(s: State) -> bool:
    """Rule 5: the peer is heard, serves, and its epoch is higher than the one I act under."""
    peer = s.peer
    if not facts.peer_serves(s) or peer is None or peer.record is None:
        return False
    mine = s.claim.record if s.claim is not None else s.record
    return mine is None or peer.record.epoch > mine.epoch


def step_down(s: State, out: Outbox) -> None:
    """Rule 5: drop everything at once. The record of one who served apart stays until the other has seen it (7c)."""
    if facts.served_apart(s):
        acts.let_go(s, out, "5", "The other node serves under a higher epoch; this one served apart from it.")
    elif s.peer is not None and s.peer.record is not None:
        acts.follow(s, out, s.peer.record, "5", "The other node serves under a higher epoch.")


def conflict_lost(s: State) -> bool:
    """Rule 6: the peer holds the cluster IP too, and its epoch is not known to be lower.

    While a slave of mine may be fit, the peer may hold by right and I drop at the first frame. Otherwise its claim can
    only be a wrong one (an old master that thaws and drops at my first frame) or one by rule 8: I wait, so that the right
    holder outlasts the wrong one, and stay if the peer's machine then answers without the cluster IP.
    """
    if s.conflict_ms < 0 or _known_lower(s) or not facts.serving(s):
        return False
    may_be_right = s.record is None or s.record.slave_fit or s.paused_ms >= 0
    # One tick less: the next look at the clock comes that late.
    long = s.now_ms - s.conflict_ms >= s.config.times.conflict_ms - s.config.times.tick_ms
    gone = s.own_address_ms > s.conflict_last_ms + s.config.times.tick_ms // 2
    return may_be_right or (long and not gone)


def _known_lower(s: State) -> bool:
    peer, record = s.peer, s.record
    if not facts.hears(s) or peer is None or record is None:
        return False
    # What it says since its frame counts: it does not serve, or under a lower epoch.
    idle = peer.role not in (Role.MASTER, Role.TAKING, Role.HANDING) and s.peer_ms > s.conflict_last_ms
    return idle or peer.record is None or peer.record.epoch < record.epoch


def yield_conflict(s: State, out: Outbox) -> None:
    """Rule 6: better nobody than two."""
    acts.let_go(
        s, out, "6", "Two nodes hold the cluster IP and it cannot be told which may.", since_ms=s.now_ms - s.conflict_ms
    )


def conflict_seen(s: State) -> bool:
    """Rule 6: a frame of the peer claims the cluster IP. Two holders answering each other must not fill the network."""
    return s.conflict_new and s.now_ms - s.conflict_answered_ms >= s.config.times.tick_ms


def announce_again(s: State, out: Outbox) -> None:
    """Rule 6: the winner answers every frame of the loser (the duties ask who holds it, as long as that is in doubt)."""
    s.conflict_new, s.conflict_answered_ms = False, s.now_ms
    out.do(do.Announce())


def lapsed(s: State) -> bool:
    """Rule 9: the kernel removed the address."""
    return s.lapsed and facts.serving(s)


def on_lapse(s: State, out: Outbox) -> None:
    """Rule 9: a lapsed lease is never renewed without probing and asking first."""
    acts.let_go(s, out, "9", "The lease on the cluster IP ran out.")


def pause_unproven(s: State) -> bool:
    """Rule 9: paused, and for ``pause_drop_ms`` nobody confirmed that this node may still serve."""
    return (
        facts.serving(s)
        and s.paused_ms >= 0
        and not _confirmed(s)
        and s.now_ms - s.paused_ms > s.config.times.pause_drop_ms
    )


def _confirmed(s: State) -> bool:
    """A nonce issued after the pause came back; or no slave can have taken over, and nobody holds the address."""
    if s.heard_ms >= s.paused_ms and facts.hears(s):
        return True
    alone = s.record is not None and not s.record.slave_fit
    return alone and s.vacancy.unanswered >= 3 and facts.sees_reference(s)


def on_pause(s: State, out: Outbox) -> None:
    """Rule 9: let go."""
    acts.let_go(s, out, "9", "After a pause nobody confirmed the right to serve.", paused_ms=s.now_ms - s.paused_ms)


def pause_over(s: State) -> bool:
    """Rule 9: a nonce issued after the pause came back; off duty, a clean start of all observations is enough."""
    if s.paused_ms < 0:
        return False
    if s.role in (Role.MASTER, Role.HANDING):
        return _confirmed(s)
    return s.now_ms - s.paused_ms > s.config.times.pause_drop_ms or facts.hears(s)


def end_pause(s: State, _out: Outbox) -> None:
    """Rule 9: act again."""
    s.paused_ms = -1


def cut_off(s: State) -> bool:
    """Rule 1: neither the slave nor a reference for X."""
    return facts.serving(s) and (facts.isolated(s) or facts.outvoted(s))


def on_cut_off(s: State, out: Outbox) -> None:
    """Rule 1: let go now, do not wait for the lease."""
    alone = facts.isolated(s)
    why = "Neither the slave nor a reference can be seen." if alone else "The witness stands with the other node."
    acts.let_go(
        s, out, "1", why,
        unheard_ms=s.now_ms - s.heard_ms, no_reference_ms=s.now_ms - s.reference_ms, phone_link=s.phone_link,
    )  # fmt: skip


def peer_claims_higher(s: State) -> bool:
    """Rule 7: a peer that does not serve has a higher epoch on disk, or served apart; the one that serves stays."""
    peer = s.peer
    if s.record is None or s.saving is not None or peer is None or peer.record is None or not facts.hears(s):
        return False
    settled = s.now_ms - s.role_since_ms > 2000
    idle = peer.role is Role.WAITING or (peer.role is Role.SLAVE and settled)
    return facts.peer_served_apart(s) or (idle and peer.record.epoch > s.record.epoch)


def raise_epoch(s: State, out: Outbox) -> None:
    """Rule 7: stand above it; what the peer may have written under its claim waits for the admin."""
    if s.record is None:
        return
    apart = facts.peer_served_apart(s) and s.peer is not None and s.peer.record is not None and not s.peer.record.taking
    epoch = facts.epoch_above(s)
    record = Record(epoch, s.config.me, standby=s.record.standby | {s.config.peer}, witness_off=facts.witness_off(s))
    acts.save(s, out, record)
    out.tell(
        "epoch-raised",
        "7",
        "The other node has served apart from this one and its data differs: it must be re-added."
        if apart
        else "The other node came back with a claim it does not hold; this one serves.",
        epoch=str(epoch),
    )


# --- fitness --------------------------------------------------------------------------------------------------------


def wants_synchronous(s: State) -> bool:
    """Rule 2: a slave stands ready, commits do not wait for it yet; not again at once for one that was waited for in vain."""
    lately = s.in_vain_ms >= 0 and s.now_ms - s.in_vain_ms < _NOT_AGAIN_MS
    return not s.synchronous and s.synchronous_wanted is None and s.opened and facts.slave_stands(s) and not lately


def set_synchronous(s: State, out: Outbox) -> None:
    """Rule 2: commits wait for the slave from now on."""
    s.synchronous_wanted = True
    out.do(do.SetSynchronous(True, once_caught_up=True))


def slave_becomes_fit(s: State) -> bool:
    """Rule 2: synchronous, and everything acknowledged so far is on the slave."""
    return (
        s.record is not None
        and not s.record.slave_fit
        and facts.may_save(s)
        and s.synchronous
        and s.synchronous_wanted is None
        and facts.slave_in_order(s)
    )


def record_fit(s: State, out: Outbox) -> None:
    """Rule 2: recorded before it is said."""
    if s.record is None:
        return
    s.withdrawn_ms, s.slave_let_go = -1, False
    acts.save(s, out, replace(s.record, slave_fit=True, revision=s.record.revision + 1))
    out.tell("slave-fit", "2", "The slave is in step and may take over.")


def slave_falls_out(s: State) -> bool:
    """Rule 2: the slave is heard and is no longer in order."""
    if s.record is None or not s.record.slave_fit or s.withdrawn_ms >= 0 or not facts.hears(s):
        return False
    out_of_order = not facts.slave_stands(s) or facts.stalled(s) or bool(s.objection)
    return out_of_order and s.now_ms - s.role_since_ms > s.config.times.save_ms


def withdraw_fitness(s: State, out: Outbox) -> None:
    """Rule 2: tell it so; the next beat carries it."""
    s.withdrawn_ms, s.slave_let_go = s.now_ms, False
    unable = s.peer.unable_because if s.peer is not None else ""
    why = s.in_step_why if not s.in_step else unable or s.objection
    out.tell("slave-unfit", "2", f"The slave may not take over: {why or 'it follows another record'}.")


def goes_alone(s: State) -> bool:
    """Rule 2: the slave is withdrawn or not heard, and its fitness has surely ended."""
    if s.record is None or not s.record.slave_fit or not facts.may_save(s):
        return False
    # After a pause the time since the last grant proves nothing: the slave may have taken over meanwhile.
    if s.paused_ms >= 0 or not s.holds:
        return False
    # The own Corosync's death is no loss of the slave: while the data streams, commits go on waiting for it.
    if not s.corosync and s.in_step:
        return False
    return (s.withdrawn_ms >= 0 or not facts.hears(s)) and facts.may_go_alone(s)


def record_alone(s: State, out: Outbox) -> None:
    """Rule 2: recorded first; only then commits go on alone."""
    if s.record is None:
        return
    acts.save(s, out, replace(s.record, slave_fit=False, revision=s.record.revision + 1))
    out.tell(
        "works-alone",
        "2",
        "The slave is gone or out of step: this node works alone until it is back.",
        ungranted_ms=s.now_ms - s.granted_ms,
    )


def may_stop_waiting(s: State) -> bool:
    """Rule 2: "no fit slave" is on disk, and commits still wait for one that cannot be had: gone, or there without its data."""
    recorded = s.record is not None and not s.record.slave_fit and s.saving is None
    hopeless = not facts.slave_stands(s) or _waits_in_vain(s)
    return recorded and s.synchronous and s.synchronous_wanted is None and hopeless


def _waits_in_vain(s: State) -> bool:
    """The slave is there, and its data has not been in step for long. One that catches up gets its time first."""
    return facts.stalled(s) and s.now_ms - s.synchronous_ms > _PATIENCE_MS


def stop_waiting(s: State, out: Outbox) -> None:
    """Rule 2: commits go on alone."""
    s.synchronous_wanted = False
    if facts.slave_stands(s):
        s.in_vain_ms = s.now_ms
    out.do(do.SetSynchronous(False))


# --- handing over ---------------------------------------------------------------------------------------------------


def hand_over(s: State, out: Outbox, rule: str, why: str, ticket: int = 0) -> None:
    """Rule 4: offer the role to the slave."""
    nonce = facts.fresh_nonce(s)
    epoch = facts.epoch_above(s)
    offered = replace(epoch, node=s.config.peer)
    acts.enter(s, Role.HANDING)
    s.handing = Handing(nonce, offered, why, s.now_ms, ticket)
    out.do(do.Send(Offer(nonce, offered)))
    out.tell("offered", rule, why, epoch=str(offered))


def accepted(s: State) -> bool:
    """Rule 4: the slave is ready; nothing has been released yet."""
    return s.handing is not None and s.handing.accept is not None and s.let_go_ms < s.handing.since_ms


def release(s: State, out: Outbox) -> None:
    """Rule 4: the address first, then the services, and beside it the record that names the slave."""
    h = s.handing
    if h is None or s.record is None:
        return
    s.let_go_ms = s.now_ms
    acts.drop(s, out)
    # To end in order a database writes, which a failing disk delays for nothing: the slave has what was acknowledged.
    limit_ms = s.config.times.release_ms
    out.do(do.CloseWorkload(min(limit_ms, _FAILING_DISK_MS) if facts.disk_fails(s) else limit_ms))
    standby = frozenset({s.config.me})
    acts.save(s, out, Record(h.epoch, s.config.peer, standby=standby, witness_off=facts.witness_off(s)))
    out.tell("released", "4", "The slave accepted; the cluster IP was released.", epoch=str(h.epoch))


def release_done(s: State) -> bool:
    """Rule 4: address gone, services closed, recorded; say go (again, while the slave has not acted)."""
    h = s.handing
    if h is None or h.accept is None or s.holds or not h.closed or s.peer is None or not facts.hears(s):
        return False
    if s.record is None or not (s.record.epoch == h.epoch or _record_hopeless(s, h)):
        return False
    # A slave that slept through the first go gets another; each carries its newest nonce, so that no old one counts.
    due = h.go_ms < 0 or s.now_ms - h.go_ms >= s.config.times.echo_ms
    return due and s.peer.role is Role.SLAVE


def _record_hopeless(s: State, h: Handing) -> bool:
    """My disk cannot take "master = slave". The slave's has it, and mine still says "the slave was fit", with which a
    node does not resume alone (rule 7): the go may leave."""
    if s.record is None or not s.record.slave_fit:
        return False
    late = s.saving is not None and s.now_ms - s.saving.since_ms > s.config.times.save_ms
    return late or (s.saving is None and s.save_failed_ms >= h.since_ms)


def send_go(s: State, out: Outbox) -> None:
    """Rule 4: go, with the slave's newest nonce, so that it can tell its age."""
    if s.handing is None or s.handing.accept is None or s.peer is None:
        return
    out.do(do.Send(Go(s.handing.accept, s.peer.nonce)))
    s.handing = replace(s.handing, go_ms=s.now_ms)


def slave_serves(s: State) -> bool:
    """Rule 4: the slave is, or was, master under the offered epoch or a higher one: then its record is not *taking*."""
    h, peer = s.handing, s.peer
    if h is None or peer is None or peer.record is None or facts.serving(s):
        return False
    done = peer.role is Role.MASTER or (peer.record.master == s.config.peer and not peer.record.taking)
    return facts.hears(s) and done and peer.record.epoch >= h.epoch


def retire(s: State, out: Outbox) -> None:
    """Rules 4 and 5: standby, only now."""
    h = s.handing
    if h is None or s.peer is None or s.peer.record is None:
        return
    out.answer(h.ticket)
    out.tell("handed-over", "4", h.why, epoch=str(h.epoch), took_ms=s.now_ms - h.since_ms)
    acts.follow(s, out, s.peer.record, "5", "The other node took over; this one must be re-added.")


def offer_expired(s: State) -> bool:
    """Rule 4: not accepted in time; nothing was released."""
    h = s.handing
    if h is None:
        return True
    return h.accept is None and s.now_ms - h.since_ms > s.config.times.offer_ms


def withdraw_offer(s: State, out: Outbox) -> None:
    """Rule 4: serve on."""
    h = s.handing
    s.offer_failed_ms = s.now_ms
    acts.enter(s, Role.MASTER)
    if h is not None:
        out.do(do.Send(Withdraw(h.offer)))
        out.refuse(
            h.ticket,
            "slave-silent",
            "The slave did not accept in time; nothing was changed.",
            "Look at ishmael status.",
        )
        out.tell("offer-expired", "4", "The slave did not accept in time; this node serves on.")


def nobody_took(s: State) -> bool:
    """Rule 4: released, and for longer than any fitness nobody has held the cluster IP; a witness agrees."""
    h = s.handing
    if h is None or h.accept is None or s.let_go_ms < h.since_ms or s.saving is not None or s.paused_ms >= 0:
        return False
    if facts.hears(s) and s.peer is not None and s.peer.role in (Role.WAITING, Role.TAKING):
        return False  # it is restarting, or on its way to serve: it goes first (rule 7b)
    if not (facts.has_votes(s) and (facts.hears(s) or facts.elected(s))):
        return False  # it may have taken the role in the moment in which the nodes were cut
    from_ms = max(h.go_ms, s.granted_ms, s.let_go_ms)
    # While services are still being stopped no go has left, and none can be late.
    stopping = not h.closed and s.now_ms - s.let_go_ms < s.config.times.release_ms + s.config.times.save_ms
    return (
        not stopping
        and s.now_ms - from_ms > s.config.times.alone_ms
        and facts.unheld_since(s, s.let_go_ms)
        and facts.sees_reference(s)
        and not facts.peer_serves(s)
    )


def take_back(s: State, out: Outbox) -> None:
    """Rule 4: the hand-over failed; serve again, above the offered epoch."""
    h = s.handing
    if h is None:
        return
    out.refuse(
        h.ticket,
        "slave-did-not-take",
        "The slave did not take over; this node serves again.",
        "Look at ishmael status.",
    )
    out.do(do.Send(Withdraw(h.offer)))
    standby, epoch = frozenset({s.config.peer}), facts.epoch_above(s, h.epoch)
    record = Record(epoch, s.config.me, taking=True, standby=standby, witness_off=facts.witness_off(s))
    acts.claim(s, out, "4j", "The slave did not take over; nobody holds the cluster IP.", record)
