"""Rules for when nobody serves (1, 7, 8), and for a claim under way (10)."""

from __future__ import annotations

from dataclasses import replace

from ishmael.core import acts, facts
from ishmael.core.outbox import Outbox
from ishmael.core.state import State
from ishmael.words.record import Record
from ishmael.words.roles import Role

_UNSURE_MS = 1000
_TELL_MS = 4000


def claim_lost(s: State) -> bool:
    """The record failed or came too late, the address could not be taken, or a master is heard after all."""
    made = s.claim
    if made is None:
        return True
    if s.claim_failed:
        return True
    if made.acting:
        return False
    failed = s.saving is None and s.record != made.record
    late = made.deadline_ms >= 0 and s.now_ms >= made.deadline_ms
    return failed or late or s.paused_ms >= made.since_ms or _master_after_all(s)


def _master_after_all(s: State) -> bool:
    held = s.probe.cluster_ms >= s.role_since_ms
    return (facts.peer_serves(s) and s.claim is not None and s.heard_ms > s.claim.since_ms) or held


def give_up_claim(s: State, out: Outbox) -> None:
    """Return to the record from before."""
    made = s.claim
    why = "the record was not on disk in time"
    if s.claim_failed:
        why = s.claim_failed
    elif made is not None and s.saving is None and s.record != made.record:
        why = s.save_failed_why or "the record could not be written"
    elif _master_after_all(s):
        why = "the master was seen again"
    acts.abandon(s, out, why)


def claim_saved(s: State) -> bool:
    """The claim's epoch survives a power cut now."""
    return s.claim is not None and not s.claim.acting and s.saving is None and s.record == s.claim.record


def act(s: State, out: Outbox) -> None:
    """Take the address."""
    acts.act_on_claim(s, out)


def address_held(s: State) -> bool:
    """The kernel says that the address is held."""
    return s.claim is not None and s.claim.acting and s.holds


def serve(s: State, out: Outbox) -> None:
    """Be master."""
    acts.become_master(s, out)


def keeps_role(s: State) -> bool:
    """Rule 7: the keeper was restarted while its lease still runs: nobody can have taken the address in between.

    The slave is heard, or nobody answers for the address while a reference answers: the whole machine may have hung
    before, and the slave have taken over. With a witness a split is no reason to go on: its vote is.
    """
    if not s.holds or not _mine(s, s.record) or s.record is None or s.record.taking or s.let_go_ms >= 0:
        return False
    if s.conflict_ms >= 0 or facts.peer_serves(s) or s.now_ms - s.started_ms >= s.config.times.lease_ms:
        return False
    # Long enough to have noticed frames of a peer that does not answer.
    listened = s.now_ms - s.started_ms >= s.config.times.suspect_ms + s.config.times.pause_drop_ms
    alone = listened and facts.sees_reference(s) and facts.vacant(s) and facts.has_votes(s)
    return alone or facts.hears(s)


def keep_role(s: State, out: Outbox) -> None:
    """Rule 7: go on as master."""
    acts.resume_role(s, out)


def holds_wrongly(s: State) -> bool:
    """A node that is not master must not hold the address; a restarted keeper has its lease's time to learn that it is."""
    if not s.holds or s.dropping:
        return False
    if s.role is not Role.WAITING or s.conflict_ms >= 0 or s.let_go_ms >= 0 or facts.isolated(s) or not s.phone_link:
        return True
    return s.now_ms - s.started_ms >= s.config.times.lease_ms


def drop_wrong(s: State, out: Outbox) -> None:
    """Let go."""
    acts.drop(s, out)


def _mine(s: State, record: Record | None) -> bool:
    return record is not None and record.master == s.config.me and s.config.me not in record.standby


def _resume(s: State, out: Outbox, rule: str, why: str, record: Record | None, *, slave_fit: bool) -> None:
    if record is None:
        return
    epoch = facts.epoch_above(s)
    claimed = replace(record, epoch=epoch, master=s.config.me, taking=True, slave_fit=slave_fit, revision=0)
    acts.claim(s, out, rule, why, claimed)


def resumes_alone(s: State) -> bool:
    """Rule 7: recorded as master with an unfit or removed slave; resumes at once after probing for holders."""
    if not (facts.ready(s) and _mine(s, s.record) and facts.vacant(s) and facts.sees_reference(s)) or s.record is None:
        return False
    if not facts.has_votes(s):
        return False
    return not s.record.slave_fit and not s.record.taking and not _peer_knows_better(s)


def _peer_knows_better(s: State) -> bool:
    """That somebody served under a higher record stays true when he is not heard any more; rule 8 is for that."""
    peer = s.peer
    if peer is None or peer.record is None or s.record is None:
        return False
    higher = peer.record.order > s.record.order and (facts.hears(s) or not peer.record.taking)
    return higher or facts.peer_serves(s)


def resume_alone(s: State, out: Outbox) -> None:
    """Rule 7: claim."""
    why = "Recorded as master without a fit slave, and nobody holds the cluster IP."
    _resume(s, out, "7a", why, s.record, slave_fit=False)


def resumes_with_peer(s: State) -> bool:
    """Rule 7: both are there and neither serves: the higher record says who was master; that one resumes."""
    peer = s.peer
    if not facts.ready(s) or not facts.hears(s) or peer is None or peer.record is None or s.record is None:
        return False
    released = peer.role is Role.HANDING and peer.record.master == s.config.me
    if not (released or peer.role in (Role.WAITING, Role.SLAVE, Role.STANDBY)):
        return False
    best = max(s.record, peer.record, key=lambda record: record.order)
    return _mine(s, best) and (facts.vacant(s) or _references_gone(s))


