"""What can be concluded from a state: pure predicates, each one sentence of docs/reference/failover.md."""

from __future__ import annotations

from ishmael.core.messages import Nonce
from ishmael.core.state import State
from ishmael.words.record import Epoch
from ishmael.words.roles import Role
from ishmael.words.settings import Times

_NEW_ROLE_MS = 10_000
SAVE_AGAIN_MS = 1000
"""A save that failed is not tried again before, ms."""


QUIET_TICKS = 3
"""Of how many ticks a quiet node takes one."""


STALL_MS = 500
"""Replication that stalls for longer ends the slave's fitness, ms (rule 2)."""


def may_save(s: State) -> bool:
    """No record is on its way, and the disk did not just fail."""
    return s.saving is None and not (s.save_failed_ms >= 0 and s.now_ms - s.save_failed_ms < SAVE_AGAIN_MS)


def fresh_nonce(s: State) -> Nonce:
    """A nonce whose age only this keeper can tell."""
    return Nonce(s.incarnation, s.now_ms)


def hears(s: State) -> bool:
    """An echo of my own nonce, at most ``hears_ms`` old by its send time, and sent after any pause."""
    return s.heard_ms >= 0 and s.now_ms - s.heard_ms <= s.config.times.hears_ms and s.heard_ms >= s.paused_ms


def sees_reference(s: State) -> bool:
    """A reference answered an ask that is at most ``reference_lost`` periods old."""
    limit_ms = s.config.times.reference_ms * s.config.times.reference_lost
    return s.phone_link and s.reference_ms >= 0 and s.now_ms - s.reference_ms <= limit_ms


def isolated(s: State) -> bool:
    """Neither the peer nor a reference has given a sign for ``isolation_ms``, counted from when it was asked for."""
    times = s.config.times
    reference_ms = s.reference_ms if s.phone_link else -1
    # After a pause there is a short grace to be echoed in (rule 9).
    grace_ms = s.paused_ms - times.isolation_ms + times.pause_drop_ms if s.paused_ms >= 0 else -1
    return s.now_ms - max(s.heard_ms, reference_ms, s.role_since_ms, grace_ms) > times.isolation_ms


def witness_off(s: State) -> bool:
    """Recorded as lost (rule 11): stays so through every new record until the witness is back."""
    return s.record is not None and s.record.witness_off


def witness_counts(s: State) -> bool:
    """A third vote is set up, not recorded as lost, and there is a peer that might serve.

    One in standby does not; one that was last heard handing over may take the role back (rule 4).
    """
    record = s.record
    if not s.config.witness or s.config.peer == 0 or record is None or record.witness_off:
        return False
    hands_over = s.peer is not None and s.peer.role is Role.HANDING
    return hands_over or s.config.peer not in record.standby


def outvoted(s: State) -> bool:
    """Rule 1 with a witness: not quorate for ``isolation_ms``. A Corosync that is just starting has no say yet.

    Without the own Corosync, or while it starts, nothing is known of votes; a slave whose machine answers sees that this
    node serves. One that does not answer may have been elected.
    """
    if not witness_counts(s):
        return False
    if s.quorum_lost_ms < 0:
        return False
    # The slave's machine speaks for this node only as long as nothing can be known of votes.
    until_ms = s.corosync_ms + s.config.times.own_corosync_ms if s.corosync else s.now_ms
    since_ms = max(s.quorum_lost_ms, s.role_since_ms, min(s.own_address_ms, until_ms))
    return s.now_ms - since_ms > s.config.times.isolation_ms


def votes_unknown(s: State) -> bool:
    """The own Corosync is gone; with a witness also: started so lately that it need not have found the others yet."""
    starts = witness_counts(s) and s.now_ms - s.corosync_ms <= s.config.times.own_corosync_ms
    return s.corosync_lost_ms >= 0 or starts


