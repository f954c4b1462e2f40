"""What Prometheus scrapes: the cluster as one node sees it, in the text format 0.0.4.

Source: prometheus.io, "Exposition formats" (escapes, HELP and TYPE) and "Metric and label naming" (base units).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ishmael.checks.base import State

CONTENT_TYPE = "text/plain; version=0.0.4"
_STATES = "0 ok, 1 warning, 2 critical, 3 unknown"
_Sample = tuple[Mapping[str, object], float | None]


def exposition(status: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], lamp: str) -> str:
    """The metrics; what is not known has no sample.

    Args:
        status: of ``GET /status``.
        rows: of ``GET /checks``.
        lamp: the worst state.
    """
    nodes, sync, calls = status["nodes"], status["sync"], status["telephony"]
    epoch = str(status["epoch"] or "").partition(".")[0]
    families: list[tuple[str, str, list[_Sample]]] = [
        ("ishmael_info", "The version on this node.", [({"node": status["node"], "version": status["version"] or ""}, 1)]),
        ("ishmael_check_state", f"A check of a node: {_STATES}.", [
            ({"id": row["id"], "check": row["name"], "node": row["node"]}, _state(row["state"])) for row in rows]),
        ("ishmael_lamp_state", f"All checks as one: {_STATES}.", [({}, _state(lamp))]),
        ("ishmael_master", "1 on the node that serves.", [({}, status["role"] in ("master", "handing"))]),
        ("ishmael_node_role", "1 for the role that a node has.", [
            ({"node": node["name"], "role": node["role"]}, 1) for node in nodes if node["role"]]),
        ("ishmael_node_online", "1 if this node hears that node.", [({"node": n["name"]}, n["online"]) for n in nodes]),
        ("ishmael_node_fit", "1 if a node may serve.", [({"node": n["name"]}, n["fit"]) for n in nodes]),
        ("ishmael_failover_possible", "1 if the slave may take over.", [({}, status["failover_possible"])]),
        ("ishmael_link_up", "1 if the nodes see each other over a network.", [
            ({"network": name}, up) for name, up in status["links"].items()]),
        ("ishmael_epoch", "Raised by every claim to the cluster IP.", [({}, int(epoch) if epoch else None)]),
        ("ishmael_database_lag_bytes", "Log that the slave has not applied.", [({}, sync["db_lag_bytes"])]),
        ("ishmael_canary_age_seconds", "Age of the newest row the slave has.", [({}, _seconds(sync["canary_age_ms"]))]),
        ("ishmael_file_lag_seconds", "How far the slave's files are behind.", [({}, _seconds(sync["file_lag_ms"]))]),
        ("ishmael_calls", "Calls that are up.", [({}, calls["calls"])]),
        ("ishmael_phones", "Phones that are registered.", [({}, calls["phones"])]),
    ]  # fmt: skip
    return "".join(line for family in families for line in _family(*family))


def _family(name: str, told: str, samples: Iterable[_Sample]) -> list[str]:
    """Lines of one metric; none when nothing is known of it."""
    lines = []
    for labels, value in samples:
        if value is not None:
            inner = ",".join(f'{label}="{_escaped(str(text))}"' for label, text in labels.items())
            lines.append(f"{name}{'{' + inner + '}' if inner else ''} {float(value):.17g}\n")
    return [f"# HELP {name} {told}\n", f"# TYPE {name} gauge\n", *lines] if lines else []


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _state(word: str) -> int:
    return int(State[word.upper()])


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
