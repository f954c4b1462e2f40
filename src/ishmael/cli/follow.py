"""Asking for a job and following it to its end, with every finding and every step shown."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ishmael.cli import show
from ishmael.cli.client import Api, ManagerDown, error_from
from ishmael.words.errors import Finding, HostFault, IshmaelError, RequestRefused, refusal

WAIT_S = 10
PATIENCE_S = 60.0
"""How long a manager that stopped answering may take to come back (it resumes its job) before we give up."""
FINISHED = ("done", "failed", "refused", "dropped")
NEEDS_ANSWER_EXIT = 2


@dataclass(frozen=True)
class Wish:
    """One job as the admin asked for it.

    Args:
        work: name of the kind of job.
        arguments: its inputs; those that are None are left out.
        yes: do not ask back.
        dry_run: only say what would be done and what stands against it.
        override: codes of findings to go on in spite of.
        as_json: print the final job object, nothing else.
        pending: only collect it, to be applied later.
    """

    work: str
    arguments: Mapping[str, Any]
    yes: bool
    dry_run: bool
    override: tuple[str, ...]
    as_json: bool
    pending: bool = False

    def body(self, *, dry_run: bool) -> dict[str, Any]:
        """The request body of ``POST /jobs``."""
        given = {key: value for key, value in self.arguments.items() if value is not None}
        return {"work": self.work, "arguments": given, "dry_run": dry_run, "override": list(self.override)}


def do(wish: Wish, api: Api | None = None) -> int:
    """Plan, ask, start, follow; the exit code of the whole.

    Raises:
        IshmaelError: refused, or failed; whose fault it was decides the exit code.
    """
    api = api or Api()
    if wish.dry_run:
        return _dry_run(wish, api)
    if wish.pending:
        return _collect(wish, api)
    if not wish.yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()) or wish.as_json:
            print("ishmael: Nobody is there to be asked whether to go on.", file=sys.stderr)
            print("  hint: Add --yes, or look first with --dry-run.", file=sys.stderr)
            return NEEDS_ANSWER_EXIT
        wish = _ask_back(wish, api)
    return _end(_follow(api, api.post("/jobs", wish.body(dry_run=False)), quiet=wish.as_json), wish.as_json)


def follow(jobs: Sequence[Mapping[str, Any]], api: Api, *, as_json: bool) -> int:
    """Follow jobs that were queued, one after the other, each to its end.

    Args:
        jobs: as the manager answered.
        api: to ask.
        as_json: print one document with all of them, nothing else.

    Returns:
        The exit code of the first that did not end well, or 0.
    """
    codes, ended = [0], []
    for job in jobs:
        last = _follow(api, dict(job), quiet=as_json)
        ended.append(last)
        if last["state"] == "done" and not as_json:
            show.job_result(last)
        elif last["state"] != "done":
            show.complain(error := _failure(last))
            codes.append(error.exit_code)
    if as_json:
        show.print_json({"schema": 1, "jobs": ended})
    return next((code for code in codes if code), 0)


def _collect(wish: Wish, api: Api) -> int:
    plan = api.post("/jobs", wish.body(dry_run=True))
    job = api.post("/jobs", {**wish.body(dry_run=False), "pending": True})
    if wish.as_json:
        show.print_json(job)
        return 0
    print(plan["facts"].get("diff", ""), end="")
    number = job["id"]
    print(f"Nothing is changed yet. Apply it: ishmael jobs apply {number}; drop it: ishmael jobs drop {number}")
    return 0


def _end(job: Mapping[str, Any], as_json: bool) -> int:
    if as_json:
        # What a job hands out (a key, a rung) stands beside what it is, for whoever reads it by name.
        show.print_json({**job["result"], **job})
        if job["state"] != "done":
            show.complain(error := error_from(job["error"]))
            return error.exit_code
        return 0
    if job["state"] != "done":
        raise _failure(job)
    show.job_result(job)
    return 0


def _failure(job: Mapping[str, Any]) -> IshmaelError:
    if job.get("undone"):
        print(f"ishmael: undone: {', '.join(job['undone'])}", file=sys.stderr)
    # A job that somebody dropped before its turn has no error.
    dropped = {"whose": "request", "code": "job-ended", "message": f"Job {job['id']} was dropped by somebody."}
    return error_from(job["error"] or dropped)


def _standing(rows: Sequence[Mapping[str, Any]], override: Sequence[str]) -> list[Mapping[str, Any]]:
    return [row for row in rows if not (row["overridable"] and row["code"] in override)]


def _refusal(rows: Sequence[Mapping[str, Any]]) -> IshmaelError:
    return refusal([Finding(**row) for row in rows])


def _dry_run(wish: Wish, api: Api) -> int:
    plan = api.post("/jobs", wish.body(dry_run=True))
    if wish.as_json:
        show.print_json(plan)
    else:
        _show_plan(plan)
    standing = _standing(plan["findings"], wish.override)
    if standing:
        if not wish.as_json:
            print(f"ishmael: {len(standing)} finding(s) stand against it; nothing was changed.", file=sys.stderr)
        return _refusal(standing).exit_code
    return 0


def _show_plan(plan: Mapping[str, Any]) -> None:
    out = show.console()
    out.print(f"[bold]{plan['work']}[/] would do:")
    for number, name in enumerate(plan["plan"], 1):
        out.print(f"  {number}/{plan['steps']} {name}")
    for name, value in plan["facts"].items():
        # What a file holds is no markup: [mail.example.org] is a host.
        if name == "diff":
            print(value, end="")
        else:
            out.print(f"  {name.replace('_', ' ')}: {value}", markup=False)
    if plan["findings"]:
        show.findings(plan["findings"])


def _ask_back(wish: Wish, api: Api) -> Wish:
    import typer  # noqa: PLC0415

    plan = api.post("/jobs", wish.body(dry_run=True))
    _show_plan(plan)
    standing = _standing(plan["findings"], wish.override)
    if any(not row["overridable"] for row in standing):
        raise _refusal(standing)
    question = "Go on in spite of these findings?" if standing else "Go on?"
    if not typer.confirm(question, err=True):
        raise RequestRefused("not-confirmed", "Not confirmed; nothing was changed.")
    codes = (*wish.override, *(str(row["code"]) for row in standing))
    return Wish(wish.work, wish.arguments, True, False, codes, wish.as_json)


def _follow(api: Api, job: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Wait for the end of a job; every step is shown once, also those too short to be seen in passing."""
    told = 0
    with _line(quiet) as line:
        while True:
            finished = job["state"] in FINISHED
            if not quiet:
                told = _tell(api, job, told, line.say)
            if finished:
                return job
            if job.get("amount") and not quiet:
                line.amount(job)
            job = _next(api, job)


