"""The rules of the failover as one table: in which role, when, then what, and why. It prints itself.

Rules are tried in this order after every event, until none applies. Numbers are those of docs/reference/failover.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ishmael.core import rules_admin as admin
from ishmael.core import rules_leaving as leaving
from ishmael.core import rules_master as master
from ishmael.core import rules_slave as slave
from ishmael.core import rules_waiting as waiting
from ishmael.core import rules_witness as witness
from ishmael.core.outbox import Outbox
from ishmael.core.state import State
from ishmael.words.roles import Role


@dataclass(frozen=True, slots=True)
class Rule:
    """One row.

    Args:
        id: number in docs/reference/failover.md, with a letter.
        roles: in which it is tried.
        to: the roles it can lead to (empty: the role stays).
        when: a pure question.
        then: changes the state and gives commands; afterwards ``when`` must be false or the role another.
        why: one sentence, shown to admins.
    """

    id: str
    roles: frozenset[Role]
    to: tuple[Role, ...]
    when: Callable[[State], bool]
    then: Callable[[State, Outbox], None]
    why: str


def _row(
    id_: str,
    roles: tuple[Role, ...],
    to: tuple[Role, ...],
    when: Callable[[State], bool],
    then: Callable[[State, Outbox], None],
    why: str,
) -> Rule:
    return Rule(id_, frozenset(roles), to, when, then, why)


_R = Role
_SERVING = (_R.MASTER, _R.HANDING)
_IDLE = (_R.WAITING, _R.SLAVE, _R.HANDING)
_ANY = tuple(Role)

RULES: tuple[Rule, ...] = (
    # Letting go comes first: what may not be held is dropped before anything else is weighed.
    _row(
        "5a",
        (_R.MASTER, _R.TAKING),
        (_R.STANDBY, _R.SLAVE),
        master.outranked,
        master.step_down,
        "The other node serves under a higher epoch.",
    ),
    _row(
        "6a",
        _SERVING,
        (_R.WAITING,),
        master.conflict_lost,
        master.yield_conflict,
        "Two nodes hold the cluster IP and it cannot be told which may.",
    ),
    _row("9a", _SERVING, (_R.WAITING,), master.lapsed, master.on_lapse, "The lease on the cluster IP ran out."),
    _row(
        "9b",
        _SERVING,
        (_R.WAITING,),
        master.pause_unproven,
        master.on_pause,
        "After a pause nobody confirmed the right to serve.",
    ),
    _row(
        "1",
        _SERVING,
        (_R.WAITING,),
        master.cut_off,
        master.on_cut_off,
        "Neither the slave nor a reference can be seen.",
    ),
    _row(
        "6b",
        _SERVING,
        (),
        master.conflict_seen,
        master.announce_again,
        "The other node announced the cluster IP; this one serves.",
    ),
    _row(
        "9c",
        _ANY,
        (),
        master.pause_over,
        master.end_pause,
        "The other node confirmed the right to serve after the pause.",
    ),
    _row(
        "6c",
        (_R.OUT, _R.WAITING, _R.SLAVE, _R.STANDBY),
        (),
        waiting.holds_wrongly,
        waiting.drop_wrong,
        "A node that is not master does not hold the cluster IP.",
    ),
    _row(
        "7d",
        (_R.WAITING,),
        (_R.MASTER,),
        waiting.keeps_role,
        waiting.keep_role,
        "The keeper was restarted while its lease still ran.",
    ),
    # Asks of admins.
    _row("admin", _ANY, _ANY, admin.has_ask, admin.take_ask, "An admin asked."),
    _row("admin-end", _ANY, (), admin.ask_settled, admin.settle_ask, "What an admin asked for is on disk."),
    # Becoming master, from the decision on.
    _row(
        "10a",
        (_R.TAKING,),
        (_R.WAITING,),
        waiting.claim_lost,
        waiting.give_up_claim,
        "The takeover could not be completed in its time.",
    ),
    _row("10b", (_R.TAKING,), (), waiting.claim_saved, waiting.act, "The new epoch is on disk."),
    _row("10c", (_R.TAKING,), (_R.MASTER,), waiting.address_held, waiting.serve, "The cluster IP is held."),
    # The slave.
    _row(
        "5b",
        (_R.SLAVE, _R.STANDBY, _R.WAITING),
        (_R.SLAVE, _R.STANDBY),
        slave.record_differs,
        slave.adopt,
        "The master's record is taken over.",
    ),
    _row("4b", (_R.SLAVE,), (), slave.offer_came, slave.weigh_offer, "The master offers to hand over."),
    _row("4c", (_R.SLAVE,), (), slave.offer_recorded, slave.accept, "The offer is on disk."),
    _row("3c", (_R.SLAVE,), (_R.TAKING,), slave.go_came, slave.take_by_go, "The master handed over in order."),
    _row("4d", (_R.SLAVE,), (), slave.offer_void, slave.void_offer, "The offer was withdrawn."),
    _row(
        "3a",
        (_R.SLAVE,),
        (_R.TAKING,),
        slave.master_silent,
        slave.take_silent,
        "The master is silent on both networks.",
    ),
    _row(
        "3b",
        (_R.SLAVE,),
        (_R.TAKING,),
        slave.address_released,
        slave.take_released,
        "The master's machine answers, but it no longer holds the cluster IP.",
    ),
    _row(
        "3d",
        (_R.SLAVE,),
        (_R.TAKING,),
        slave.address_unclaimed,
        slave.take_unclaimed,
        "The master is seen on the telephone network and no longer claims the cluster IP.",
    ),
    _row(
        "F1n",
        (_R.SLAVE,),
        (),
        slave.takeover_withheld,
        slave.tell_withheld,
        "F1 only notifies: the master is gone.",
    ),
    _row(
        "12a",
        (_R.SLAVE, _R.WAITING),
        (),
        witness.must_fence,
        witness.ask_fence,
        "The other node's power is cut before this one takes over.",
    ),
    _row(
        "12b",
        (_R.SLAVE, _R.WAITING),
        (),
        witness.fence_failed,
        witness.tell_fence_failed,
        "Cutting the other node's power was not confirmed in time.",
    ),
    # Nobody serves.
    _row(
        "7e",
        (_R.SLAVE,),
        (_R.WAITING,),
        slave.master_idle,
        slave.wait_for_a_master,
        "The master is heard and serves no more.",
    ),
    _row(
        "7a",
        (_R.WAITING,),
        (_R.TAKING,),
        waiting.resumes_alone,
        waiting.resume_alone,
        "Recorded as master without a fit slave, and nobody holds the cluster IP.",
    ),
    _row(
        "7b",
        (_R.WAITING,),
        (_R.TAKING,),
        waiting.resumes_with_peer,
        waiting.resume_with_peer,
        "Both nodes agree who was master last.",
    ),
    _row(
        "1b",
        (_R.WAITING,),
        (_R.TAKING,),
        waiting.resumes_after_let_go,
        waiting.resume_after_let_go,
        "Nobody took over since this node let go.",
    ),
    _row("8a", _IDLE, (), waiting.dial_tone_starts, waiting.start_dial_tone, "Nobody serves."),
    _row("8d", _IDLE, (), waiting.nobody_untold, waiting.tell_nobody, "Nobody has served for long."),
    _row(
        "8b",
        _IDLE,
        (),
        waiting.dial_tone_stops,
        waiting.stop_dial_tone,
        "Somebody may serve after all.",
    ),
    _row(
        "8c",
        _IDLE,
        (_R.TAKING,),
        waiting.dial_tone_due,
        waiting.dial_tone,
        "Dial tone first: nobody served for long, and this node can.",
    ),
    # The master.
    _row(
        "4f", (_R.HANDING,), (), master.accepted, master.release, "The slave accepted; the address is released first."
    ),
    _row("4g", (_R.HANDING,), (), master.release_done, master.send_go, "Released and recorded."),
    _row("4h", (_R.HANDING,), (_R.STANDBY,), master.slave_serves, master.retire, "The slave serves."),
    _row(
        "4i",
        (_R.HANDING,),
        (_R.MASTER,),
        master.offer_expired,
        master.withdraw_offer,
        "The slave did not accept in time.",
    ),
    _row(
        "4j",
        (_R.HANDING,),
        (_R.TAKING,),
        master.nobody_took,
        master.take_back,
        "The slave did not take over; nobody holds the cluster IP.",
    ),
    _row(
        "7c",
        (_R.MASTER,),
        (),
        master.peer_claims_higher,
        master.raise_epoch,
        "The other node came back with a claim it does not hold.",
    ),
    _row(
        "2a",
        (_R.MASTER,),
        (),
        master.wants_synchronous,
        master.set_synchronous,
        "The slave stands ready: commits wait for it.",
    ),
    _row("2b", (_R.MASTER,), (), master.slave_becomes_fit, master.record_fit, "The slave is in step."),
    _row("2c", (_R.MASTER,), (), master.slave_falls_out, master.withdraw_fitness, "The slave is no longer in step."),
    _row(
        "2d", (_R.MASTER,), (), master.goes_alone, master.record_alone, "The slave's fitness has ended: working alone."
    ),
    _row(
        "2e",
        (_R.MASTER,),
        (),
        master.may_stop_waiting,
        master.stop_waiting,
        "Recorded: commits no longer wait for the slave.",
    ),
    _row(
        "11a",
        (_R.MASTER,),
        (),
        witness.witness_gone,
        witness.record_off,
        "The witness is lost for long: both nodes go on without its vote.",
    ),
    _row(
        "11b",
        (_R.MASTER,),
        (),
        witness.witness_back,
        witness.record_on,
        "The witness is back: its vote counts again.",
    ),
    _row(
        "F2n",
        (_R.MASTER,),
        (),
        leaving.corosync_withheld,
        leaving.tell_corosync_withheld,
        "F2 only notifies: this node's own Corosync is lost.",
    ),
    _row(
        "F4n",
        (_R.MASTER,),
        (),
        leaving.network_withheld,
        leaving.tell_network_withheld,
        "F4 only notifies: the telephone network is gone here.",
    ),
    _row(
        "F2",
        (_R.MASTER,),
        (_R.WAITING,),
        leaving.own_corosync_lost,
        leaving.release_silently,
        "This node's own Corosync is lost; the slave sees the released cluster IP.",
    ),
    _row(
        "F4",
        (_R.MASTER,),
        (_R.HANDING,),
        leaving.telephone_network_lost,
        leaving.hand_over_network,
        "The telephone network is gone here and still there at the slave.",
    ),
    _row(
        "10d",
        (_R.MASTER,),
        (_R.HANDING,),
        leaving.disk_lost,
        leaving.hand_over_disk,
        "The record cannot be written in time; the slave's can.",
    ),
    _row(
        "10e",
        (_R.OUT, _R.WAITING, _R.SLAVE, _R.STANDBY, _R.MASTER),
        (),
        leaving.record_unwritten,
        leaving.write_again,
        "The record could not be written: try again.",
    ),
)

_BY_ROLE: dict[Role, tuple[Rule, ...]] = {role: tuple(r for r in RULES if role in r.roles) for role in Role}


def rules_of(role: Role) -> tuple[Rule, ...]:
    """The rows tried in a role, in order."""
    return _BY_ROLE[role]
