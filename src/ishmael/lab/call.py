"""``ishmael lab call``: phones call each other over the cluster IP, and Asterisk itself is asked whether it is so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ishmael.lab import faults
from ishmael.lab.asterisk_files import ECHO_EXTENSION, PHONES
from ishmael.lab.client import Phones
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.lab.tools import wait_until

PACKETS_NEEDED = 100
"""Two seconds of audio in packets of 20 ms."""
_MARGIN = 25
"""The telephone counts its own packets, and may be some behind Asterisk."""
TALK_TIMEOUT_S = 20.0
_SHOWN_S = 2.0
VERIFIED_BY = "asterisk -rx 'pjsip show channelstats' while the call was up"


def channel_statistics(text: str) -> dict[str, tuple[int, int]]:
    """Packets Asterisk received and sent, by phone, from the text of ``pjsip show channelstats``."""
    found: dict[str, tuple[int, int]] = {}
    for line in text.splitlines():
        row = re.search(r"\b(\d{3})-[0-9a-f]{8}\s+[\d:]+\s+\S+\s+(\d+)\s+(.*)", line)
        if row:
            rest = row[3].split()
            found[row[1]] = (int(row[2]), int(rest[3]))
    return found


def _seen_by_asterisk(node: Node) -> dict[str, tuple[int, int]]:
    return channel_statistics(node.exec(["asterisk", "-rx", "pjsip show channelstats"], timeout_s=5).stdout)


def register(lab: LabPlan, phones: Phones, numbers: Sequence[str]) -> list[dict[str, Any]]:
    """Register phones and ask Asterisk for the contacts it now knows; it may show one a moment after it answered."""
    results = phones.order(*({"do": "register", "phone": number} for number in numbers))
    node = faults.serving_node(lab)
    known = ""

    def all_known() -> bool:
        nonlocal known
        known = node.exec(["asterisk", "-rx", "pjsip show contacts"], timeout_s=5).stdout if node else ""
        return all(f"{result['phone']}/sip:" in known for result in results if result["registered"])

    wait_until(all_known, _SHOWN_S, 0.1)
    return [
        {
            "phone": result["phone"],
            "registered": result["registered"] and f"{result['phone']}/sip:" in known,
            "took_ms": result["took_ms"],
            "node": node.plan.name if node else None,
        }
        for result in results
    ]


def calls(lab: LabPlan, count: int, *, echo: bool) -> list[dict[str, Any]]:
    """Make calls, up to five at a time.

    Args:
        lab: which one.
        count: how many.
        echo: call Asterisk's own echo instead of another phone.

    Returns:
        One object a call.
    """
    results: list[dict[str, Any]] = []
    pairs = list(zip(PHONES[0::2], PHONES[1::2], strict=True))
    with Phones(lab) as phones:
        while len(results) < count:
            turn = pairs[: count - len(results)]
            register(lab, phones, [number for pair in turn for number in pair])
            results += _turn(lab, phones, [(caller, ECHO_EXTENSION if echo else callee) for caller, callee in turn])
    return results


def _turn(lab: LabPlan, phones: Phones, pairs: list[tuple[str, str]]) -> list[dict[str, Any]]:
    node = faults.serving_node(lab)
    begun = phones.order(*({"do": "call", "phone": caller, "to": callee} for caller, callee in pairs))
    talking = [caller for (caller, _), call in zip(pairs, begun, strict=True) if call["answered"]]
    seen: dict[str, tuple[int, int]] = {}

    def talked() -> bool:
        nonlocal seen
        seen = _seen_by_asterisk(node) if node else {}
        return all(min(seen.get(caller, (0, 0))) >= PACKETS_NEEDED + _MARGIN for caller in talking)

    if talking:
        wait_until(talked, TALK_TIMEOUT_S, 0.25)
    ended = {end["phone"]: end for end in phones.order(*({"do": "hangup", "phone": caller} for caller in talking))}
    return [
        _result(pair, call, seen.get(pair[0]), ended.get(pair[0], {}), node)
        for pair, call in zip(pairs, begun, strict=True)
    ]


def _result(
    pair: tuple[str, str],
    call: dict[str, Any],
    seen: tuple[int, int] | None,
    end: dict[str, Any],
    node: Node | None,
) -> dict[str, Any]:
    sent, received = end.get("rtp_sent", 0), end.get("rtp_received", 0)
    verified = seen is not None and min(*seen, sent, received) >= PACKETS_NEEDED
    return {
        "from": pair[0],
        "to": pair[1],
        "answered": call["answered"],
        "status": call["status"],
        "setup_ms": call["setup_ms"],
        "rtp_sent": sent,
        "rtp_received": received,
        "audio_gap_ms": end.get("audio_gap_ms"),
        "asterisk_received": seen[0] if seen else 0,
        "asterisk_sent": seen[1] if seen else 0,
        "node": node.plan.name if node else None,
        "verified": verified,
        "verified_by": VERIFIED_BY if verified else None,
    }
