"""``ishmael services``: names, addresses, time, e-mail and fax for the telephones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ishmael.cli import show
from ishmael.cli.client import Api
from ishmael.cli.working import AsJson, DryRun, Override, Yes, _do

Name = Annotated[str, typer.Argument(metavar="NAME", help="dns, ntp, mail or fax.")]
Pairs = Annotated[list[str], typer.Argument(metavar="SETTING=VALUE...", help="What to change; lists with commas.")]
PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", help="File of this node with the new password, and nothing else.")
]
Pending = Annotated[
    bool, typer.Option("--pending", help="Only save it and show the difference; `ishmael jobs apply` applies it.")
]
app = typer.Typer(
    help="Services for the telephones: DNS and DHCP, time, e-mail, fax. Changed on the master.", no_args_is_help=True
)


@app.command("list")
def list_services(as_json: AsJson = False) -> None:
    """All services of this node and how they are."""
    found = Api().get("/services")
    if as_json:
        show.print_json(found)
        return
    for each in found["services"]:
        print(f"{each['name']:6}{_how(each):16}{each['title']} ({each['package']}, on {each['runs_on']})")
        if each["trouble"]:
            print(f"      {each['trouble']}")
        for path in each["changed_by_hand"]:
            print(f"      changed by hand: {path}  (ishmael services take-over | put-back {each['name']})")


@app.command("show")
def show_service(name: Name, as_json: AsJson = False) -> None:
    """The settings of one service, with their meaning."""
    found = Api().get(f"/services/{name}")
    if as_json:
        show.print_json(found)
        return
    print(f"{found['title']}: {_how(found)}")
    for each in found["fields"]:
        value = found["settings"][each["name"]]
        print(f"  {each['name']} = {', '.join(value) if isinstance(value, list) else value}")
        print(f"      {each['what']}")
    for each in found["own_lines"]:
        print(f"lines of your own in {each['path']} (drop them: ishmael services put-back --own-lines {name})")
        print(each["difference"], end="")
    for each in found["by_hand"]:
        print(f"changed by hand: {each['path']}{_ways(name, each)}")
        print(each["difference"], end="")


def _ways(name: str, each: dict[str, Any]) -> str:
    if each["take_over"]:
        return f" (ishmael services take-over | put-back {name})"
    return f" (ishmael services put-back {name}; it cannot be taken over: {each['against']})"


@app.command("diff")
def diff_service(name: Name, pairs: Pairs, password_file: PasswordFile = None, as_json: AsJson = False) -> None:
    """What a change would make of the files; nothing is changed."""
    wish = {"work": "apply-service", "arguments": _arguments(name, pairs, password_file), "dry_run": True}
    plan = Api().post("/jobs", wish)
    if as_json:
        show.print_json(plan)
        return
    for finding in plan["findings"]:
        print(f"{finding['field']}: {finding['message']} {finding['hint']}")
    print(plan["facts"].get("diff", ""), end="")


@app.command("set")
def set_service(
    name: Name, pairs: Pairs, *, password_file: PasswordFile = None, pending: Pending = False,
    yes: Yes = False, dry_run: DryRun = False, override: Override = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Change settings of one service: checked by the service itself, undone when it does not come up."""
    given = _arguments(name, pairs, password_file)
    _do("apply-service", given, yes=yes, dry_run=dry_run, override=override, as_json=as_json, pending=pending)


@app.command("take-over")
def take_over(
    name: Name, yes: Yes = False, dry_run: DryRun = False, override: Override = None, as_json: AsJson = False
) -> None:
    """Mean the files of one service as they were changed by hand; both nodes get these lines, and keep them."""
    arguments = {**_arguments(name, [], None), "own_lines": "take-over"}
    _do("apply-service", arguments, yes=yes, dry_run=dry_run, override=override, as_json=as_json)


@app.command("put-back")
def put_back(
    name: Name, yes: Yes = False, dry_run: DryRun = False, as_json: AsJson = False,
    own_lines: Annotated[
        bool, typer.Option("--own-lines", help="Also without the lines that were taken over before; on both nodes.")
    ] = False,
) -> None:  # fmt: skip
    """Write the files of one service anew, over what was changed by hand."""
    arguments = {**_arguments(name, [], None), "own_lines": "drop" if own_lines else None}
    _do("apply-service", arguments, yes=yes, dry_run=dry_run, override=["changed-by-hand"], as_json=as_json)


def _arguments(name: str, pairs: list[str], password_file: Path | None) -> dict[str, Any]:
    secret = str(password_file.absolute()) if password_file else None
    return {"service": name, "set": pairs, "password_file": secret}


def _how(seen: dict[str, Any]) -> str:
    if not seen["installed"]:
        return "not installed"
    if not seen["settings"]["enabled"]:
        return "off"
    return "running" if all(seen["units"].values()) else "not running"


def add_to(parent: typer.Typer) -> None:
    """Join the command line."""
    parent.add_typer(app, name="services")
