"""The commands that only look: status, events, jobs, version."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ishmael.cli import show
from ishmael.cli.client import Api, ManagerDown, ask_keeper
from ishmael.words import places
from ishmael.words.errors import IshmaelError
from ishmael.words.settings import settings_from_toml
from ishmael.words.status import status_object

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def _status_without_manager() -> dict[str, Any]:
    """The same object from the keeper's socket and the files; the manager is not needed to see how it is.

    Raises:
        HostFault: the keeper does not answer either.
    """
    keeper = ask_keeper("status")["status"]
    path = Path(places.SETTINGS)
    settings = settings_from_toml(path.read_text()) if path.exists() else None
    keys = Path(places.AUTHORIZED_KEYS)
    prepared = keys.exists() and places.KEY_MARK in keys.read_text(errors="replace")
    return status_object(keeper, settings, prepared=prepared, host_name=socket.gethostname())


def status(as_json: AsJson = False) -> None:
    """Show the cluster: state, master, cluster IP, both nodes, and whether a failover is possible."""
    try:
        seen = {**Api().get("/status"), "manager": True}
    except ManagerDown as down:
        try:
            seen = {**_status_without_manager(), "manager": False}
        except IshmaelError:
            raise down from None
        print("ishmael: The manager does not answer; this is what the keeper says.", file=sys.stderr)
        print(f"  hint: {down.hint}", file=sys.stderr)
    if as_json:
        show.print_json(seen)
    else:
        show.status(seen)


def events(
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", min=1, max=1000, help="How many of the newest. (default: 50, or 1 story)"),
    ] = None,
    story: Annotated[bool, typer.Option("--story", help="Tell the last outage: cause, takeover, outcome.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what happened on both nodes, each with its why; oldest first."""
    if story:
        told = Api().get("/stories", limit=limit or 1)
        if as_json:
            show.print_json(told)
        else:
            show.stories(told["stories"])
        return
    seen = Api().get("/events", limit=limit or 50)
    if as_json:
        show.print_json(seen)
    else:
        show.events(seen["events"])


def jobs(
    job_id: Annotated[int | None, typer.Argument(metavar="[ID]", help="Only this job, with all it says.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many of the newest.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the jobs and what came of them, newest first."""
    if job_id is None:
        seen = Api().get("/jobs", limit=limit)
        if as_json:
            show.print_json(seen)
        else:
            show.jobs(seen["jobs"])
        return
    job = Api().get(f"/jobs/{job_id}")
    if as_json:
        show.print_json(job)
        return
    show.jobs([job])
    show.job_result(job)
    if job["findings"]:
        show.findings(job["findings"])


def version(as_json: AsJson = False) -> None:
    """Show which version of Ishmael is installed."""
    from importlib.metadata import version as installed  # noqa: PLC0415

    if as_json:
        show.print_json({"schema": 1, "name": "ishmael", "version": installed("ishmael")})
    else:
        print(f"ishmael {installed('ishmael')}")


def add_to(app: typer.Typer) -> None:
    """Hang these commands into the application."""
    panel = "Look"
    app.command(epilog="Example:  ishmael status --json", rich_help_panel=panel)(status)
    app.command(epilog="Examples:\n\n  ishmael events --limit 20\n\n  ishmael events --story", rich_help_panel=panel)(
        events
    )
    app.command(epilog="Examples:\n\n  ishmael jobs\n\n  ishmael jobs 7 --json", rich_help_panel=panel)(jobs)
    app.command(epilog="Example:  ishmael version", rich_help_panel=panel)(version)
