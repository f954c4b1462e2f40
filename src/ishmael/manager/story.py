"""The story of an outage: the events that belong to one move of the master's role, in plain words and in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

_BEFORE_S = 60
_AFTER_S = 120
_CALL_AFTER_S = 600
_LEADS_TO = frozenset(
    {
        "link-changed", "corosync-lost", "paused", "let-go", "record-not-saved", "address-conflict", "address-failed",
        "cluster-link-lost", "nobody-serves", "offered", "released", "taking", "abandoned",
    }
)  # fmt: skip
_FOLLOWS = frozenset({"workload-open", "workload-failed", "handed-over", "became-standby", "became-slave"})
_MOVE = "became-master"
_CALL = "first-call"


def stories(events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One story for each time a node became master, oldest first.

    Args:
        events: of both nodes, in any order; those without a time are left out.

    Returns:
        Objects with ``at``, ``node``, ``rule``, ``why``, ``epoch``, ``unheard_ms`` (how long the former master had not been
        heard, as the new one saw it; none when nobody was master before) and ``lines`` (``at``, ``node``, ``text``).
    """
    ordered = sorted((e for e in events if _when(e) is not None), key=lambda e: str(e["at"]))
    moves = [index for index, event in enumerate(ordered) if event["kind"] == _MOVE]
    told = []
    for number, index in enumerate(moves):
        after_last = moves[number - 1] + 1 if number else 0
        before_next = moves[number + 1] if number + 1 < len(moves) else len(ordered)
        told.append(_story(ordered, after_last, index, before_next))
    return told


def _when(event: Mapping[str, Any]) -> datetime | None:
    try:
        return datetime.fromisoformat(str(event["at"]))
    except (KeyError, ValueError):
        return None


def _seconds(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> float:
    first, second = _when(earlier), _when(later)
    return (second - first).total_seconds() if first is not None and second is not None else float("inf")


def _story(ordered: Sequence[Mapping[str, Any]], start: int, move: int, end: int) -> dict[str, Any]:
    became = ordered[move]
    causes = [e for e in ordered[start:move] if e["kind"] in _LEADS_TO and _seconds(e, became) <= _BEFORE_S]
    outcomes = [e for e in ordered[move + 1 : end] if e["kind"] in _FOLLOWS and _seconds(became, e) <= _AFTER_S]
    outcomes += [e for e in ordered[move + 1 : end] if e["kind"] == _CALL and _seconds(became, e) <= _CALL_AFTER_S][:1]
    outcomes.sort(key=lambda e: str(e["at"]))
    facts = became.get("facts") or {}
    first = became.get("rule") == "form"
    return {
        "at": became["at"],
        "node": became["node"],
        "rule": became["rule"],
        "why": became["why"],
        "epoch": facts.get("epoch"),
        "unheard_ms": None if first else facts.get("unheard_ms"),
        "lines": [{"at": e["at"], "node": e["node"], "text": _text(e)} for e in (*causes, became, *outcomes)],
    }


def _text(event: Mapping[str, Any]) -> str:
    words = {
        _MOVE: "It holds the cluster IP now and is master",
        "taking": f"It decides to become master: {_lower(event['why'])}",
        "became-standby": "It is out of service now and waits to be re-added",
        _CALL: "The first call since then is answered here",
    }
    text = str(words.get(str(event["kind"]), event["why"]))
    return text if text.endswith(".") else f"{text}."


def _lower(sentence: Any) -> str:
    text = str(sentence)
    return text[:1].lower() + text[1:]
