"""Two hosts with a real Corosync each, two links between them, configured as the product configures them."""

from __future__ import annotations

import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keeper_drivers.world import Host, cable, host, until

_CONF = """
totem {{
  version: 2
  cluster_name: drivers
  transport: knet
  crypto_cipher: aes256
  crypto_hash: sha256
  keyfile: {key}
  token: {token}
  consensus: {consensus}
  join: {join}
  token_retransmits_before_loss_const: 4
  interface {{
    linknumber: 0
    knet_ping_interval: 50
    knet_ping_timeout: 300
    knet_pong_count: 2
  }}
  interface {{
    linknumber: 1
    knet_ping_interval: 50
    knet_ping_timeout: 300
    knet_pong_count: 2
  }}
}}
nodelist {{
  node {{
    nodeid: 1
    name: node1
    ring0_addr: 10.78.0.1
    ring1_addr: 10.77.0.11
  }}
  node {{
    nodeid: 2
    name: node2
    ring0_addr: 10.78.0.2
    ring1_addr: 10.77.0.12
  }}
}}
quorum {{
  provider: corosync_votequorum
  two_node: 1
  wait_for_all: 0
}}
logging {{
  to_stderr: yes
  to_syslog: no
}}
system {{
  state_dir: /var/lib/corosync
}}
"""


@dataclass
class Node:
    """A host with a Corosync."""

    host: Host
    conf: Path
    corosync: subprocess.Popen[Any] | None = None

    def start(self) -> None:
        """Start its Corosync."""
        with self.conf.with_suffix(f".{id(self)}.log").open("wb") as log:
            self.corosync = self.host.start("corosync", "-f", "-c", str(self.conf), stdout=log, stderr=log)

    def signal(self, number: signal.Signals) -> None:
        """Send its Corosync a signal."""
        assert self.corosync is not None
        self.corosync.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        self.signal(signal.SIGKILL)
        assert self.corosync is not None
        self.corosync.wait(10)


@contextmanager
def corosync_pair(
    directory: Path, token: int = 200, consensus: int = 60, join: int = 30
) -> Iterator[tuple[Node, Node]]:
    """Two nodes, Corosync running on both and seeing each other through IPC soon.

    Args:
        directory: for configuration, key and logs.
        token: ms.
        consensus: ms.
        join: ms.
    """
    key = directory / "authkey"
    key.write_bytes(secrets.token_bytes(256))
    conf = directory / "corosync.conf"
    conf.write_text(_CONF.format(key=key, token=token, consensus=consensus, join=join))
    with host() as one, host() as two:
        cable(one, two, "cable0", "10.78.0.1/30", "10.78.0.2/30")
        cable(one, two, "phone0", "10.77.0.11/24", "10.77.0.12/24")
        nodes = Node(one, conf), Node(two, conf)
        for node in nodes:
            node.start()
        yield nodes


def joined(node: Node) -> Any:
    """A puppet keeper on the node, connected to its Corosync."""
    puppet = node.host.puppet("corosync_puppet.py")
    until(lambda: puppet.ask("connect")["connected"], 20, 0.05)
    return puppet
