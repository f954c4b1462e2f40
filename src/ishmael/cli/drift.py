"""``ishmael drift``: locked files of this node, and files of services, that were changed outside the product."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ishmael.cli import show
from ishmael.cli.client import Api

Where = Annotated[str, typer.Argument(metavar="PATH", help="A path out of `ishmael drift list`.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
app = typer.Typer(help="Files of this node that were changed outside Ishmael.", no_args_is_help=True)


@app.command("list")
def list_changes(as_json: AsJson = False) -> None:
    """All of them, and what can be done about each."""
    _shown(Api().get("/drift"), as_json)


@app.command("show")
def show_change(path: Where, as_json: AsJson = False) -> None:
    """What was changed of one file, as a unified diff."""
    found = Api().get("/drift/difference", file=path)
    if as_json:
        show.print_json(found)
    else:
        print(found["difference"], end="")


@app.command("take-over")
def take_over(path: Where, as_json: AsJson = False) -> None:
    """Mean the file as it is now."""
    _shown(Api().post("/drift/take-over", {"path": path}), as_json)


@app.command("put-back")
def put_back(path: Where, as_json: AsJson = False) -> None:
    """Give the file the content it had."""
    _shown(Api().post("/drift/put-back", {"path": path}), as_json)


def _shown(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        show.print_json(found)
        return
    if not found["changes"] and not found["services"]:
        print("Nothing was changed outside Ishmael.")
    for each in found["changes"]:
        ways = [way for way, there in (("take-over", each["take_over"]), ("put-back", each["put_back"])) if there]
        print(f"{each['what']:8} {each['path']}  (ishmael drift {' | '.join(ways)})")
    for each in found["services"]:
        print(f"changed  {each['path']}  (ishmael services take-over | put-back {each['service']})")


def add_to(parent: typer.Typer) -> None:
    """Join the command line."""
    parent.add_typer(app, name="drift")