def elected(s: State) -> bool:
    """The witness, where there is one, votes for this node without its peer, long enough for that one to have let go."""
    if not witness_counts(s):
        return True
    times = s.config.times
    settled = s.now_ms - s.view_ms > times.isolation_ms + 2 * times.tick_ms + times.pause_drop_ms
    return s.corosync and s.quorate and s.config.peer not in s.members and settled


def has_votes(s: State) -> bool:
    """The witness, where there is one, stands on this node's side, with or without its peer."""
    return not witness_counts(s) or (s.corosync and s.quorate)


def fenced(s: State) -> bool:
    """Rule 12: the peer is surely without power, or nobody asks for that."""
    if not s.config.fencing:
        return True
    return s.fence is not None and (s.fence.confirmed or (s.fence.failed != "" and s.config.fence_fallback))


def held(s: State) -> bool:
    """An admin's hold, set here or on the other node: its last word counts until it says otherwise."""
    return s.hold or s.peer_hold


def withheld(check: str) -> str:
    """The mark in ``reported``: told that this failover check would have moved the services, had it not only to notify."""
    return f"withheld-{check}"


def quiet(s: State) -> bool:
    """Nothing is under way and nobody is missed: two of three ticks would find nothing to do, and are left out.

    The first beat or answer that stays away ends it, before anything is concluded from that: nothing is noticed later.
    """
    times = s.config.times
    spell_ms = (QUIET_TICKS + 1) * times.tick_ms
    return (
        s.role in (Role.MASTER, Role.SLAVE)
        and s.now_ms - s.peer_ms < spell_ms
        and s.reference_ask_ms - s.reference_ms < spell_ms
        and hears(s)
        and s.phone_link
        and s.internal_link
        and s.corosync
        and s.paused_ms < 0
        and s.saving is None
        and s.reference_lost_ms < 0
        and s.probe.last_ms < 0
        and s.conflict_ms < 0
        and s.withdrawn_ms < 0
        and s.save_failed_ms < 0
        and s.question_ms < 0
        and not (s.lossy or s.lapsed or s.dropping or s.asks or s.waiting_asks)
        and s.offered is None
        and s.accepted is None
        and s.go is None
        and s.now_ms - s.role_since_ms > _NEW_ROLE_MS
        and _may_tick_rarely(times)
    )


def _may_tick_rarely(times: Times) -> bool:
    """No pause is so long that a slave may take over in it, no missing beat hidden beyond ``suspect_ms``, no lease short."""
    tick_ms, rare_ms = times.tick_ms, QUIET_TICKS * times.tick_ms
    left_out_ms = rare_ms - tick_ms
    return (
        2 * left_out_ms <= times.pause_ms
        and rare_ms + times.pause_ms <= times.take_min_ms - 50
        and 2 * rare_ms + tick_ms <= times.suspect_ms
        and 4 * (times.refresh_ms + left_out_ms) <= times.lease_ms
    )


def fit(s: State) -> bool:
    """This slave holds fitness: the lease in its memory has not run out."""
    return s.now_ms < s.fit_until_ms


def in_standby(s: State) -> bool:
    """My record says that I must be re-added."""
    return s.record is not None and s.config.me in s.record.standby


def foreign_holder(s: State) -> bool:
    """A machine that is not of this cluster answered for the cluster IP within the last second."""
    return s.foreign_ms >= 0 and s.now_ms - s.foreign_ms < 1000


def probes_needed(s: State) -> int:
    """How many silent pairs prove a silence: more when frames are being lost."""
    return s.config.times.probes_when_lossy if s.lossy else s.config.times.probes


def suspects(s: State) -> bool:
    """The peer has not been heard for ``suspect_ms``: probe it. A master without its own Corosync looks for its slave."""
    looking = s.role in (Role.SLAVE, Role.WAITING) or (s.role is Role.MASTER and votes_unknown(s))
    return looking and s.config.peer != 0 and s.now_ms - s.peer_ms >= s.config.times.suspect_ms


