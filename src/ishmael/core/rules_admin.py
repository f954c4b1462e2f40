"""What admins ask: form, admit, dismiss, switch, forget, hold, release, serve, stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ishmael.core import acts, facts
from ishmael.core import commands as do
from ishmael.core import rules_master as master
from ishmael.core.asks import Ask
from ishmael.core.messages import SwitchWanted
from ishmael.core.outbox import Outbox
from ishmael.core.state import State
from ishmael.words.record import Epoch, Record
from ishmael.words.roles import Role

_FORM_LIMIT_MS = 5000


def has_ask(s: State) -> bool:
    """An ask has come in."""
    return bool(s.asks)


def take_ask(s: State, out: Outbox) -> None:
    """Begin the first one."""
    ask, s.asks = s.asks[0], s.asks[1:]
    _BEGIN[ask.what](s, ask, out)


def _form(s: State, ask: Ask, out: Outbox) -> None:
    if s.config.me == 0:
        out.refuse(ask.ticket, "not-set-up", "This node has no settings yet.", "Run ishmael setup-master.")
    elif s.record is not None or s.role is not Role.OUT:
        out.refuse(ask.ticket, "already-formed", "This node is part of a cluster already.", "See ishmael status.")
    elif s.config.peer:
        out.refuse(
            ask.ticket,
            "two-nodes",
            "The settings hold two nodes; a cluster begins with one.",
            "Run ishmael reset first.",
        )
    else:
        acts.enter(s, Role.WAITING)
        s.waiting_asks = (*s.waiting_asks, ask)


def _on_master(s: State, ask: Ask, out: Outbox) -> bool:
    if s.role is Role.MASTER and s.record is not None and s.saving is None:
        return True
    if s.role is Role.MASTER:
        out.refuse(ask.ticket, "busy", "The master is writing its record.", "Try again in a moment.")
    else:
        out.refuse(
            ask.ticket, "not-master", f"This node is {s.role}, not master.", "Ask the master: see ishmael status."
        )
    return False


def _admit(s: State, ask: Ask, out: Outbox) -> None:
    if not _on_master(s, ask, out) or s.record is None:
        return
    if ask.node != s.config.peer:
        out.refuse(ask.ticket, "unknown-node", f"Node {ask.node} is not in the settings.", "Run ishmael add-slave.")
        return
    if ask.node not in s.record.standby:
        out.answer(ask.ticket)
        return
    record = replace(s.record, standby=s.record.standby - {ask.node}, slave_fit=False, revision=s.record.revision + 1)
    acts.save(s, out, record)
    s.waiting_asks = (*s.waiting_asks, ask)
    out.tell("admitted", "5", "The admin added the other node as slave.", node=ask.node)


def _dismiss(s: State, ask: Ask, out: Outbox) -> None:
    if not _on_master(s, ask, out) or s.record is None:
        return
    if s.record.slave_fit and not facts.may_go_alone(s):
        # Withdraw first: the record may say "no fit slave" only when the slave holds no fitness.
        if s.withdrawn_ms < 0:
            s.withdrawn_ms, s.slave_let_go = s.now_ms, False
        s.waiting_asks = (*s.waiting_asks, ask)
        return
    _dismiss_now(s, out, ask)


def _dismiss_now(s: State, out: Outbox, ask: Ask) -> None:
    if s.record is None:
        return
    record = replace(s.record, standby=s.record.standby | {ask.node}, slave_fit=False, revision=s.record.revision + 1)
    acts.save(s, out, record)
    s.waiting_asks = (*(a for a in s.waiting_asks if a.ticket != ask.ticket), ask)
    out.tell("dismissed", "5", "The admin removed the slave.", node=ask.node)


def _switch(s: State, ask: Ask, out: Outbox) -> None:
    why = ask.why or "The admin asked for a hand-over."
    if s.role is Role.SLAVE and facts.peer_serves(s):
        out.do(do.Send(SwitchWanted(why)))
        s.waiting_asks = (*s.waiting_asks, ask)
        return
    if not _on_master(s, ask, out):
        return
    if not facts.grants(s) or not facts.hears(s):
        reason = s.in_step_why if not s.in_step else "it is not there or not fit"
        out.refuse(
            ask.ticket,
            "slave-not-fit",
            f"The slave cannot take over: {reason}.",
            "See ishmael status: it lists what is missing.",
        )
        return
    master.hand_over(s, out, "4", why, ask.ticket)


def _forget(s: State, ask: Ask, out: Outbox) -> None:
    served = s.role in (Role.MASTER, Role.TAKING, Role.HANDING)
    acts.drop(s, out)
    if served or s.opened:
        out.do(do.CloseWorkload(s.config.times.release_ms))
    s.claim = None
    acts.enter(s, Role.OUT)
    s.out_because = "reset by the admin"
    acts.save(s, out, None)
    s.waiting_asks = (ask,)
    out.tell("forgot", "", "The admin reset this node: it takes no part in a cluster.")


def _hold(s: State, ask: Ask, out: Outbox) -> None:
    s.hold = ask.what == "hold"
    acts.wait_anew(s)
    s.peer_hold = s.peer_hold and s.hold
    out.answer(ask.ticket)
    text = "No automatic takeover until it is released." if s.hold else "Automatic takeover is on again."
    out.tell("hold" if s.hold else "hold-released", "3", text)


def _serve(s: State, ask: Ask, out: Outbox) -> None:
    """Rule 8 without its wait and without its leave; everything else must hold."""
    if s.role is Role.MASTER:
        out.answer(ask.ticket)
    elif s.dial_tone_ms < 0 or not facts.nobody_serves(s):
        why = f"This node is {s.role}, and cannot tell that nobody serves: a master may be there, or no reference answers."
        out.refuse(ask.ticket, "somebody-may-serve", why, "See ishmael status; try again in a few seconds.")
    else:
        s.serve_asked = True
        s.waiting_asks = (*s.waiting_asks, ask)


def _stop(s: State, ask: Ask, out: Outbox) -> None:
    """This node shuts down: hand over if somebody can take it, else say nothing and go."""
    if s.role is Role.MASTER and facts.grants(s) and facts.hears(s) and s.saving is None:
        master.hand_over(s, out, "4", "This node is shutting down.", ask.ticket)
    else:
        out.answer(ask.ticket)


_BEGIN: dict[str, Callable[[State, Ask, Outbox], None]] = {
    "form": _form,
    "admit": _admit,
    "dismiss": _dismiss,
    "switch": _switch,
    "forget": _forget,
    "hold": _hold,
    "release": _hold,
    "serve": _serve,
    "stop": _stop,
}


def _first_record(s: State) -> Record:
    return Record(Epoch(1, s.config.me), s.config.me, taking=True)


def ask_settled(s: State) -> bool:
    """A waiting ask can go on or be answered."""
    return any(_settled(s, ask) for ask in s.waiting_asks)


def _settled(s: State, ask: Ask) -> bool:
    match ask.what:
        case "form":
            if s.role is Role.WAITING and s.record is None and s.saving is None:
                late = s.now_ms - ask.since_ms > _FORM_LIMIT_MS
                return late or facts.foreign_holder(s) or (facts.vacant(s) and facts.sees_reference(s))
            return s.role is Role.MASTER and s.opened and s.saving is None
        case "admit":
            return s.saving is None
        case "dismiss":
            waits = s.record is not None and s.record.slave_fit and not facts.may_go_alone(s)
            return s.role is not Role.MASTER or (s.saving is None and not waits)
        case "serve" | "switch":
            times = s.config.times
            limit_ms = times.release_ms + times.alone_ms
            return s.role is Role.MASTER or s.now_ms - ask.since_ms > limit_ms
        case _:
            return s.saving is None


def settle_ask(s: State, out: Outbox) -> None:
    """Go on with, or answer, the first settled ask."""
    ask = next(a for a in s.waiting_asks if _settled(s, a))
    s.waiting_asks = tuple(a for a in s.waiting_asks if a is not ask)
    if ask.what == "form" and s.role is Role.WAITING:
        _settle_form(s, ask, out)
    elif ask.what in ("admit", "dismiss") and s.role is not Role.MASTER:
        out.refuse(ask.ticket, "not-master", "This node is no longer master.", "Ask the master: see ishmael status.")
    elif ask.what == "dismiss" and s.record is not None and ask.node not in s.record.standby:
        _dismiss_now(s, out, ask)
    elif ask.what == "switch" and s.role is not Role.MASTER:
        out.refuse(ask.ticket, "no-hand-over", "The master did not hand over.", "See ishmael events on the master.")
    elif ask.what == "serve" and s.role is not Role.MASTER:
        s.serve_asked = False
        out.refuse(ask.ticket, "not-serving", "This node did not become master.", "See ishmael events.")
    elif ask.what in ("admit", "forget", "dismiss") and s.save_failed_ms >= ask.since_ms:
        out.refuse(
            ask.ticket,
            "record-not-saved",
            f"The record could not be written: {s.save_failed_why}.",
            "Check this node's disk.",
        )
    else:
        out.answer(ask.ticket)


def _settle_form(s: State, ask: Ask, out: Outbox) -> None:
    if facts.vacant(s) and facts.sees_reference(s):
        acts.claim(s, out, "form", "The admin set up the first master.", _first_record(s))
        s.waiting_asks = (*s.waiting_asks, ask)
        return
    acts.enter(s, Role.OUT)
    s.out_because = "not formed"
    if s.foreign_mac and facts.foreign_holder(s):
        out.refuse(
            ask.ticket, "cluster-ip-taken", f"The cluster IP is used by {s.foreign_mac}.", "Choose a free address."
        )
    else:
        out.refuse(
            ask.ticket,
            "no-reference-answers",
            "No reference answered on the telephone network.",
            "Check the cable and the references.",
        )