def _references_gone(s: State) -> bool:
    """No reference answers for long, on a link that is up: what silence says about strangers cannot be known, and the
    peer says that it does not hold the address. Losing the references alone moves nothing (rule 11), nor ends anything.
    """
    gone_ms = s.now_ms - max(s.reference_lost_ms, s.phone_link_ms)
    return s.phone_link and s.reference_lost_ms >= 0 and gone_ms > _UNSURE_MS and s.now_ms - s.holder_ms > _UNSURE_MS


def resume_with_peer(s: State, out: Outbox) -> None:
    """Rule 7: claim, on the higher of both records.

    A fit slave stays fit: its data has all that was acknowledged, and commits wait for it from the first one on.
    """
    best = s.record
    if s.peer is not None and s.peer.record is not None and best is not None and s.peer.record.order > best.order:
        best = s.peer.record
    _resume(s, out, "7b", "Both nodes agree who was master last.", best, slave_fit=best is not None and best.slave_fit)


def resumes_after_let_go(s: State) -> bool:
    """Rule 1: let go, probed ever since, saw no other holder, and the slave's fitness has surely ended.

    Not after a pause, a lapse or a conflict: then the slave may have served, unseen, before this node looked. Nor beside
    one that has lost its record, and with it whether it served.
    """
    if facts.hears(s) and s.peer is not None and s.peer.record is None:
        return False
    if not (facts.ready(s) and _mine(s, s.record)) or not s.let_go_watching or not facts.sees_reference(s):
        return False
    if _peer_knows_better(s) or not facts.has_votes(s):
        return False
    over = s.now_ms - max(s.let_go_ms, s.granted_ms) > s.config.times.alone_ms
    return over and facts.unheld_since(s, s.let_go_ms)


def resume_after_let_go(s: State, out: Outbox) -> None:
    """Rule 1: claim."""
    _resume(s, out, "1b", "Nobody took over since this node let go.", s.record, slave_fit=False)


def dial_tone_starts(s: State) -> bool:
    """Rule 8: the wait begins."""
    return s.dial_tone_ms < 0 and facts.nobody_serves(s)


def start_dial_tone(s: State, _out: Outbox) -> None:
    """Rule 8: note since when."""
    s.dial_tone_ms = s.unserved_ms = s.now_ms


def nobody_untold(s: State) -> bool:
    """Rule 8: longer than any takeover takes, and not said yet."""
    return s.dial_tone_ms >= 0 and s.now_ms - s.dial_tone_ms >= _TELL_MS and acts.NOBODY not in s.reported


def tell_nobody(s: State, out: Outbox) -> None:
    """Rule 8: say so."""
    s.reported |= {acts.NOBODY}
    waits = facts.waits_for_admin(s)
    if waits:
        out.tell(
            "nobody-serves", "8", f"Nobody serves; this node could, and waits for the admin: {waits}.", cause=waits
        )
        return
    out.tell(
        "nobody-serves", "8", "Nobody serves; this node will, with the data it has, unless another turns up.",
        in_ms=s.dial_tone_ms + _dial_tone_delay_ms(s) - s.now_ms,
    )  # fmt: skip


def dial_tone_stops(s: State) -> bool:
    """Rule 8: a holder was seen, or the conditions have not held for a while; one late tick does not count."""
    if s.dial_tone_ms < 0 or facts.nobody_serves(s):
        return False
    return s.holder_ms > s.dial_tone_ms or s.now_ms - max(s.unserved_ms, s.dial_tone_ms) > _UNSURE_MS


def stop_dial_tone(s: State, _out: Outbox) -> None:
    """Rule 8: start anew when they hold again."""
    acts.wait_anew(s)


def _dial_tone_delay_ms(s: State) -> int:
    """The node recorded as master goes first, so that two lonely nodes do not claim in the same moment."""
    later_ms = 0 if _mine(s, s.record) else s.config.times.fitness_ms + 2000
    return s.config.times.dial_tone_ms + later_ms


def dial_tone_due(s: State) -> bool:
    """Rule 8: waited long enough."""
    return waited_long(s) and (facts.hears(s) or facts.fenced(s))


def waited_long(s: State) -> bool:
    """Rule 8: nobody served for the whole delay, and a node that booted meanwhile had the time to be met; or asked for."""
    if s.dial_tone_ms < 0 or not facts.nobody_serves(s):
        return False
    if s.serve_asked:
        return True
    over = s.now_ms - s.dial_tone_ms >= _dial_tone_delay_ms(s)
    return over and not facts.waits_for_admin(s) and s.now_ms - s.started_ms >= s.config.times.boot_ms


def dial_tone(s: State, out: Outbox) -> None:
    """Rule 8: serve with the data at hand; what turns out to diverge goes to salvage."""
    if s.record is None:
        return
    standby = frozenset({s.config.peer}) if s.config.peer else frozenset()
    record = Record(facts.epoch_above(s), s.config.me, taking=True, standby=standby, witness_off=facts.witness_off(s))
    how = "the admin asked this node to serve" if s.serve_asked else "nobody served for long and this node can"
    why = f"Dial tone first: {how}. Its data may be older than the other node's."
    acts.claim(s, out, "8", why, record, waited_ms=s.now_ms - s.dial_tone_ms)
