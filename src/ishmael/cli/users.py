"""``ishmael user``: who may sign in to the web interface."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ishmael.cli import show
from ishmael.cli.client import Api
from ishmael.words.errors import RequestRefused

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Name = Annotated[str, typer.Argument(help="The user's name.")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]

user = typer.Typer(name="user", help="Who may sign in to the web interface.", no_args_is_help=True)


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        raise RequestRefused("no-password", "Nobody is there to be asked for a password.", "Add --password-stdin.")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


def _said(as_json: bool, answer: dict[str, object], text: str) -> None:
    if as_json:
        show.print_json({"schema": 1, **answer})
    else:
        print(text)


@user.command()
def code(as_json: AsJson = False) -> None:
    """Show the one-time code by which the first admin is made in the browser."""
    answer = Api().get("/users/code")
    found = answer["code"]
    _said(as_json, answer, f"Code: {found}" if found else "There are users already; sign in, or: ishmael user add")


@user.command("list")
def list_(as_json: AsJson = False) -> None:
    """List users and tokens."""
    answer = Api().get("/users")
    if as_json:
        show.print_json(answer)
        return
    for row in answer["users"]:
        print(f"{row['name']:20} {row['role']:8} since {row['since']}")
    for row in answer["tokens"]:
        print(f"token {row['id']:14} {row['role']:8} since {row['since']}  {row['name']}")
    if not answer["users"]:
        print("There are no users yet: ishmael user add NAME --role admin")


@user.command()
def add(
    name: Name,
    role: Annotated[str, typer.Option(help="admin, or viewer who may only look.")] = "viewer",
    password_stdin: FromStdin = False,
    as_json: AsJson = False,
) -> None:
    """Add a user."""
    body = {"name": name, "role": role, "password": _password(password_stdin)}
    _said(as_json, Api().post("/users", body), f"{name} may sign in as {role}.")


@user.command()
def password(name: Name, password_stdin: FromStdin = False, as_json: AsJson = False) -> None:
    """Give a user another password; the user's sessions end."""
    answer = Api().post(f"/users/{name}/password", {"password": _password(password_stdin)})
    _said(as_json, answer, f"{name} has another password.")


@user.command()
def role(
    name: Name,
    wish: Annotated[str, typer.Argument(metavar="ROLE", help="admin, or viewer who may only look.")],
    as_json: AsJson = False,
) -> None:
    """Give a user another role; never the last admin."""
    _said(as_json, Api().post(f"/users/{name}/role", {"role": wish}), f"{name} is {wish} now.")


@user.command("sign-out")
def sign_out(name: Name, as_json: AsJson = False) -> None:
    """End all sessions of a user, on both nodes; the user may sign in again."""
    _said(as_json, Api().post(f"/users/{name}/sign-out", {}), f"All sessions of {name} have ended.")


@user.command()
def remove(name: Name, as_json: AsJson = False) -> None:
    """Remove a user; never the last admin."""
    _said(as_json, Api().delete(f"/users/{name}"), f"{name} may not sign in any more.")


@user.command("add-token")
def add_token(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    role: Annotated[str, typer.Option(help="admin, or viewer who may only look.")] = "viewer",
    as_json: AsJson = False,
) -> None:
    """Make a token for a program; its secret is shown this once."""
    answer = Api().post("/tokens", {"name": name, "role": role})
    _said(as_json, answer, f"{answer['token']}\nUse it as: Authorization: Bearer TOKEN. It is not shown again.")


@user.command("remove-token")
def remove_token(
    number: Annotated[str, typer.Argument(metavar="ID", help="See: ishmael user list.")], as_json: AsJson = False
) -> None:
    """Remove a token."""
    _said(as_json, Api().delete(f"/tokens/{number}"), f"The token {number} is no more.")
