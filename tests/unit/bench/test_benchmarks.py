"""What the benchmark says of itself and of others."""

import struct
from pathlib import Path

from ishmael.lab.bench.failover import PEER_FAULTS, Run, known_faults, table
from ishmael.lab.measure import Measured
from ishmael.lab.peers.pacemaker import Pacemaker
from ishmael.lab.peers.table import PEERS, named
from ishmael.lab.plan import LabPlan
from ishmael.lab.wire import kind_of

PAGE = (Path(__file__).parents[3] / "docs/reference/benchmarks.md").read_text()


def test_page_shows_the_configurations_that_are_measured() -> None:
    """Whoever judges the fairness of a comparison reads what was really configured."""
    node1 = LabPlan().nodes[0]
    for name in ("keepalived-100ms", "pacemaker-300"):
        for content in named(name).files(node1).values():
            assert f"```\n{content}```" in PAGE
    for peer in PEERS:
        assert peer.name in PAGE


def test_default_pacemaker_has_neither_token_nor_link_monitor() -> None:
    """The default is what one gets without tuning."""
    peer = named("pacemaker-default")
    assert isinstance(peer, Pacemaker)
    text = "".join(peer.files(LabPlan().nodes[0]).values())
    assert "token:" not in text
    assert "ethmonitor" not in text


def test_faults_for_peers_are_known() -> None:
    """A fault offered for peers is one the benchmark can cause."""
    assert set(PEER_FAULTS) <= set(known_faults())


def _run(moves: int, changes: int) -> Run:
    measured = Measured(
        gap_ms=1, sip_gap_ms=None, dual_ms=0, changes=changes, late_ms=0, gap_from_s=0, answered=2,
        first_node="node1", last_node="node2",
    )  # fmt: skip
    return Run("ishmael", "planned", "node1", moves, True, measured)


def test_only_moves_beyond_the_allowed_are_false() -> None:
    """A takeover after a crash is no false failover, moving back is."""
    assert [_run(1, 1).false_failovers, _run(1, 2).false_failovers, _run(0, 1).false_failovers] == [0, 1, 1]


def test_table_names_fault_and_system() -> None:
    """A figure that is not there is a dash."""
    figure = {"median": 1.0, "p95": 2.0, "max": 3.0}
    row = {"gap_ms": figure, "sip_gap_ms": None, "dual_ms": figure, "runs": 4, "unserved": 0, "false_failovers": 0}
    last = table({"ishmael": {"planned": row}})[-1].split()
    assert last == ["planned", "ishmael", "1", "(2)", "-", "1", "(2)", "4", "0", "0"]


def test_packets_are_told_apart() -> None:
    """A packet is known by the node's own port; what has none by its protocol."""
    header = bytes([0x45]) + bytes(8)
    udp = header + bytes([17]) + bytes(10) + struct.pack("!HH", 5405, 5406)
    assert kind_of(0x0800, udp, outgoing=True) == "udp:5405"
    assert kind_of(0x0800, udp, outgoing=False) == "udp:5406"
    assert kind_of(0x0800, header + bytes([112]) + bytes(10), outgoing=True) == "vrrp"
    assert kind_of(0x0806, b"", outgoing=True) == "arp"
    assert kind_of(0x0800, b"", outgoing=True) == "other"
