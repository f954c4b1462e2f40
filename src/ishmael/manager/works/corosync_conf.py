"""The text of ``corosync.conf`` (corosync.conf(5), votequorum(5)) for one node or two."""

from __future__ import annotations

from ishmael.words.settings import NodeSettings, Settings

MARK = "# Written by Ishmael"
"""How the first line of our configuration begins."""
KEY_BYTES = 256
"""Size of the key as corosync-keygen(8) makes it, in bytes."""
TOKEN_MS = 200
CONSENSUS_MS = 60
JOIN_MS = 30
SEQNO_UNCHANGED_CONST = 3
"""Rotations without a message until the token rests. The keepers speak every 25 ms: with the default of 30 it never does, and
the two machines send each other 1000 packets a second for nothing (measured: 1018 to 244 packets, half the time of a processor)."""
PING_INTERVAL_MS = 50
PING_TIMEOUT_MS = 300
PONG_COUNT = 2


def _link(number: int) -> str:
    return f"""\
    interface {{
        linknumber: {number}
        knet_ping_interval: {PING_INTERVAL_MS}
        knet_ping_timeout: {PING_TIMEOUT_MS}
        knet_pong_count: {PONG_COUNT}
    }}
"""


def _node(node: NodeSettings) -> str:
    return f"""\
    node {{
        name: {node.name}
        nodeid: {node.id}
        ring0_addr: {node.internal_ip}
        ring1_addr: {node.phone_ip}
    }}
"""


def corosync_conf(settings: Settings) -> str:
    """The configuration file: link 0 is the internal cable, link 1 the telephone network.

    A consensus below the token is allowed with two nodes. Below a token of about 400 ms the pings of each link
    have to be set, or the links flap. Both links carry everything at once (`active`): with one as a spare (`passive`)
    a cable that swallows frames is noticed after the ping timeout, later than the token is lost, and each cut cost two
    or more changes of the view (measured, 4 of 4 cuts; with `active` none in 4). Nobody waits for all nodes: the
    keeper uses membership, not votes.
    """
    two = len(settings.nodes) == 2
    return f"""\
{MARK}; identical on both nodes. Change it with `ishmael`, not by hand.
totem {{
    version: 2
    cluster_name: {settings.cluster_name}
    transport: knet
    link_mode: active
    crypto_cipher: aes256
    crypto_hash: sha256
    token: {TOKEN_MS}
    consensus: {CONSENSUS_MS}
    join: {JOIN_MS}
    seqno_unchanged_const: {SEQNO_UNCHANGED_CONST}
{_link(0)}{_link(1)}}}
nodelist {{
{"".join(_node(node) for node in settings.nodes)}}}
quorum {{
    provider: corosync_votequorum
    two_node: {int(two)}
    wait_for_all: 0
}}
logging {{
    to_logfile: no
    to_stderr: no
    to_syslog: yes
    timestamp: off
}}
"""