def questioned(s: State) -> bool:
    """The master waits for what the references answer here (F4)."""
    return s.question_ms >= 0 and s.question_good < s.config.times.reference_good


def silent(s: State) -> bool:
    """Rule 3a: nothing of the peer answered or was seen, on either network, in N paired probes and ``take_min_ms``."""
    return s.now_ms - s.life_ms >= s.config.times.take_min_ms and s.probe.silent >= probes_needed(s)


def released(s: State) -> bool:
    """Rule 3b: the peer's own telephone address answers, the cluster IP does not, in N paired probes.

    Its answer on the cable says nothing: its telephone NIC, or the way to it, may be dead while the phones reach it.
    """
    needed = s.config.times.probes_when_lossy if s.lossy else s.config.times.released_probes
    last_ms = max(s.peer_ms, s.probe.cluster_ms)
    return s.now_ms - last_ms >= s.config.times.take_min_ms and s.probe.released >= needed


def unanswered(s: State) -> bool:
    """Rule 8: the peer's machine lives somehow, and for long nobody has answered for the cluster IP."""
    last_ms = max(s.peer_ms, s.probe.cluster_ms)
    return s.now_ms - last_ms >= s.config.times.take_min_ms and s.probe.without_cluster >= probes_needed(s)


def unclaimed(s: State) -> bool:
    """Rule 3d: frames of the master arrive on the telephone network, and for long none of them claims the cluster IP.

    A master that does not hear its slave announces with every beat. One that is deaf lets go and falls silent about it;
    the lease of one whose keeper hangs has run out by then.
    """
    times = s.config.times
    last_ms = max(s.peer_ms, s.probe.cluster_ms)
    seen = 0 <= s.now_ms - s.phone_frame_ms < times.take_min_ms and s.phone_frame_ms >= 0
    long = s.now_ms - last_ms >= times.lease_ms + times.save_ms
    return seen and long and s.probe.unclaimed >= times.probes_when_lossy


def seen_but_deaf(s: State) -> bool:
    """Frames of the peer arrive, and it does not answer on the telephone network: it may serve there, unseen by me."""
    recent_ms = 1000
    return (
        0 <= s.now_ms - s.frame_ms < recent_ms
        and s.frame_ms >= 0
        and (s.own_address_ms < 0 or s.now_ms - s.own_address_ms >= recent_ms)
    )


def vacant(s: State) -> bool:
    """Nobody answers for the cluster IP, asked often enough while a reference answered."""
    deaf = not hears(s) and seen_but_deaf(s)
    return s.vacancy.unanswered >= probes_needed(s) and not foreign_holder(s) and not deaf


def unheld_since(s: State, from_ms: int) -> bool:
    """Asked without a gap since ``from_ms``, with a reference in sight all the time, and nobody held the cluster IP."""
    slack_ms = 3 * s.config.times.probe_ms
    return vacant(s) and 0 <= s.vacancy.since_ms <= from_ms + slack_ms


def serving(s: State) -> bool:
    """Master in deed: also while a hand-over is offered and nothing has been released yet."""
    handing = s.role is Role.HANDING and s.handing is not None and s.let_go_ms < s.handing.since_ms
    return s.role is Role.MASTER or handing


def peer_serves(s: State) -> bool:
    """The peer is heard and says it is master."""
    return hears(s) and s.peer is not None and s.peer.role in (Role.MASTER, Role.HANDING)


def can_take(s: State) -> bool:
    """Nothing but the master's state stands against this slave taking over."""
    return fit(s) and sees_reference(s) and not held(s) and not foreign_holder(s) and not in_standby(s)


def slave_in_order(s: State) -> bool:
    """As master: the peer stands as slave under my record, able, its data is in step, and nobody here objects."""
    return slave_stands(s) and s.in_step and not s.objection


