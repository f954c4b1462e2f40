"""What is done by the clock: beats, asking references, probing, refreshing the lease, announcing."""

from __future__ import annotations

from dataclasses import replace

from ishmael.core import commands as do
from ishmael.core import facts
from ishmael.core.messages import Beat
from ishmael.core.outbox import Outbox
from ishmael.core.state import ProbeSense, ReferenceSense, State, VacancySense
from ishmael.words.roles import Role

# After the address moved (docs/reference/failover.md): at once, then these, then every half minute.
_ANNOUNCE_MS = (50, 200, 500, 1000, 2000, 4000, 8000)
_ANNOUNCE_EVERY_MS = 30000
_SLOW = 5
# How long one lost answer makes this node ask more often before it believes a silence.
_LOSSY_MS = 2000
_LOST_FOR_GOOD = 8
# A master that does not hear its peer says and asks who holds the cluster IP: often at first, then now and then.
_DOUBT_OFTEN_MS, _DOUBT_MS, _DOUBT_LATER_MS = 10000, 100, 1000


def perform(s: State, out: Outbox) -> None:
    """Do what is due. Called after the rules, on every tick and when somebody waits for it."""
    if s.config.me == 0:
        return
    _refresh(s, out)
    _beat(s, out)
    if s.role is Role.OUT:
        return
    _references(s, out)
    _probe_peer(s, out)
    _probe_holder(s, out)
    _announce(s, out)
    if s.dial_tone_ms >= 0 and facts.nobody_serves(s):
        s.unserved_ms = s.now_ms


def _refresh(s: State, out: Outbox) -> None:
    if not facts.serving(s) or s.paused_ms >= 0 or not s.holds:
        return
    if s.refreshed_ms < 0 or s.now_ms - s.refreshed_ms >= s.config.times.refresh_ms:
        s.refreshed_ms = s.now_ms
        out.do(do.RefreshAddress())


def _beat(s: State, out: Outbox) -> None:
    if not s.config.peer or not s.corosync or (s.beat_ms >= 0 and s.now_ms - s.beat_ms < s.config.times.echo_ms):
        return
    s.beat_ms = s.now_ms
    grant = facts.grants(s)
    if grant:
        # The slave counts from when it sent the nonce echoed here; it arrived here no earlier than that.
        s.granted_ms = max(s.granted_ms, s.peer_ms)
        s.slave_let_go = False
    question = s.role is Role.MASTER and (s.reference_lost_ms >= 0 or not s.phone_link)
    unable = _unable_because(s)
    beat = Beat(
        nonce=facts.fresh_nonce(s),
        echo=s.peer.nonce if s.peer is not None else None,
        role=s.role,
        record=s.record,
        fit=grant or (s.role is Role.SLAVE and facts.fit(s)),
        able=not unable,
        unable_because=unable,
        question=question,
        references_good=s.question_good if s.question_ms >= 0 else 0,
        hold=s.hold,
    )
    out.do(do.Send(beat))


def _unable_because(s: State) -> str:
    if s.role is not Role.SLAVE:
        return f"it is {s.role}"
    if facts.held(s):
        return "an admin holds takeovers"
    if s.save_failed_ms >= 0:
        return f"its record cannot be written: {s.save_failed_why}"
    return s.objection


def _references(s: State, out: Outbox) -> None:
    times = s.config.times
    # An ask that nobody answered is repeated at once: single lost frames must not look like a lost network.
    missed = s.reference_ms < s.reference_ask_ms
    period_ms = times.tick_ms if s.question_ms >= 0 or missed else times.reference_ms
    if s.reference_ask_ms >= 0 and s.now_ms - s.reference_ask_ms < period_ms:
        return
    s.reference_ask_ms = s.now_ms
    names = _to_be_asked(s)
    asked = {name: _asked_again(s.references[name], s.now_ms, early=s.urgent) for name in names}
    s.references = {**s.references, **asked}
    # A reference that was there a moment ago and missed one ask: frames are being lost, or it just went.
    if any(0 < sense.missed < _LOST_FOR_GOOD for sense in s.references.values()):
        s.loss_ms = s.now_ms
    s.lossy = s.loss_ms >= 0 and s.now_ms - s.loss_ms < _LOSSY_MS
    if facts.sees_reference(s):
        s.reference_lost_ms = -1
        s.reported -= {facts.withheld("F4")}
    elif s.reference_lost_ms < 0:
        s.reference_lost_ms = s.now_ms
    if s.phone_link:
        out.do(do.AskReferences(names))


def _to_be_asked(s: State) -> tuple[str, ...]:
    """All; by turns while nothing is amiss and each has answered when last asked."""
    by_turns = facts.quiet(s) and all(0 <= sense.asked_ms <= sense.answered_ms for sense in s.references.values())
    if not by_turns:
        return tuple(s.references)
    return tuple(sorted(s.references, key=lambda name: s.references[name].asked_ms)[:1])


