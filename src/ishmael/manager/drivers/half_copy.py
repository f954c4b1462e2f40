"""Where a copy of the master's database lies while it is made, and giving up one that is half done."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from ishmael.words.database import COPY_SUFFIX

COPIED = "ishmael-copied"
"""Lies in a copy that is complete; without it what lies there is half of one."""


def new_of(data: Path) -> Path:
    """Where the copy is made, beside the data directory."""
    return data.with_name(f"{data.name}{COPY_SUFFIX}")


def old_of(data: Path) -> Path:
    """Where the data directory goes when the copy takes its place."""
    return data.with_name(f"{data.name}.ishmael-old")


def give_up_copy(data: Path, stop: Callable[[], None]) -> None:
    """End a joining that is in the middle of copying everything; whatever else it does is short, and is waited for.

    Stopping it in a rewind would leave half of two histories; a copy is made beside the data, which stays as it is. Only to be
    asked while the joining says that it copies: what a copy that was cut left is there during a rewind, too.

    Args:
        data: the data directory.
        stop: ends the program that copies; returns when it is gone.
    """
    new = new_of(data)
    if new.exists() and not (new / COPIED).exists():
        stop()
        # It may have come further since we looked.
        forget_copy(data)


def forget_copy(data: Path) -> None:
    """Remove what there is of a copy that nobody makes any more; the data is where it was.

    Args:
        data: the data directory.
    """
    old = old_of(data)
    if not data.exists() and old.exists():
        old.rename(data)
    shutil.rmtree(new_of(data), ignore_errors=True)
