"""Kinds of events that programs beside the keeper may put into the one event list of both nodes."""

from __future__ import annotations

TOLD_KINDS = frozenset(
    {"check-changed", "check-flapping", "check-acknowledged", "maintenance-begun", "maintenance-ended", "mail-sent",
     "raid-handover", "salvage-kept"}
)  # fmt: skip
