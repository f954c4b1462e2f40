"""When the master gives the role away by itself: its Corosync, its telephone network or its disk is lost (F2, F4, 10)."""

from __future__ import annotations

from ishmael.core import acts, facts
from ishmael.core import rules_master as master
from ishmael.core.outbox import Outbox
from ishmael.core.state import State


def own_corosync_lost(s: State) -> bool:
    """F2, unless it only notifies; nor while F1 does, for then the slave would not take over."""
    return not s.only_notified & {"F1", "F2"} and _corosync_gone(s)


def corosync_withheld(s: State) -> bool:
    """F2 would apply now, and it or F1 only notifies."""
    told = facts.withheld("F2") in s.reported
    return bool(s.only_notified & {"F1", "F2"}) and not told and _corosync_gone(s)


def tell_corosync_withheld(s: State, out: Outbox) -> None:
    """F2: say what is not done."""
    acts.withhold(s, out, "F2", "This node's own Corosync is lost, and it serves on")


def _corosync_gone(s: State) -> bool:
    """My own Corosync is gone for good, the data streams, and the slave's machine answers.

    The slave hears nobody, so it counts its fitness from the last grant; letting go well before W ends leaves it the time
    to see the release (rule 3b). If it does not take over, this node resumes by rule 1b, when that fitness has ended.
    """
    times = s.config.times
    if s.corosync or s.corosync_lost_ms < 0 or s.record is None or not s.record.slave_fit or facts.held(s):
        return False
    lost_ms = s.now_ms - s.corosync_lost_ms
    in_time = times.own_corosync_ms <= lost_ms and s.now_ms - s.granted_ms < times.fitness_ms - times.save_ms
    return in_time and s.withdrawn_ms < 0 and s.in_step and _slave_answers(s)


def _slave_answers(s: State) -> bool:
    return 0 <= s.now_ms - s.own_address_ms <= s.config.times.hears_ms and s.own_address_ms >= 0


def release_silently(s: State, out: Outbox) -> None:
    """F2: the release is the message."""
    acts.let_go(
        s, out, "F2", "This node's own Corosync is lost; the slave sees the released cluster IP and takes over.",
        lost_ms=s.now_ms - s.corosync_lost_ms,
    )  # fmt: skip


def telephone_network_lost(s: State) -> bool:
    """F4, unless it only notifies."""
    return "F4" not in s.only_notified and _network_gone(s)


def network_withheld(s: State) -> bool:
    """F4 would apply now, and only notifies."""
    return "F4" in s.only_notified and facts.withheld("F4") not in s.reported and _network_gone(s)


def tell_network_withheld(s: State, out: Outbox) -> None:
    """F4: say what is not done."""
    acts.withhold(
        s, out, "F4", "The telephone network is gone here and still there at the slave, and this node serves on"
    )


def _network_gone(s: State) -> bool:
    """No carrier or no reference here, and the slave answered three fresh probes after it was asked.

    When the network was dark for both, it may come back for one a moment earlier: settle first.
    """
    lost = s.reference_lost_ms >= 0 or not s.phone_link
    peer = s.peer
    if not lost or peer is None or not facts.grants(s) or not facts.hears(s) or facts.held(s) or s.saving is not None:
        return False
    if _refused_lately(s) or (s.dark_ms >= 0 and s.now_ms - s.dark_ms < s.config.times.settle_ms):
        return False
    return peer.references_good >= s.config.times.reference_good


def _refused_lately(s: State) -> bool:
    """An offer that was refused or not answered is not repeated at the pace of the network."""
    return s.offer_failed_ms >= 0 and s.now_ms - s.offer_failed_ms < s.config.times.offer_ms


def hand_over_network(s: State, out: Outbox) -> None:
    """F4: hand over."""
    master.hand_over(s, out, "F4", "The telephone network is gone here and still there at the slave.")


def disk_lost(s: State) -> bool:
    """Rule 10: the record cannot be written, and the slave can serve."""
    return (
        facts.disk_fails(s)
        and facts.grants(s)
        and facts.slave_in_order(s)
        and not facts.held(s)
        and not _refused_lately(s)
    )


def hand_over_disk(s: State, out: Outbox) -> None:
    """Rule 10: hand over."""
    master.hand_over(s, out, "10", "This node cannot write its record in time.")


def record_unwritten(s: State) -> bool:
    """Rule 10: the last save failed; a role that waits for no save tries again."""
    return s.save_failed_ms >= 0 and facts.may_save(s)


def write_again(s: State, out: Outbox) -> None:
    """Rule 10: write what holds; success ends the complaint."""
    acts.save(s, out, s.record)
