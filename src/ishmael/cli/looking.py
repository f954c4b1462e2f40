"""The commands that only look: status, events, jobs, version."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ishmael.cli import show
from ishmael.cli.client import Api, ManagerDown, ask_keeper
from ishmael.cli.follow import follow
from ishmael.words import places
from ishmael.words.errors import IshmaelError
from ishmael.words.settings import settings_from_toml
from ishmael.words.status import status_object

_JOBS_MAX = 1000
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
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[show|apply|drop|cancel] [ID...]", help="What to do; list by default."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many of the newest.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the jobs, newest first; show one; apply or drop pending changes; cancel one that runs.

    `ishmael jobs ID` shows one with all it says, of a pending change the difference it would make. `apply` and `drop`
    without numbers mean all that is pending.
    """
    action, numbers = _action(words or [])
    if action == "list":
        seen = Api().get("/jobs", limit=limit)
        if as_json:
            show.print_json(seen)
        else:
            show.jobs(seen["jobs"])
        return
    if action == "show":
        _show_job(numbers, as_json)
        return
    if action == "apply":
        _apply(numbers, as_json)
        return
    api = Api()
    if action == "drop" and not numbers:
        numbers = [job["id"] for job in api.get("/jobs", limit=_JOBS_MAX)["jobs"] if job["state"] == "pending"]
    changed = [api.delete(f"/jobs/{number}") for number in numbers]
    if as_json:
        show.print_json({"schema": 1, "jobs": changed})
    elif changed:
        show.jobs(changed)
    else:
        print("Nothing is pending.")


def _apply(numbers: list[int], as_json: bool) -> None:
    api = Api()
    queued = api.post("/jobs/apply", {"ids": numbers} if numbers else {})["jobs"]
    if not queued and not as_json:
        print("Nothing is pending.")
        return
    code = follow(queued, api, as_json=as_json)
    if code:
        raise typer.Exit(code)


def _action(words: list[str]) -> tuple[str, list[int]]:
    action = words[0] if words and not words[0].isdigit() else ("show" if words else "list")
    rest = words[1:] if words and not words[0].isdigit() else words
    if action not in ("list", "show", "apply", "drop", "cancel"):
        raise typer.BadParameter(f"{action!r} is none of: show, apply, drop, cancel")
    if not all(word.isdigit() for word in rest):
        raise typer.BadParameter("the jobs are named by their numbers")
    if not rest and action not in ("list", "apply", "drop"):
        raise typer.BadParameter(f"{action} wants the number of a job")
    return action, [int(word) for word in rest]


def _show_job(numbers: list[int], as_json: bool) -> None:
    for number in numbers:
        job = Api().get(f"/jobs/{number}")
        # A pending change is looked at as things are now.
        plan = _plan(job) if job["state"] == "pending" else {"facts": {}, "findings": job["findings"]}
        if as_json:
            show.print_json({**job, "facts": plan["facts"]} if job["state"] == "pending" else job)
            continue
        show.jobs([job])
        show.job_result(job)
        print(plan["facts"].get("diff", ""), end="")
        if plan["findings"]:
            show.findings(plan["findings"])


def _plan(job: dict[str, Any]) -> dict[str, Any]:
    wish = {name: job[name] for name in ("work", "arguments", "override")}
    return dict(Api().post("/jobs", {**wish, "dry_run": True}))


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
    app.command(
        epilog="Examples:\n\n  ishmael jobs\n\n  ishmael jobs 7 --json\n\n  ishmael jobs apply", rich_help_panel=panel
    )(jobs)
    app.command(epilog="Example:  ishmael version", rich_help_panel=panel)(version)
