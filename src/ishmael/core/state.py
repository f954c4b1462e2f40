"""What one keeper knows. Nested values are frozen, and ``step`` works on a copy: a state, once returned, stays as it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from ishmael.core.asks import Ask
from ishmael.core.messages import Beat, Go, Nonce, Offer
from ishmael.words.record import Epoch, Record
from ishmael.words.roles import Role
from ishmael.words.settings import Times


@dataclass(frozen=True, slots=True)
class Config:
    """What the core must know of the settings.

    Args:
        me: own node id; 0 while this node is not set up.
        peer: the other node's id, or 0 while there is none.
        references: hosts on the telephone network that should answer ARP.
        dial_tone_first: rule 8: serve with old data rather than not at all.
        because: why this node takes no part, while ``me`` is 0.
        times: see ``Times``.
        witness: a third vote decides splits (rules 1, 3, 7, 8, 11).
        fencing: the other node's power is cut, and that confirmed, before this one takes over unasked (rule 12).
        fence_fallback: a fence that fails is reported, and the takeover goes on without it.
    """

    me: int = 0
    peer: int = 0
    references: tuple[str, ...] = ()
    dial_tone_first: bool = True
    times: Times = field(default_factory=Times)
    because: str = "not set up"
    witness: bool = False
    fencing: bool = False
    fence_fallback: bool = False


@dataclass(frozen=True, slots=True)
class ReferenceSense:
    """One reference: when last asked, which ask was last answered (ms), and how many in a row were missed."""

    asked_ms: int = -1
    answered_ms: int = -1
    missed: int = 0


@dataclass(frozen=True, slots=True)
class ProbeSense:
    """Paired probes of the peer while it is not heard.

    Args:
        last_ms: when the last pair was sent; -1 before the first.
        silent: pairs in a row that nothing answered.
        released: pairs in a row in which the peer's own telephone address answered and the cluster IP did not.
        without_cluster: pairs in a row in which the cluster IP did not answer, whatever else did.
        own: the pair under way: the own telephone address answered.
        cluster: the pair under way: the cluster IP answered from the peer.
        life: the pair under way: any frame of the peer was seen.
        phone_life: the same, on the telephone network.
        unclaimed: pairs in a row, silent ones aside, with frames on the telephone network and no sign of the cluster IP.
        cluster_ms: when the cluster IP last answered from the peer; -1 for never.
    """

    last_ms: int = -1
    silent: int = 0
    released: int = 0
    without_cluster: int = 0
    own: bool = False
    cluster: bool = False
    life: bool = False
    phone_life: bool = False
    unclaimed: int = 0
    cluster_ms: int = -1


@dataclass(frozen=True, slots=True)
class VacancySense:
    """Asking who holds the cluster IP before resuming: consecutive asks without an answer."""

    last_ms: int = -1
    unanswered: int = 0
    since_ms: int = -1


@dataclass(frozen=True, slots=True)
class Saving:
    """A record on its way to disk."""

    ticket: int
    record: Record | None
    since_ms: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Becoming master: from the decision to the address.

    Args:
        rule: the rule behind it.
        why: one sentence.
        record: written with ``taking`` before anything is done.
        before: the record to return to if it is abandoned.
        deadline_ms: the record must be on disk by then, or the claim is abandoned; -1 for no limit.
        since_ms: when decided.
        acting: the record is on disk and the address has been asked for.
        gap_from_ms: last sign of the former master, for the report.
    """

    rule: str
    why: str
    record: Record
    before: Record | None
    deadline_ms: int
    since_ms: int
    acting: bool = False
    gap_from_ms: int = -1


@dataclass(frozen=True, slots=True)
class Handing:
    """Handing over, seen from the master.

    Args:
        offer: nonce of the offer.
        epoch: the epoch the slave is to serve under.
        why: one sentence.
        since_ms: when offered.
        ticket: admin to answer; 0 for nobody.
        accept: the slave's nonce, once it accepted.
        closed: the workload is closed.
        saved: the record "master = slave" is on disk.
        go_ms: when *go* was last sent; -1 before.
    """

    offer: Nonce
    epoch: Epoch
    why: str
    since_ms: int
    ticket: int = 0
    accept: Nonce | None = None
    closed: bool = False
    saved: bool = False
    go_ms: int = -1


@dataclass(frozen=True, slots=True)
class Fencing:
    """The power switch was asked to cut the peer's power: when, and how it ended."""

    ticket: int
    since_ms: int
    confirmed: bool = False
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """An offer this slave has taken up: waits for a go that echoes ``nonce``."""

    offer: Nonce
    nonce: Nonce
    record: Record
    before: Record
    saved: bool = False
    withdrawn: bool = False