def _tell(api: Api, job: Mapping[str, Any], told: int, line: Any) -> int:
    try:
        events = api.get(f"/jobs/{job['id']}/events", after=told)["events"]
    except ManagerDown:
        return told
    for event in events:
        facts = event["facts"]
        if event["kind"] == "step":
            line(f"{facts['step']}/{facts['steps']} {facts['step_name']}")
        elif event["kind"] == "undoing":
            line("a step failed; taking back what was done")
        told = event["n"]
    return told


def _next(api: Api, job: Mapping[str, Any]) -> dict[str, Any]:
    import time  # noqa: PLC0415

    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return dict(api.get(f"/jobs/{job['id']}", after=job["revision"], wait_s=WAIT_S))
        except ManagerDown as error:
            if time.monotonic() > deadline:
                raise HostFault(
                    "manager-lost",
                    f"The manager went away during job {job['id']}; it goes on when the manager is back.",
                    f"See: systemctl status ishmael-manager; ishmael jobs {job['id']}",
                ) from error
            time.sleep(0.5)


class _line:  # noqa: N801 - reads as a word: `with _line(quiet) as line`
    """Where progress is shown: a live line on a terminal, plain lines elsewhere, nowhere when quiet."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.live: Any = None

    def __enter__(self) -> Any:
        if not self.quiet and sys.stderr.isatty():
            self.live = show.console(stderr=True).status("waiting for its turn")
            self.live.start()
        return self

    def say(self, text: str) -> None:
        """Show one step."""
        if self.quiet:
            return
        print(text, file=sys.stderr)
        if self.live is not None:
            self.live.update(text)

    def amount(self, job: Mapping[str, Any]) -> None:
        """Show how far the step is; only where a line can be written anew."""
        if self.live is not None:
            self.live.update(f"{job['progress']}  {show.amount(job['amount'])}")

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()
