"""The address lease and the network watch on a real kernel."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from ishmael.keeper.address import AddressLease
from keeper_drivers.world import Host, Puppet, cable, host, until

CLUSTER_IP = "10.77.0.10"


@pytest.fixture
def pair() -> Iterator[tuple[Host, Host]]:
    """Two hosts on a telephone network."""
    with host() as one, host() as two:
        cable(one, two, "phone0", "10.77.0.11/24", "10.77.0.12/24")
        yield one, two


@pytest.fixture
def keeper(pair: tuple[Host, Host]) -> Puppet:
    """A lease holder on the first host."""
    return pair[0].puppet("address_puppet.py")


def held(on: Host) -> dict[str, int]:
    """IPv4 addresses of phone0 and their prefix lengths, as ip(8) sees them."""
    (shown,) = json.loads(on.run("ip", "-j", "addr", "show", "dev", "phone0"))
    return {one["local"]: one["prefixlen"] for one in shown["addr_info"] if one["family"] == "inet"}


def source_for(on: Host, target: str) -> str:
    """The source address the kernel chooses by itself."""
    (route,) = json.loads(on.run("ip", "-j", "route", "get", target))
    return str(route["prefsrc"])


def test_take_refresh_drop(pair: tuple[Host, Host], keeper: Puppet) -> None:
    """The address is there from take to drop; both may be repeated."""
    assert keeper.ask("lease", "holds") is False
    keeper.ask("lease", "take")
    keeper.ask("lease", "take")
    assert held(pair[0]) == {CLUSTER_IP: 32, "10.77.0.11": 24}
    assert keeper.ask("lease", "refresh") is True
    assert keeper.ask("lease", "drop") is True
    assert keeper.ask("lease", "drop") is False
    assert held(pair[0]) == {"10.77.0.11": 24}


def test_each_call_takes_less_than_a_millisecond(keeper: Puppet) -> None:
    """Usually 0.02 ms to take, 0.05 ms to refresh."""
    for name in ("take", "refresh", "holds", "drop"):
        assert keeper.ask("timed", name, 50) < 1


def test_kernel_removes_the_address_of_a_stopped_keeper(pair: tuple[Host, Host], keeper: Puppet) -> None:
    """Usually 1.00 to 1.26 s after the last refresh for a lease of 1 s: the kernel rounds up to a full second."""
    watcher = pair[0].puppet("address_puppet.py")
    watcher.ask("watch")
    keeper.ask("lease", "take")
    keeper.ask("lease", "refresh")
    refreshed_ns = time.monotonic_ns()
    keeper.freeze()
    gone = [one for one in watcher.ask("news", 8000) if one[:2] == ["gone", CLUSTER_IP]]
    assert gone
    assert 0.9 < (gone[0][2] - refreshed_ns) / 1e9 < 4
    keeper.thaw()


def test_a_lapsed_lease_is_not_renewed_by_refreshing(pair: tuple[Host, Host], keeper: Puppet) -> None:
    """Only taking brings the address back (rule 9)."""
    keeper.ask("lease", "take")
    until(lambda: CLUSTER_IP not in held(pair[0]), 8, 0.05)
    assert keeper.ask("lease", "refresh") is False
    assert CLUSTER_IP not in held(pair[0])


def test_cluster_ip_and_own_address_do_not_depend_on_each_other(pair: tuple[Host, Host], keeper: Puppet) -> None:
    """Removing either leaves the other, without promote_secondaries."""
    one = pair[0]
    one.run(
        "sysctl", "-q", "-w", "net.ipv4.conf.all.promote_secondaries=0", "net.ipv4.conf.phone0.promote_secondaries=0"
    )
    keeper.ask("lease", "take")
    one.run("ip", "addr", "del", "10.77.0.11/24", "dev", "phone0")
    assert keeper.ask("lease", "refresh") is True
    one.run("ip", "addr", "add", "10.77.0.11/24", "dev", "phone0")
    assert keeper.ask("lease", "refresh") is True
    assert keeper.ask("lease", "drop") is True
    assert held(one) == {"10.77.0.11": 24}


def test_kernel_never_chooses_the_cluster_ip_as_source(pair: tuple[Host, Host], keeper: Puppet) -> None:
    """Not on the network, through a gateway, by a route without one, or for multicast, even when the cluster IP came first."""
    one = pair[0]
    one.run("ip", "addr", "del", "10.77.0.11/24", "dev", "phone0")
    keeper.ask("lease", "take")
    one.run("ip", "addr", "add", "10.77.0.11/24", "dev", "phone0")
    one.run("ip", "route", "add", "192.0.2.0/24", "via", "10.77.0.1")
    one.run("ip", "route", "add", "198.51.100.0/24", "dev", "phone0")
    one.run("ip", "route", "add", "224.0.0.0/4", "dev", "phone0")
    for target in ("10.77.0.12", "192.0.2.1", "198.51.100.1", "224.0.1.75"):
        keeper.ask("lease", "take")
        assert source_for(one, target) == "10.77.0.11"


def test_programs_bound_to_the_cluster_ip_are_reached_and_answer_from_it(
    pair: tuple[Host, Host], keeper: Puppet
) -> None:
    """Its scope does not stand in the way of UDP from the other host, nor of an answer, nor of what is sent first."""
    program, phone = (each.puppet("udp_puppet.py") for each in pair)
    program.ask("bind", CLUSTER_IP)
    phone.ask("bind", "10.77.0.12")
    keeper.ask("lease", "take")
    phone.ask("send", CLUSTER_IP)
    assert program.ask("receive") == "10.77.0.12"
    keeper.ask("lease", "take")
    program.ask("send", "10.77.0.12")
    assert phone.ask("receive") == CLUSTER_IP


def test_drop_removes_foreign_copies_of_the_address_too(pair: tuple[Host, Host], keeper: Puppet) -> None:
    """One that was added by hand with another prefix length would keep the address up."""
    pair[0].run("ip", "addr", "add", f"{CLUSTER_IP}/24", "dev", "phone0")
    keeper.ask("lease", "take")
    assert keeper.ask("lease", "drop") is True
    assert held(pair[0]) == {"10.77.0.11": 24}


def test_missing_nic_is_an_error_to_take_and_none_to_drop(pair: tuple[Host, Host], keeper: Puppet) -> None:
    """Letting go always works."""
    pair[0].run("ip", "link", "del", "phone0")
    assert keeper.ask("lease", "take") == "No such device"
    assert keeper.ask("lease", "refresh") is False
    assert keeper.ask("lease", "drop") is False


def test_lease_needs_a_whole_second() -> None:
    """Zero would be removed at once."""
    with pytest.raises(ValueError, match="whole seconds"):
        AddressLease("phone0", CLUSTER_IP, 0)


def test_carrier_loss_and_return_are_told(pair: tuple[Host, Host], keeper: Puppet) -> None:
    """Usually after 5 ms; up to 1 s when another link changed within the last second (the kernel's linkwatch)."""
    one, two = pair
    until(lambda: keeper.ask("watch"), 5)
    two.run("ip", "link", "set", "phone0", "down")
    assert [change[:2] for change in keeper.ask("news", 5000)] == [["link", False]]
    two.run("ip", "link", "set", "phone0", "up")
    assert [change[:2] for change in keeper.ask("news", 5000)] == [["link", True]]
    one.run("ip", "link", "del", "phone0")
    assert ["link", False] in [change[:2] for change in keeper.ask("news", 5000)]


def test_removed_address_is_told(pair: tuple[Host, Host], keeper: Puppet) -> None:
    """Whoever removes it."""
    until(lambda: keeper.ask("watch"), 5)
    keeper.ask("lease", "take")
    pair[0].run("ip", "addr", "del", f"{CLUSTER_IP}/32", "dev", "phone0")
    assert [change[:2] for change in keeper.ask("news", 3000)] == [["gone", CLUSTER_IP]]