def _asked_again(sense: ReferenceSense, now_ms: int, *, early: bool) -> ReferenceSense:
    # Asked before the next tick (a question of the master, F4), it had no time to answer the last ask and missed nothing.
    if not early and sense.asked_ms >= 0 and sense.answered_ms < sense.asked_ms:
        return replace(sense, asked_ms=now_ms, missed=sense.missed + 1)
    return replace(sense, asked_ms=now_ms)


def _probe_peer(s: State, out: Outbox) -> None:
    if not facts.suspects(s):
        if s.probe.last_ms >= 0:
            s.probe = ProbeSense(cluster_ms=s.probe.cluster_ms)
        return
    pace_ms = s.config.times.probe_ms * (1 if facts.fit(s) else _SLOW)
    if s.probe.last_ms >= 0 and s.now_ms - s.probe.last_ms < pace_ms:
        return
    p = s.probe
    if p.last_ms < 0:
        # What was seen before the first ask is no answer to it.
        p = ProbeSense(cluster_ms=p.cluster_ms)
    silent, released, without, unclaimed = p.silent, p.released, p.without_cluster, p.unclaimed
    if p.last_ms >= 0:
        silent = 0 if p.life else silent + 1
        without = 0 if p.cluster else without + 1
        if p.cluster:
            released = 0
        elif p.own:
            released += 1
        unclaimed = 0 if p.cluster else unclaimed + p.phone_life
    s.probe = ProbeSense(s.now_ms, silent, released, without, unclaimed=unclaimed, cluster_ms=p.cluster_ms)
    if p.cluster and s.role is Role.SLAVE and "cluster-link-lost" not in s.reported:
        s.reported |= {"cluster-link-lost"}
        out.tell(
            "cluster-link-lost", "3", "The master is not heard but still serves: the link between the keepers is lost."
        )
    out.do(do.ProbePeer())


def _probe_holder(s: State, out: Outbox) -> None:
    waiting = s.role is Role.WAITING or (s.role is Role.HANDING and not s.holds)
    # Unheard or out of the group, a slave that may be fit may have taken over, and only its frames could tell (a virtual
    # machine that was stopped with its clocks).
    missed = not facts.hears(s) or (s.corosync and s.config.peer not in s.members)
    unheard = s.record is not None and s.record.slave_fit and missed
    apart = facts.serving(s) and s.config.peer != 0 and not facts.hears(s)
    doubtful = facts.serving(s) and (s.paused_ms >= 0 or s.conflict_ms >= 0 or unheard or apart)
    if not (waiting or doubtful):
        return
    if doubtful and s.conflict_ms >= 0 and s.now_ms - s.conflict_last_ms > 1000:
        s.conflict_ms = -1
    v = s.vacancy
    settled = v.unanswered >= facts.probes_needed(s) and s.now_ms - v.since_ms > 2000
    pace_ms = s.config.times.probe_ms * (_SLOW if settled else 1)
    if apart and s.paused_ms < 0 and s.conflict_ms < 0 and not unheard:
        pace_ms = _doubt_pace_ms(s)
    if v.last_ms >= 0 and s.now_ms - v.last_ms < pace_ms:
        return
    if v.last_ms >= 0 and facts.sees_reference(s):
        unanswered = v.unanswered + 1
        s.vacancy = VacancySense(s.now_ms, unanswered, v.since_ms if v.since_ms >= 0 else v.last_ms)
    else:
        s.vacancy = VacancySense(last_ms=s.now_ms)
    out.do(do.ProbePeer() if s.conflict_ms >= 0 else do.ProbeHolder())


def _doubt_pace_ms(s: State) -> int:
    return _DOUBT_MS if s.now_ms - max(s.peer_ms, s.role_since_ms) < _DOUBT_OFTEN_MS else _DOUBT_LATER_MS


def _claim_aloud(s: State, out: Outbox) -> None:
    """Unheard, say with every beat who holds the cluster IP: a slave that cannot reach this node may still hear that."""
    if s.config.peer and s.record is not None and s.config.peer not in s.record.standby and not facts.hears(s):
        maybe_fit = s.now_ms - s.granted_ms <= s.config.times.alone_ms
        pace_ms = s.config.times.echo_ms if maybe_fit else _DOUBT_LATER_MS
        if s.now_ms - s.claimed_ms >= pace_ms:
            s.claimed_ms = s.now_ms
            out.do(do.Announce())


def _announce(s: State, out: Outbox) -> None:
    if not facts.serving(s) or s.announce_from_ms < 0 or not s.holds:
        return
    _claim_aloud(s, out)
    at = s.announced - 1
    due_ms = (
        _ANNOUNCE_MS[at]
        if at < len(_ANNOUNCE_MS)
        else _ANNOUNCE_MS[-1] + _ANNOUNCE_EVERY_MS * (at - len(_ANNOUNCE_MS) + 1)
    )
    if s.now_ms - s.announce_from_ms >= due_ms:
        s.announced += 1
        out.do(do.Announce())
