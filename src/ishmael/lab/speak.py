"""How commands of the lab speak: lines for a person, or one JSON object; and options they share."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ishmael.words.errors import RequestRefused

SCHEMA = 1
CHECKOUT = Path(__file__).resolve().parents[3]

LabName = Annotated[str, typer.Option("--lab", envvar="ISHMAEL_LAB", help="Name of the lab; several can be up.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]

_err = Console(stderr=True, highlight=False)


def say(line: str) -> None:
    """A line of progress, for a person."""
    _err.print(f"lab: {line}", markup=False, soft_wrap=True)


def emit(as_json: bool, result: dict[str, Any], *lines: str) -> None:
    """Print a result: as one JSON object, or as lines for a person."""
    if as_json:
        sys.stdout.write(json.dumps({"schema": SCHEMA, **result}) + "\n")
        sys.stdout.flush()
    else:
        for line in lines:
            typer.echo(line)


def need_root() -> None:
    """Refuse anybody but root.

    Raises:
        RequestRefused: the caller is not root.
    """
    if os.geteuid() != 0:
        raise RequestRefused("not-root", "The lab makes networks and containers: that takes root.", "sudo ishmael lab")