@dataclass
class State:
    """Everything one core knows; see the comments of each group. Without slots: a dictionary is copied at once."""

    config: Config = field(default_factory=Config)
    role: Role = Role.OUT
    out_because: str = "not started"
    incarnation: int = 0
    role_since_ms: int = 0

    # clocks
    now_ms: int = 0
    started_ms: int = 0
    last_tick_ms: int = -1
    spaced: bool = False  # quiet at the last tick: the next one comes later
    boot_offset_ms: int = 0
    paused_ms: int = -1
    nonces_from_ms: int = -1  # own nonces sent before are void: a pause came between

    # what is on disk, and what is on its way there
    record: Record | None = None
    saving: Saving | None = None
    tickets: int = 0
    save_failed_ms: int = -1
    save_failed_why: str = ""

    # the peer
    beat_ms: int = -1
    urgent: bool = False  # what is due does not wait for the next tick
    peer: Beat | None = None
    peer_ms: int = -1
    peer_served_ms: int = -1
    heard_ms: int = -1
    life_ms: int = -1
    corosync: bool = False
    corosync_lost_ms: int = -1
    quorate: bool = False
    members: frozenset[int] = frozenset()
    view_ms: int = -1  # the view, or whether it is quorate, last changed
    quorum_lost_ms: int = -1
    corosync_ms: int = -1  # connected since
    witness_lost_ms: int = -1
    fence: Fencing | None = None

    # networks
    references: dict[str, ReferenceSense] = field(default_factory=dict)
    reference_ask_ms: int = -1
    reference_ms: int = -1
    reference_lost_ms: int = -1
    dark_ms: int = -1
    offer_failed_ms: int = -1
    frame_ms: int = -1  # a frame of the peer was last seen
    phone_frame_ms: int = -1  # the same, on the telephone network
    own_address_ms: int = -1  # the peer last answered for its own telephone address
    question_ms: int = -1
    question_good: int = 0
    lossy: bool = False
    loss_ms: int = -1
    phone_link: bool = True
    phone_link_ms: int = -1  # since when
    internal_link: bool = True
    probe: ProbeSense = field(default_factory=ProbeSense)
    vacancy: VacancySense = field(default_factory=VacancySense)
    holder_ms: int = -1
    foreign_mac: str = ""
    foreign_ms: int = -1
    conflict_ms: int = -1
    conflict_last_ms: int = -1
    conflict_new: bool = False
    conflict_answered_ms: int = -1

    # fitness: as slave the lease in memory; as master the last grant
    fit_until_ms: int = -1
    granted_ms: int = -1
    withdrawn_ms: int = -1
    slave_let_go: bool = True

    # data
    in_step: bool = False
    in_step_why: str = "not known yet"
    in_step_ms: int = -1
    synchronous: bool = False
    synchronous_wanted: bool | None = None
    synchronous_ms: int = -1  # since when commits wait
    in_vain_ms: int = -1  # when they were let go though the slave stood there: its data did not follow

    # what this node's other programs have against the slave's fitness, and which failover checks only notify
    objection: str = ""
    only_notified: frozenset[str] = frozenset()

    # the cluster IP and the workload
    holds: bool = False
    refreshed_ms: int = -1
    announced: int = 0
    announce_from_ms: int = -1
    claimed_ms: int = -1  # last told an unheard peer that this node holds the cluster IP
    opened: bool = False
    let_go_ms: int = -1
    let_go_watching: bool = False  # it let go with its eyes open: nobody can have served before unseen
    lapsed: bool = False
    dropping: bool = False

    # becoming master, handing over, admins
    claim: Claim | None = None
    claim_failed: str = ""
    handing: Handing | None = None
    offered: Offer | None = None
    accepted: Accepted | None = None
    go: Go | None = None
    asks: tuple[Ask, ...] = ()
    waiting_asks: tuple[Ask, ...] = ()
    hold: bool = False
    peer_hold: bool = False  # the last word of the other node about its own
    dial_tone_ms: int = -1
    serve_asked: bool = False  # the admin wants this node to serve, if nobody else does
    unserved_ms: int = -1

    # told once until it ends
    reported: frozenset[str] = frozenset()

    def copied(self) -> State:
        """A shallow copy; made for every event, so it has to be quick."""
        fresh = object.__new__(State)
        fresh.__dict__.update(self.__dict__)
        return fresh
