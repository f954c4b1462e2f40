"""Notices: what the keeper says about itself, each with rule, why and facts. They become the event list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that happened, in plain words.

    Args:
        kind: stable kebab-case name (``took-over``, ``let-go``); every kind is in docs/reference/events.md.
        rule: number of the failover rule behind it (``3a``), or ``""``.
        why: one sentence for the admin.
        facts: what was seen, as JSON values; units last in names.
    """

    kind: str
    rule: str
    why: str
    facts: Mapping[str, Any] = field(default_factory=dict)
