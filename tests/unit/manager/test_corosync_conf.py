"""The configuration that Corosync gets, judged by what the failover protocol needs of it."""

from __future__ import annotations

import re

from ishmael.manager.works.corosync_conf import corosync_conf
from ishmael.words.settings import NodeSettings, Settings

NODES = tuple(
    NodeSettings(
        n,
        f"node{n}",
        f"10.77.0.1{n}",
        "phone0",
        f"02:00:00:00:0{n}:01",
        f"10.78.0.{n}",
        "cable0",
        f"02:00:00:00:0{n}:02",
    )
    for n in (1, 2)
)


def conf(nodes: int) -> str:
    return corosync_conf(Settings("10.77.0.10", 24, 30, ("10.77.0.1",), NODES[:nodes]))


def values(text: str, name: str) -> list[str]:
    return re.findall(rf"^\s+{name}: (.*)$", text, re.MULTILINE)


def test_two_links_for_two_nodes() -> None:
    """Link 0 is the cable, link 1 the telephone network, and both carry everything."""
    text = conf(2)
    assert values(text, "ring0_addr") == ["10.78.0.1", "10.78.0.2"]
    assert values(text, "ring1_addr") == ["10.77.0.11", "10.77.0.12"]
    assert values(text, "nodeid") == ["1", "2"]
    assert values(text, "link_mode") == ["active"]
    assert values(text, "linknumber") == ["0", "1"]


def test_the_wire_is_closed() -> None:
    """Everything between the nodes is encrypted and authenticated."""
    assert (values(conf(2), "crypto_cipher"), values(conf(2), "crypto_hash")) == (["aes256"], ["sha256"])


def test_no_node_waits_for_the_other() -> None:
    """A node that boots alone has a working Corosync; votes of two nodes only with two nodes."""
    assert values(conf(2), "wait_for_all") == ["0"]
    assert (values(conf(1), "two_node"), values(conf(2), "two_node")) == (["0"], ["1"])


def test_braces_match() -> None:
    """Every block is closed."""
    assert conf(2).count("{") == conf(2).count("}")
