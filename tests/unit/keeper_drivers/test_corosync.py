"""The Corosync binding on two real nodes. Time limits are wide for a busy machine; the usual figures are in the docstrings."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ishmael.keeper.corosync import PAYLOAD_BYTES_MAX, Corosync
from keeper_drivers.corosync_pair import Node, corosync_pair, joined
from keeper_drivers.world import Host, Puppet, host, until


@pytest.fixture
def lonely() -> Iterator[Host]:
    """A host without a Corosync."""
    with host() as made:
        yield made


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    """Two nodes with Corosync."""
    with corosync_pair(tmp_path) as nodes:
        yield nodes


def sees_both(puppet: Puppet) -> bool:
    """Whether its latest view holds both nodes."""
    return any(one.get("members") == [1, 2] for one in puppet.ask("follow", 500, "view"))


def both_seen(*puppets: Puppet) -> None:
    """Wait until each sees both nodes in the group."""
    for puppet in puppets:
        until(partial(sees_both, puppet), 15)


def first(events: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The first event of a kind."""
    return next(one for one in events if one["kind"] == kind)


def sent(puppet: Puppet, text: str) -> None:
    """Send a message. While the group's membership settles Corosync may say that it shall be tried again."""
    until(lambda: bool(puppet.ask("send", text)["sent"]), 5)


def texts(events: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """Sender and text of the messages, in order."""
    return [(one["sender"], one["payload"]) for one in events if one["kind"] == "message"]


def test_without_corosync_connecting_says_no_at_once(lonely: Host) -> None:
    """Usually 0.1 ms; the first call also loads the libraries (3 ms)."""
    puppet = lonely.puppet("corosync_puppet.py")
    attempts = [puppet.ask("connect") for _ in range(3)]
    assert not any(one["connected"] for one in attempts)
    assert min(one["took_ms"] for one in attempts) < 5
    assert puppet.ask("send", "nobody hears")["sent"] is False
    assert puppet.ask("follow", 1) == []


def test_two_keepers_form_a_view_and_hear_messages_in_one_order(pair: tuple[Node, Node]) -> None:
    """Own messages come back in the same order as the other node sees them. A round trip usually takes 0.26 ms."""
    one, two = joined(pair[0]), joined(pair[1])
    both_seen(one, two)
    for number in range(5):
        sent(one, f"one {number}")
        sent(two, f"two {number}")
    orders = [texts(puppet.ask("follow", 300)) for puppet in (one, two)]
    assert orders[0] == orders[1]
    assert len(orders[0]) == 10
    assert sorted(one.ask("echo", 50))[25] < 20


def test_first_events_tell_quorum_and_own_view(pair: tuple[Node, Node]) -> None:
    """After connecting, quorum and a view that holds this node come without asking."""
    puppet = joined(pair[0])
    events = puppet.ask("follow", 500, "view")
    assert first(events, "quorum")["quorate"] is True
    assert 1 in first(events, "view")["members"]
    assert 1 in first(events, "view")["joined"]


def test_killed_keeper_is_reported_as_process_down(pair: tuple[Node, Node]) -> None:
    """Corosync of the other node tells at once (usually 5 ms) that only the keeper went."""
    one, two = joined(pair[0]), joined(pair[1])
    both_seen(one)
    two.process.kill()
    view = first(one.ask("follow", 5000, "view"), "view")
    assert view["members"] == [1]
    assert view["left"] == [[2, "procdown"]]


def test_closing_is_seen_by_the_others_and_can_be_undone(pair: tuple[Node, Node]) -> None:
    """Close does not wait; the same object may connect again."""
    one, two = joined(pair[0]), joined(pair[1])
    both_seen(one)
    assert two.ask("close") < 20
    assert first(one.ask("follow", 5000, "view"), "view")["members"] == [1]
    until(lambda: two.ask("connect")["connected"], 15)
    both_seen(one, two)


def test_power_cut_gives_a_view_without_the_node(pair: tuple[Node, Node]) -> None:
    """With token/consensus/join 200/60/30 ms usually after 243 ms (240-256)."""
    one, two = joined(pair[0]), joined(pair[1])
    both_seen(one)
    pair[1].kill()
    two.process.kill()
    view = first(one.ask("follow", 5000, "view"), "view")
    assert view["members"] == [1]
    assert view["left"] == [[2, "nodedown"]]


def test_own_corosync_killed_is_lost_and_comes_back(pair: tuple[Node, Node]) -> None:
    """The loss is reported once, nothing is sent meanwhile, and connecting works again after the restart."""
    one = joined(pair[0])
    one.ask("follow", 200)
    pair[0].kill()
    assert [event["kind"] for event in one.ask("follow", 5000, "lost")] == ["lost"]
    assert one.ask("send", "into the void")["sent"] is False
    assert one.ask("connect")["connected"] is False
    pair[0].start()
    until(lambda: one.ask("connect")["connected"], 15)
    assert 1 in first(one.ask("follow", 2000, "view"), "view")["members"]


def test_stopped_corosync_never_blocks_the_keeper(pair: tuple[Node, Node]) -> None:
    """Sending refuses after 64 unanswered messages, dispatch gives nothing, connect and close return within ms."""
    one = joined(pair[0])
    one.ask("follow", 200)
    pair[0].signal(signal.SIGSTOP)
    flood = one.ask("flood", 400)
    assert flood["sent"] == 64
    assert flood["slowest_ms"] < 20
    assert one.ask("follow", 50) == []
    newcomer = pair[0].host.puppet("corosync_puppet.py")
    attempts = [newcomer.ask("connect") for _ in range(3)]
    assert not any(attempt["connected"] for attempt in attempts)
    assert min(attempt["took_ms"] for attempt in attempts) < 10
    assert one.ask("close") < 20
    pair[0].signal(signal.SIGCONT)
    until(lambda: one.ask("connect")["connected"], 15)


def test_messages_sent_to_a_stopped_corosync_arrive_when_it_goes_on(pair: tuple[Node, Node]) -> None:
    """They are late: whoever receives them must look at their nonces, not at their arrival."""
    one = joined(pair[0])
    one.ask("follow", 200)
    pair[0].signal(signal.SIGSTOP)
    assert one.ask("send", "late")["sent"]
    assert one.ask("follow", 50) == []
    pair[0].signal(signal.SIGCONT)
    assert texts(one.ask("follow", 5000, "message")) == [(1, "late")]
    assert one.ask("send", "again") == {"sent": True, "took_ms": pytest.approx(0, abs=50), "unanswered": 1}


@pytest.mark.parametrize("length", [0, PAYLOAD_BYTES_MAX + 1])
def test_payload_of_impossible_length_is_a_bug_of_the_caller(length: int) -> None:
    """Nothing is cut into fragments."""
    with pytest.raises(ValueError, match="cannot be sent"):
        Corosync("ishmael").send(b"x" * length)
