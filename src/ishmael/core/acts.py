"""The few ways to change role. Each is entered through one function, so that no edge is taken twice in different ways."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ishmael.core import commands as do
from ishmael.core.facts import withheld
from ishmael.core.messages import Withdraw
from ishmael.core.outbox import Outbox
from ishmael.core.state import Claim, ProbeSense, Saving, State, VacancySense
from ishmael.words.record import Record
from ishmael.words.roles import Role

NOBODY = "nobody-serves"
"""The mark in ``reported``: told that nobody serves."""


def save(s: State, out: Outbox, record: Record | None) -> None:
    """Send a record on its way to disk; a save under way is superseded. What a master writes is no mere claim."""
    if s.role is Role.MASTER and record is not None and record.taking:
        record = replace(record, taking=False, revision=record.revision + 1)
    s.tickets += 1
    s.saving = Saving(s.tickets, record, s.now_ms)
    out.do(do.Save(s.tickets, record))


def enter(s: State, role: Role) -> None:
    """Change the role and forget what only the old role needed."""
    s.role, s.role_since_ms = role, s.now_ms
    s.probe, s.vacancy = ProbeSense(), VacancySense()
    s.dial_tone_ms, s.serve_asked = -1, False
    s.offered, s.go, s.fence = None, None, None
    if role not in (Role.SLAVE, Role.TAKING):
        s.accepted = None
    if role is not Role.SLAVE:
        s.fit_until_ms = -1
    if role is not Role.HANDING:
        s.handing = None


def drop(s: State, out: Outbox) -> None:
    """Let go of the cluster IP: always the first command of its step."""
    if s.holds or s.role in (Role.MASTER, Role.TAKING):
        out.commands.insert(0, do.DropAddress())
        s.dropping = True
    s.announce_from_ms = -1
    s.conflict_ms, s.conflict_new = -1, False
    s.lapsed = False


def claim(s: State, out: Outbox, rule: str, why: str, record: Record, **facts: Any) -> None:
    """Decide to become master: the record first."""
    deadline_ms = s.fit_until_ms if rule in ("3a", "3b", "3d") else -1
    s.claim = Claim(rule, why, record, s.record, deadline_ms, s.now_ms, gap_from_ms=s.peer_ms)
    s.claim_failed = ""
    enter(s, Role.TAKING)
    save(s, out, record)
    out.tell("taking", rule, why, epoch=str(record.epoch), **facts)


def act_on_claim(s: State, out: Outbox) -> None:
    """The claim is on disk: take the address, promote beside it."""
    if s.claim is None:
        return
    s.claim = replace(s.claim, acting=True)
    out.do(do.TakeAddress())


def become_master(s: State, out: Outbox) -> None:
    """The kernel holds the address: say so to the network, open the services, note it on disk."""
    made = s.claim
    s.claim, s.claim_failed = None, ""
    enter(s, Role.MASTER)
    s.refreshed_ms = s.now_ms
    s.announced, s.announce_from_ms = 1, s.now_ms
    s.let_go_ms, s.lapsed = -1, False
    s.granted_ms = s.now_ms
    record = made.record if made is not None else s.record
    _replicate(s, out, record)
    out.do(do.Announce(), do.OpenWorkload())
    if record is not None and record.taking:
        save(s, out, record)
    if made is not None:
        out.tell(
            "became-master",
            made.rule,
            made.why,
            epoch=str(made.record.epoch),
            decided_ms=s.now_ms - made.since_ms,
            unheard_ms=s.now_ms - made.gap_from_ms,
        )


def _replicate(s: State, out: Outbox, record: Record | None) -> None:
    """Make replication what the record says; what an earlier life or an earlier master left behind is not known.

    A record with a fit slave promises that every acknowledged commit is on it, so commits wait from the first one on.
    """
    fit = record is not None and record.slave_fit
    s.withdrawn_ms, s.slave_let_go = -1, not fit
    s.in_step, s.in_step_why = False, "not reported yet"
    s.synchronous, s.synchronous_wanted = fit, fit
    out.do(do.SetSynchronous(fit))


def resume_role(s: State, out: Outbox) -> None:
    """Keep the role of an earlier life of this keeper whose lease still runs."""
    enter(s, Role.MASTER)
    s.refreshed_ms = -1
    s.announced, s.announce_from_ms = 1, s.now_ms
    out.do(do.RefreshAddress())
    _replicate(s, out, s.record)
    out.do(do.Announce(), do.OpenWorkload())
    out.tell("kept-role", "7", "The keeper was restarted; this node is still master.")


def let_go(s: State, out: Outbox, rule: str, why: str, **facts: Any) -> None:
    """Stop serving, keep the record: this node may resume by rule 7."""
    drop(s, out)
    out.do(do.CloseWorkload(s.config.times.release_ms))
    s.claim = None
    if s.handing is not None:
        out.refuse(s.handing.ticket, "let-go", f"This node had to let go meanwhile: {why}", "See ishmael events.")
        out.do(do.Send(Withdraw(s.handing.offer)))
    enter(s, Role.WAITING)
    s.let_go_ms, s.let_go_watching = s.now_ms, rule in ("1", "F2") and s.paused_ms < 0
    s.opened = False
    out.tell("let-go", rule, why, **facts)


def wait_anew(s: State) -> None:
    """Rule 8's wait begins anew: its conditions did not hold, or somebody has just allowed it."""
    s.dial_tone_ms, s.serve_asked = -1, False
    s.reported -= {NOBODY}


def withhold(s: State, out: Outbox, check: str, what: str) -> None:
    """Say once what a failover check would have done, had the admin not switched it to notify only."""
    s.reported |= {withheld(check)}
    out.tell("failover-withheld", check, f"{what}: {check} only notifies.", check=check)


def abandon(s: State, out: Outbox, why: str) -> None:
    """Give up a claim that has not been acted on, or whose address could not be taken."""
    made = s.claim
    s.claim, s.claim_failed = None, ""
    drop(s, out)
    enter(s, Role.WAITING)
    out.do(do.WarmWorkload())
    if made is not None:
        save(s, out, made.before)
        out.tell("abandoned", made.rule, f"The takeover was abandoned: {why}.", epoch=str(made.record.epoch))


def follow(s: State, out: Outbox, record: Record, rule: str, why: str) -> None:
    """Accept the peer's record: become slave, or standby when it says so. Drops everything at once."""
    served = s.holds or s.opened or s.role in (Role.MASTER, Role.TAKING)
    drop(s, out)
    if served:
        out.do(do.CloseWorkload(s.config.times.release_ms))
        s.opened = False
    s.claim = None
    role = Role.STANDBY if s.config.me in record.standby else Role.SLAVE
    if s.role is not role:
        enter(s, role)
        out.tell(f"became-{role}", rule, why, epoch=str(record.epoch))
        out.do(do.WarmWorkload())
    if record != s.record and (s.saving is None or s.saving.record != record):
        save(s, out, record)
