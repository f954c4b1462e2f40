"""``ishmael salvage``: what a former master had and the new one lacked when it was re-added."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ishmael.cli import show
from ishmael.cli.client import Api

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Name = Annotated[str, typer.Argument(metavar="ID", help="Of the find, from `ishmael salvage list`.")]
app = typer.Typer(
    help="What a former master had and the new one lacked: kept aside, never thrown away.", no_args_is_help=True
)


@app.command("list")
def list_finds(as_json: AsJson = False) -> None:
    """List what was kept aside, on both nodes."""
    found = Api().get("/salvage")
    if as_json:
        show.print_json(found)
        return
    _table(found["finds"])
    if found["unreached"]:
        print(f"Of this node only: {found['unreached']}")


@app.command("show")
def show_find(name: Name, as_json: AsJson = False) -> None:
    """Show one find of this node: why it was kept, and the names in it."""
    found = Api().get(f"/salvage/{name}")
    if as_json:
        show.print_json(found)
        return
    print(f"{found['id']}  {found['kind']}  {found['count']} kept, {found['size_bytes']} bytes, on {found['node']}")
    print(found["why"])
    for path in found["names"]:
        print(f"  /{path}")


@app.command("export")
def export_find(
    name: Name,
    directory: Annotated[Path, typer.Argument(help="A directory that does not exist yet.")],
    as_json: AsJson = False,
) -> None:
    """Copy what was kept into a new directory of this node."""
    done = Api().post(f"/salvage/{name}/export", {"directory": str(directory.absolute())})
    if as_json:
        show.print_json(done)
    else:
        print(f"{done['count']} kept, {done['size_bytes']} bytes, now below {done['directory']}")


def _table(finds: list[dict[str, Any]]) -> None:
    from rich.table import Table  # noqa: PLC0415 - drawing only

    if not finds:
        print("Nothing was kept aside.")
        return
    table = Table("id", "node", "kind", "kept", "bytes", "why", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for find in finds:
        table.add_row(
            str(find["id"]), str(find["node"]), str(find["kind"]), str(find["count"]), str(find["size_bytes"]),
            str(find["why"]),
        )  # fmt: skip
    show.console().print(table)


def add_to(parent: typer.Typer) -> None:
    """Join the command line."""
    parent.add_typer(app, name="salvage")
