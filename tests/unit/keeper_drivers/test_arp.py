"""ARP between two hosts over a real wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ishmael.keeper.arp import REPLY, REQUEST, ArpFrame, build, parse
from keeper_drivers.world import Host, Puppet, cable, host, until

CLUSTER_IP = "10.77.0.10"


@pytest.fixture
def pair() -> Iterator[tuple[Host, Host]]:
    """Two hosts joined by both networks, without IPv6 chatter."""
    with host() as one, host() as two:
        for each in (one, two):
            each.run("sysctl", "-q", "-w", "net.ipv6.conf.default.disable_ipv6=1")
        cable(one, two, "phone0", "10.77.0.11/24", "10.77.0.12/24")
        cable(one, two, "cable0", "10.78.0.1/30", "10.78.0.2/30")
        yield one, two


@pytest.fixture
def puppets(pair: tuple[Host, Host]) -> tuple[Puppet, Puppet]:
    """A port on each host."""
    return pair[0].puppet("arp_puppet.py"), pair[1].puppet("arp_puppet.py")


def mac_of(on: Host, nic: str) -> str:
    """As ip(8) shows it."""
    return str(json.loads(on.run("ip", "-j", "link", "show", "dev", nic))[0]["address"])


def short(frames: list[dict[str, Any]]) -> list[tuple[int, str, str]]:
    """Operation, sender and target."""
    return [(one["op"], one["sender_ip"], one["target_ip"]) for one in frames]


def test_a_question_is_answered_by_the_holder(pair: tuple[Host, Host], puppets: tuple[Puppet, Puppet]) -> None:
    """With the holder's hardware address; usually within 0.15 ms."""
    one, _ = puppets
    assert one.ask("call", "phone0", "ask", "10.77.0.12", "10.77.0.11") is True
    (answer,) = one.ask("frames", "phone0", 3000)
    assert (answer["op"], answer["sender_ip"], answer["target_ip"]) == (REPLY, "10.77.0.12", "10.77.0.11")
    assert answer["sender_mac"] == mac_of(pair[1], "phone0")
    assert answer["target_mac"] == mac_of(pair[0], "phone0") == one.ask("call", "phone0", "mac")
    assert sorted(one.ask("round_trip", "phone0", "10.77.0.12", "10.77.0.11", 50))[25] < 20


def test_a_probe_without_source_is_answered_and_leaves_no_trace(
    pair: tuple[Host, Host], puppets: tuple[Puppet, Puppet]
) -> None:
    """RFC 5227: the sender address is 0.0.0.0, so the holder learns nothing."""
    assert puppets[0].ask("call", "phone0", "ask", "10.77.0.12") is True
    assert short(puppets[0].ask("frames", "phone0", 3000)) == [(REPLY, "10.77.0.12", "0.0.0.0")]
    assert pair[1].run("ip", "neigh", "show", "dev", "phone0") == ""


def test_nobody_answers_for_an_address_nobody_has(puppets: tuple[Puppet, Puppet]) -> None:
    """Own questions are not heard as answers."""
    assert puppets[0].ask("call", "phone0", "ask", CLUSTER_IP, "10.77.0.11") is True
    assert puppets[0].ask("frames", "phone0", 100) == []


def test_announcements_reach_caches_and_ears(pair: tuple[Host, Host], puppets: tuple[Puppet, Puppet]) -> None:
    """Both forms by broadcast; a host that had the old holder's address in its cache takes the new one."""
    one, two = puppets
    two.ask("call", "phone0", "read")
    pair[1].run("ip", "neigh", "add", CLUSTER_IP, "lladdr", "02:00:00:00:00:01", "nud", "stale", "dev", "phone0")
    assert one.ask("call", "phone0", "announce", CLUSTER_IP) is True
    seen: list[dict[str, Any]] = two.ask("frames", "phone0", 3000)
    if len(seen) < 2:
        seen += two.ask("frames", "phone0", 3000)
    assert short(seen) == [(REQUEST, CLUSTER_IP, CLUSTER_IP), (REPLY, CLUSTER_IP, CLUSTER_IP)]
    until(lambda: mac_of(pair[0], "phone0") in pair[1].run("ip", "neigh", "show", CLUSTER_IP))


def test_one_host_is_told_by_itself(pair: tuple[Host, Host], puppets: tuple[Puppet, Puppet]) -> None:
    """Unicast, as a reply."""
    one, two = puppets
    two.ask("call", "phone0", "read")
    peer_mac = mac_of(pair[1], "phone0")
    assert one.ask("call", "phone0", "announce_to", CLUSTER_IP, "10.77.0.12", peer_mac) is True
    (told,) = two.ask("frames", "phone0", 3000)
    assert short([told]) == [(REPLY, CLUSTER_IP, "10.77.0.12")]
    assert told["target_mac"] == peer_mac


def test_port_survives_the_nic_going_down_and_up(pair: tuple[Host, Host], puppets: tuple[Puppet, Puppet]) -> None:
    """Asking says no while it is down, and the same descriptor works again afterwards."""
    one, _ = puppets
    assert one.ask("call", "phone0", "ask", "10.77.0.12", "10.77.0.11") is True
    pair[0].run("ip", "link", "set", "phone0", "down")
    assert one.ask("call", "phone0", "ask", "10.77.0.12", "10.77.0.11") is False
    one.ask("call", "phone0", "read")
    pair[0].run("ip", "link", "set", "phone0", "up")
    until(lambda: one.ask("call", "phone0", "ask", "10.77.0.12", "10.77.0.11") and one.ask("frames", "phone0", 100))


