"""Kinds of events that programs beside the keeper may put into the one event list of both nodes."""

from __future__ import annotations

TOLD_KINDS = frozenset(
    {
        "check-acknowledged",
        "check-changed",
        "check-flapping",
        "did",
        "first-call",
        "mail-sent",
        "maintenance-begun",
        "maintenance-ended",
        "raid-handover",
        "salvage-kept",
        "service-failing",
        "sign-in-refused",
        "signed-in",
    }
)
