"""What ``ishmael lab status`` says."""

from __future__ import annotations

import re
from typing import Any

from ishmael.lab import database, plan, state, web
from ishmael.lab.lifecycle import nodes_of
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.lab.post import Post


def holds_cluster_ip(node: Node) -> bool:
    """Whether the node has the cluster IP among its addresses now; asks its kernel, not its programs."""
    pid = node.init_pid
    if pid is None:
        return False
    try:
        with open(f"/proc/{pid}/net/fib_trie", encoding="ascii") as trie:  # noqa: PTH123 - /proc/PID, not a path of ours
            return in_fib_trie(trie.read(), plan.CLUSTER_IP)
    except (FileNotFoundError, ProcessLookupError, OSError):
        return False


def in_fib_trie(trie: str, address: str) -> bool:
    """Whether an address is local, by the text of ``/proc/PID/net/fib_trie``."""
    return re.search(rf"\|-- {re.escape(address)}\n\s+/32 \w+ LOCAL", trie) is not None


def lab_status(lab: LabPlan) -> dict[str, Any]:
    """The lab as one object: contract.md, "Lab"."""
    now = state.load(lab)
    return {
        "nodes": [_node(node) for node in nodes_of(lab)],
        "client_netns": lab.client_netns,
        "gateway": plan.GATEWAY_IP,
        "cluster_ip": plan.CLUSTER_IP,
        "web": web.access(lab),
        "smtp_dir": str(Post(lab).mails),
        "db_url": database.URL if any(_has_database(node) for node in nodes_of(lab)) else None,
        "package": now.package if now else "",
        "fault": now.last_fault if now else "",
        "fault_node": now.last_fault_node if now else "",
    }


def _has_database(node: Node) -> bool:
    return node.init_pid is not None and database.is_there(node)


def _node(node: Node) -> dict[str, Any]:
    return {
        "name": node.plan.name,
        "init_pid": node.init_pid,
        "netns": node.plan.netns,
        "phone_ip": node.plan.phone_ip,
        "internal_ip": node.plan.internal_ip,
        "phone_nic": plan.PHONE_NIC,
        "internal_nic": plan.CABLE_NIC,
        "holds_cluster_ip": holds_cluster_ip(node),
    }