def test_port_opened_on_a_nic_that_is_down_works_once_it_is_up(
    pair: tuple[Host, Host], puppets: tuple[Puppet, Puppet]
) -> None:
    """At boot the keeper may be earlier than the network."""
    pair[0].run("ip", "link", "set", "phone0", "down")
    assert puppets[0].ask("call", "phone0", "ask", "10.77.0.12", "10.77.0.11") is False
    pair[0].run("ip", "link", "set", "phone0", "up")
    until(
        lambda: (
            puppets[0].ask("call", "phone0", "ask", "10.77.0.12", "10.77.0.11")
            and puppets[0].ask("frames", "phone0", 100)
        )
    )


def test_port_finds_a_nic_that_comes_later_or_anew(pair: tuple[Host, Host], puppets: tuple[Puppet, Puppet]) -> None:
    """A NIC of that name need not exist, and may be replaced by another."""
    one, _ = puppets
    for _ in range(2):
        assert one.ask("call", "late0", "ask", "10.79.0.2", "10.79.0.1") is False
        assert one.ask("call", "late0", "mac") == ""
        cable(*pair, "late0", "10.79.0.1/24", "10.79.0.2/24")
        until(lambda: one.ask("call", "late0", "ask", "10.79.0.2", "10.79.0.1") and one.ask("frames", "late0", 100))
        pair[0].run("ip", "link", "del", "late0")


def test_kernel_wakes_a_port_only_for_whom_it_listens(pair: tuple[Host, Host], puppets: tuple[Puppet, Puppet]) -> None:
    """By sender address; of some senders only their answers count, not what they ask others."""
    one, two = puppets
    one.ask("call", "phone0", "listen_for", ["10.77.0.1"], ["10.77.0.98"])
    two.ask("call", "phone0", "announce", "10.77.0.99")
    two.ask("call", "phone0", "ask", "10.77.0.77", "10.77.0.98")
    assert one.ask("frames", "phone0", 100) == []
    two.ask("call", "phone0", "announce", "10.77.0.1")
    assert one.ask("frames", "phone0", 3000)[0]["sender_ip"] == "10.77.0.1"
    one.ask("frames", "phone0", 100)
    two.ask("call", "phone0", "announce", "10.77.0.98")
    assert short(one.ask("frames", "phone0", 3000)) == [(REPLY, "10.77.0.98", "10.77.0.98")]
    one.ask("call", "phone0", "listen_for", [], [])
    two.ask("call", "phone0", "announce", "10.77.0.99")
    assert one.ask("frames", "phone0", 3000)


def test_hosts_answer_on_the_wrong_network_unless_told_otherwise(
    pair: tuple[Host, Host], puppets: tuple[Puppet, Puppet]
) -> None:
    """Why the product sets arp_ignore=1: a telephone address would answer over the cable."""
    one, two = puppets[0], pair[1]
    one.ask("call", "cable0", "ask", "10.77.0.12", "10.78.0.1")
    assert short(one.ask("frames", "cable0", 3000)) == [(REPLY, "10.77.0.12", "10.78.0.1")]
    two.run("sysctl", "-q", "-w", "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2")
    two.run("ip", "addr", "add", f"{CLUSTER_IP}/32", "scope", "host", "dev", "phone0")
    for address in ("10.77.0.12", CLUSTER_IP):
        one.ask("call", "cable0", "ask", address, "10.78.0.1")
        assert one.ask("frames", "cable0", 100) == []
        one.ask("call", "phone0", "ask", address, "10.77.0.11")
        assert short(one.ask("frames", "phone0", 3000)) == [(REPLY, address, "10.77.0.11")]


def test_ear_hears_any_frame_of_the_peer_and_of_nobody_else(
    pair: tuple[Host, Host], puppets: tuple[Puppet, Puppet]
) -> None:
    """Not only ARP; and own frames do not count."""
    one, two = puppets
    one.ask("ear", "cable0", mac_of(pair[1], "cable0"))
    one.ask("ear", "phone0", "02:00:00:00:00:01")
    assert one.ask("heard", "cable0", 50) is False
    one.ask("call", "cable0", "ask", "10.78.0.99", "10.78.0.1")
    assert one.ask("heard", "cable0", 50) is False
    two.ask("call", "cable0", "ask", "10.78.0.99", "10.78.0.2")
    assert one.ask("heard", "cable0", 3000) is True
    assert one.ask("heard", "cable0", 50) is False
    two.ask("call", "phone0", "ask", "10.77.0.99", "10.77.0.12")
    assert one.ask("heard", "phone0", 50) is False


MACS = st.binary(min_size=6, max_size=6)
IPS = st.ip_addresses(v=4).map(str)


@given(st.sampled_from([REQUEST, REPLY]), MACS, IPS, MACS, IPS)
def test_what_is_built_is_parsed(op: int, sender_mac: bytes, sender_ip: str, target_mac: bytes, target_ip: str) -> None:
    """Every field comes through, padding at the end does not matter."""
    frame = build(op, sender_mac, sender_ip, target_mac, target_ip, b"\xff" * 6) + bytes(18)
    expected = ArpFrame("n", op, sender_mac.hex(":"), sender_ip, target_ip, target_mac.hex(":"), 7)
    assert parse("n", frame, 7) == expected


@given(st.binary(max_size=60))
def test_noise_is_no_frame_and_no_crash(data: bytes) -> None:
    """Frames cut short or of another kind are ignored."""
    frame = parse("n", data, 0)
    assert frame is None or len(data) >= 42