def disk_fails(s: State) -> bool:
    """The record could not be written, or has not been for twice as long as that may take (rule 10)."""
    slow = s.saving is not None and s.now_ms - s.saving.since_ms > 2 * s.config.times.save_ms
    return slow or s.save_failed_ms >= 0


def stalled(s: State) -> bool:
    """Replication has not been in step for ``STALL_MS``. Until then commits merely wait, and the slave still has all."""
    return not s.in_step and s.now_ms - max(s.in_step_ms, s.role_since_ms) > STALL_MS


def slave_stands(s: State) -> bool:
    """As master: the peer is heard as slave under my record, and able."""
    peer, record = s.peer, s.record
    return (
        peer is not None
        and record is not None
        and hears(s)
        and peer.role is Role.SLAVE
        and peer.able
        and peer.record is not None
        and peer.record.epoch == record.epoch
        and s.config.peer not in record.standby
    )


def ready(s: State) -> bool:
    """This node may claim: it has a record, a disk, no pause, and is not in standby."""
    # A master whose released role nobody took is in standby on its own disk only (rule 4).
    away = in_standby(s) and s.role is not Role.HANDING
    return s.record is not None and may_save(s) and s.paused_ms < 0 and not away


def waits_for_admin(s: State) -> str:
    """Rule 8: why this node does not serve unasked, though nobody serves and it could; empty when it does."""
    if held(s):
        return "an admin holds takeovers"
    if not s.config.dial_tone_first:
        return "data first"
    # With F1 on notify only nobody but the last master serves without being asked.
    mine = s.record is not None and s.record.master == s.config.me
    return "F1 only notifies" if "F1" in s.only_notified and not mine else ""


def nobody_serves(s: State) -> bool:
    """Rule 8's question. A peer that is heard and idle serves no more than one that is gone."""
    if serving(s) or not ready(s) or not sees_reference(s) or not has_votes(s):
        return False
    if foreign_holder(s) or (
        hears(s) and s.peer is not None and s.peer.role in (Role.MASTER, Role.TAKING, Role.HANDING)
    ):
        return False
    if s.role is Role.SLAVE and not hears(s):
        return silent(s) or unanswered(s)
    return vacant(s)


def served_apart(s: State) -> bool:
    """My record says that I served, and the serving peer's does not put me in standby: it does not know of it yet.

    What was acknowledged here is not in its data. Followed as a slave, this node could never get in step.
    """
    if s.record is None or s.peer is None or s.peer.record is None:
        return False
    return s.record.master == s.config.me and s.config.me not in s.peer.record.standby


def peer_served_apart(s: State) -> bool:
    """As master: the idle peer's record names the peer as master, and mine does not put it in standby."""
    peer, record = s.peer, s.record
    if peer is None or peer.record is None or record is None or peer.role is not Role.WAITING:
        return False
    return peer.record.master == s.config.peer and s.config.peer not in record.standby


def grants(s: State) -> bool:
    """As master: "you are fit" goes out with the next beat. Recorded first, so that it cannot be forgotten."""
    if s.role not in (Role.MASTER, Role.HANDING) or s.record is None or not s.record.slave_fit or s.withdrawn_ms >= 0:
        return False
    return s.saving is None or s.saving.record is None or s.saving.record.slave_fit


def may_go_alone(s: State) -> bool:
    """As master: the slave's fitness has surely ended: by time, or by its own word after it was withdrawn."""
    return s.now_ms - s.granted_ms > s.config.times.alone_ms or s.slave_let_go


def epoch_above(s: State, *others: Epoch | None) -> Epoch:
    """The next epoch of this node, above everything it has seen."""
    seen = [e for e in others if e is not None]
    if s.record is not None:
        seen.append(s.record.epoch)
    if s.peer is not None and s.peer.record is not None:
        seen.append(s.peer.record.epoch)
    top = max(seen, default=Epoch(0, s.config.me))
    return top.raised_by(s.config.me)
