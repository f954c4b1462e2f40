"""Where a copy of the master's database lies while it is made, and giving up one that is half done."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

COPIED = "ishmael-copied"
"""Lies in a copy that is complete; without it what lies there is half of one."""


def new_of(data: Path) -> Path:
    """Where the copy is made, beside the data directory."""
    return data.with_name(f"{data.name}.ishmael-new")


def old_of(data: Path) -> Path:
    """Where the data directory goes when the copy takes its place."""
    return data.with_name(f"{data.name}.ishmael-old")


def give_up_copy(data: Path, stop: Callable[[], None]) -> None:
    """End a joining that is in the middle of copying everything; whatever else it does is short, and is waited for.

    Stopping it in a rewind would leave half of two histories; a copy is made beside the data, which stays as it is.

    Args:
        data: the data directory.
        stop: ends the program that copies; returns when it is gone.
    """
    new, old = new_of(data), old_of(data)
    if not new.exists() or (new / COPIED).exists():
        return
    stop()
    # It may have come further since we looked.
    if not data.exists() and old.exists():
        old.rename(data)
    shutil.rmtree(new, ignore_errors=True)
