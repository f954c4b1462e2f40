"""What lies beyond two nodes: a third vote (rule 11) and a power switch (rule 12)."""

from __future__ import annotations

from dataclasses import replace

from ishmael.core import acts, facts, rules_slave, rules_waiting
from ishmael.core import commands as do
from ishmael.core.outbox import Outbox
from ishmael.core.state import Fencing, State
from ishmael.words.roles import Role

_UNCONFIRMED = "no answer of the power switch in time"


def must_fence(s: State) -> bool:
    """Rule 12: everything else is there to take over unasked; a switch that failed is asked again after a while."""
    if not s.config.fencing or facts.fenced(s):
        return False
    if s.fence is not None and not (s.fence.failed and s.now_ms - s.fence.since_ms > 2 * s.config.times.fence_ms):
        return False
    gone = s.role is Role.SLAVE and rules_slave.master_gone(s)
    return gone or (rules_waiting.waited_long(s) and not facts.hears(s))


def ask_fence(s: State, out: Outbox) -> None:
    """Rule 12: cut the peer's power."""
    s.tickets += 1
    s.fence = Fencing(s.tickets, s.now_ms)
    out.do(do.Fence(s.tickets))
    if "fence-failed" not in s.reported:
        out.tell("fencing", "12", "The other node's power is being cut before this node takes over.")


def fence_failed(s: State) -> bool:
    """Rule 12: refused, or not confirmed in its time, and not said yet."""
    if s.fence is None or s.fence.confirmed:
        return False
    if s.fence.failed:
        return "fence-failed" not in s.reported
    return s.now_ms - s.fence.since_ms > s.config.times.fence_ms


def tell_fence_failed(s: State, out: Outbox) -> None:
    """Rule 12: say so; without the settings' leave nothing is taken over on a guess."""
    if s.fence is None:
        return
    s.fence = replace(s.fence, failed=s.fence.failed or _UNCONFIRMED)
    if "fence-failed" in s.reported:
        return
    s.reported |= {"fence-failed"}
    then = "goes on without" if s.config.fence_fallback else "does not take over"
    out.tell(
        "fence-failed",
        "12",
        f"The other node's power could not be cut: {s.fence.failed}. This node {then}.",
        cause=s.fence.failed,
        waited_ms=s.now_ms - s.fence.since_ms,
    )


def witness_gone(s: State) -> bool:
    """Rule 11: the witness alone is lost, for long, and the slave learns of it."""
    record = s.record
    if not s.config.witness or record is None or record.witness_off or not facts.may_save(s):
        return False
    lost = s.witness_lost_ms >= 0 and s.now_ms - s.witness_lost_ms > s.config.times.witness_off_ms
    return lost and facts.hears(s)


def record_off(s: State, out: Outbox) -> None:
    """Rule 11: recorded, so that a later failure of one node does not stop the other."""
    if s.record is None:
        return
    acts.save(s, out, replace(s.record, witness_off=True, revision=s.record.revision + 1))
    out.tell("witness-off", "11", "The witness has been lost for long: both nodes go on without its vote.")


def witness_back(s: State) -> bool:
    """Rule 11: connected again, and the slave learns of it."""
    record = s.record
    if record is None or not record.witness_off or not facts.may_save(s) or not facts.hears(s):
        return False
    return not s.config.witness or (s.witness_lost_ms < 0 and s.quorate)


def record_on(s: State, out: Outbox) -> None:
    """Rule 11: its vote counts again."""
    if s.record is None:
        return
    acts.save(s, out, replace(s.record, witness_off=False, revision=s.record.revision + 1))
    out.tell("witness-on", "11", "The witness is back: its vote counts again.")
