"""What ``ishmael status --json`` says: one object, put together from the keeper's answer and the settings.

The manager and the command line (when the manager is down) show the same object, so it is made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ishmael.words.roles import ClusterState, Role
from ishmael.words.settings import NodeSettings, Settings

STATUS_SCHEMA = 1
Versions = Mapping[str, Mapping[str, str | None]]
"""Node name -> package -> version, as far as it is known."""
_SERVING = (Role.MASTER, Role.HANDING)


def status_object(
    keeper: Mapping[str, Any] | None,
    settings: Settings | None,
    *,
    prepared: bool,
    host_name: str,
    versions: Versions | None = None,
) -> dict[str, Any]:
    """The whole cluster as this node sees it.

    Args:
        keeper: the ``status`` object of the keeper's control socket, or None when the keeper does not answer.
        settings: the settings on disk, or None when this node is not set up.
        prepared: this node accepts a master's key (it went through "prepare slave").
        host_name: this node's own host name.
        versions: of the packages that both nodes must have in one version.
    """
    seen: Mapping[str, Any] = keeper or {}
    own = settings.named(host_name) if settings else None
    nodes = _nodes(seen, settings, own, host_name) if settings else [_lone_node(seen, host_name)]
    nodes = [{**row, "versions": dict((versions or {}).get(str(row["name"]), {}))} for row in nodes]
    blocked = list(seen.get("failover_blocked_by") or [])
    if keeper is None:
        blocked = ["the keeper of this node does not answer"]
    elif settings is None:
        blocked = ["this node is not part of a cluster"]
    return {
        "schema": STATUS_SCHEMA,
        "state": str(cluster_state(seen, settings, prepared=prepared)),
        "node": own.name if own else host_name,
        "role": seen.get("role"),
        "epoch": seen.get("epoch"),
        "master": _name(settings, seen.get("master")),
        "cluster_ip": settings.cluster_ip if settings else None,
        "holds_cluster_ip": bool(seen.get("holds_cluster_ip")),
        "grade": seen.get("grade"),
        "grade_missing": list(seen.get("grade_missing") or []),
        "nodes": nodes,
        "sync": {**_data(seen.get("database") or {}), "file_lag_ms": None, "differing": []},
        "salvage": {"count": None, "finds": []},
        "failover_possible": bool(seen.get("failover_possible")) and keeper is not None,
        "failover_blocked_by": blocked,
        "keeper": keeper is not None,
        "out_because": seen.get("out_because") or "",
        "sees_reference": seen.get("sees_reference"),
        "corosync": seen.get("corosync"),
        "workload": dict(seen.get("workload") or {}),
        "since": seen.get("since"),
        "version": seen.get("version"),
    }


def _data(found: Mapping[str, Any]) -> dict[str, Any]:
    """How far the slave's database is; nulls where there is none, or nothing is known."""
    promoted_ms = found.get("promoted_ms")
    return {
        "db_lag_bytes": found.get("lag_bytes"), "canary_age_ms": found.get("canary_age_ms"),
        "promotion_ms": promoted_ms if isinstance(promoted_ms, int) and promoted_ms >= 0 else None,
        "synchronous": found.get("synchronous"), "db_trouble": str(found.get("failed") or found.get("why") or ""),
    }  # fmt: skip


def cluster_state(seen: Mapping[str, Any], settings: Settings | None, *, prepared: bool) -> ClusterState:
    """What the whole is called, from this node's point of view.

    Args:
        seen: the keeper's ``status`` object; empty when the keeper does not answer.
        settings: the settings on disk, or None when this node is not set up.
        prepared: this node accepts a master's key.
    """
    if settings is None:
        return ClusterState.SLAVE_PREPARED if prepared else ClusterState.ALONE
    role = seen.get("role")
    if role == Role.STANDBY:
        return ClusterState.STANDBY
    if len(settings.nodes) == 1:
        return ClusterState.MASTER_READY if role in _SERVING else ClusterState.DEGRADED
    peer = seen.get("peer") or {}
    if role in _SERVING and peer.get("online") and peer.get("fit"):
        return ClusterState.COMPLETE
    if role == Role.SLAVE and seen.get("fit") and seen.get("heard"):
        return ClusterState.COMPLETE
    return ClusterState.DEGRADED


def _name(settings: Settings | None, node_id: object) -> str | None:
    node = settings.node(node_id) if settings and isinstance(node_id, int) else None
    return node.name if node else None


def _lone_node(seen: Mapping[str, Any], host_name: str) -> dict[str, Any]:
    return {
        "name": host_name,
        "role": seen.get("role"),
        "online": bool(seen),
        "fit": False,
        "reasons": [seen.get("out_because") or "not set up"] if seen else ["its keeper does not answer"],
    }


def _nodes(
    seen: Mapping[str, Any], settings: Settings, own: NodeSettings | None, host_name: str
) -> list[dict[str, Any]]:
    if own is None:
        lone = _lone_node(seen, host_name)
        lone["reasons"] = [f"the settings know no node called {host_name}"]
        return [lone, *(_described(node, {}) for node in settings.nodes)]
    rows = []
    for node in settings.nodes:
        peer = seen.get("peer") or {}
        if node.id == own.id:
            rows.append(_described(node, _own_view(seen)))
        else:
            rows.append(_described(node, peer if peer.get("id") == node.id else {}))
    return rows


def _own_view(seen: Mapping[str, Any]) -> dict[str, Any]:
    if not seen:
        return {"role": None, "online": False, "fit": False, "reasons": ["its keeper does not answer"]}
    serving = seen.get("role") in _SERVING
    reasons = [] if serving else list(seen.get("reasons") or [])
    if seen.get("role") == Role.OUT and seen.get("out_because"):
        reasons = [str(seen["out_because"]), *reasons]
    return {"role": seen.get("role"), "online": True, "fit": serving or bool(seen.get("fit")), "reasons": reasons}


def _described(node: NodeSettings, view: Mapping[str, Any]) -> dict[str, Any]:
    online = bool(view.get("online"))
    fit = online and (bool(view.get("fit")) or view.get("role") in _SERVING)
    reasons = list(view.get("reasons") or [])
    if not online and not reasons:
        reasons = ["it is not heard"]
    return {
        "name": node.name,
        "role": view.get("role"),
        "online": online,
        "fit": fit,
        "reasons": [] if fit else reasons,
        "id": node.id,
        "phone_ip": node.phone_ip,
        "internal_ip": node.internal_ip,
    }
