"""``ishmael checks``, ``check``, ``maintenance``, ``mail`` and ``icinga``: what is wrong, and who is told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ishmael.cli import show
from ishmael.cli.client import Api
from ishmael.words.errors import IshmaelError, RequestRefused

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
_CODES = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}
mail = typer.Typer(help="The smarthost, and mails about every change.", no_args_is_help=True)
icinga = typer.Typer(help="Icinga 2: its objects, and where results are pushed.", no_args_is_help=True)


def checks(as_json: AsJson = False) -> None:
    """List all checks of both nodes: state, since when, where, what was found; then what to do about each problem."""
    found = Api().get("/checks")
    if as_json:
        show.print_json(found)
        return
    for row in found["checks"]:
        mark = row["state"].upper() + ("" if row["hard"] else "?") + (" (acknowledged)" if row["acknowledged"] else "")
        print(
            f"{row['id']:3} {row['title']:26} {row['node']:12} {mark:10} {(row['since'] or '')[:19]:19}  {row['output']}"
        )
    for row in found["checks"]:
        if row["state"] != "ok":
            print(f"\n{row['id']} on {row['node']}: {row['output']}\n  hint: {row['hint']}")
    if found["unreached"]:
        print(f"\nOf this node only: {found['unreached']}")


def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the check, or its id (N1); see: ishmael checks")],
    acknowledge: Annotated[str | None, typer.Option("--acknowledge", metavar="WHY", help="I know; say why.")] = None,
    history: Annotated[bool, typer.Option("--history", help="Its last changes.")] = False,
    node: Annotated[str | None, typer.Option("--node", metavar="NAME", help="On this node of the cluster.")] = None,
    elsewhere_is_ok: Annotated[
        bool, typer.Option("--elsewhere-is-ok", help="OK where its role does not look at it: for plugins.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look now, on this node or with --node on the other one. Ends as a monitoring plugin: 0 ok, 1 warning, 2 critical, 3 unknown."""
    try:
        if history:
            _history(name, node, as_json)
            return
        what, body = ("run", {}) if acknowledge is None else ("acknowledge", {"why": acknowledge})
        row = Api().post(f"/checks/{name}/{what}", body, node=node)
    except IshmaelError as error:
        if elsewhere_is_ok and error.code == "check-not-here":
            print(f"{name.upper()} OK - {error.message}")
            return
        print(f"{name.upper()} UNKNOWN - {error.message}")
        print(f"  hint: {error.hint}", file=sys.stderr)
        raise typer.Exit(3) from None
    if as_json:
        show.print_json(row)
    else:
        perf = " ".join(f"{key}={value}" for key, value in row["perfdata"].items())
        print(f"{row['name'].upper()} {row['now'].upper()} - {row['output']}" + (f" | {perf}" if perf else ""))
    raise typer.Exit(_CODES[row["now"]])


def _history(name: str, node: str | None, as_json: bool) -> None:
    found = Api().get(f"/checks/{name}/history", node=node)
    if as_json:
        show.print_json(found)
        return
    for line in found["history"]:
        print(f"{line['at']}  {line['state'].upper():8} {line['output']}")


def maintenance(
    minutes: Annotated[int | None, typer.Option("--minutes", min=1, max=1440, help="Open a window of so long.")] = None,
    why: Annotated[str, typer.Option("--why", help="What for.")] = "",
    end: Annotated[bool, typer.Option("--end", help="Close it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show, open or close a maintenance window: the checks of both nodes send no mail, events are noted."""
    if end:
        found = Api().delete("/maintenance")
    elif minutes is not None:
        found = Api().post("/maintenance", {"minutes": minutes, "why": why})
    else:
        found = Api().get("/maintenance")
    if as_json:
        show.print_json(found)
    else:
        print(
            f"A maintenance window is open until {found['until']}. {found['why']}"
            if found["active"]
            else "No window is open."
        )


@mail.command("test")
def mail_test(as_json: AsJson = False) -> None:
    """Send a test mail now, and say at what it fails."""
    found = Api().post("/mail/test", {})
    if as_json:
        show.print_json(found)
    else:
        print(f"{found['host']} took a mail to {found['to']} after {found['took_ms']} ms.")


@mail.command("show")
def mail_show(as_json: AsJson = False) -> None:
    """Show the smarthost, what waits to be sent, and how the last try ended."""
    found = {**Api().get("/mail"), "mail": Api().get("/monitoring")["mail"]}
    if as_json:
        show.print_json(found)
        return
    for key, value in found["mail"].items():
        print(f"{key:10} {value}")
    print(f"{found['waiting']} events wait; last sent: {found['sent_at'] or 'never'}. {found['error']}")


@mail.command("set")
def mail_set(
    host: Annotated[str | None, typer.Option("--host", help="Smarthost; empty for no mail.")] = None,
    port: Annotated[int | None, typer.Option("--port", help="TCP port.")] = None,
    security: Annotated[str | None, typer.Option("--security", help="starttls, tls or none.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="Login.")] = None,
    password_file: Annotated[Path | None, typer.Option("--password-file", help="A file with the password.")] = None,
    sender: Annotated[str | None, typer.Option("--from", help="Address mails come from.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="Address mails go to.")] = None,
    language: Annotated[str | None, typer.Option("--language", help="en or de.")] = None,
    ca_file: Annotated[str | None, typer.Option("--ca-file", help="Certificates to trust too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Set the smarthost; what is not named stays."""
    wish: dict[str, Any] = {
        "host": host, "port": port, "security": security, "user": user, "sender": sender, "to": to,
        "language": language, "ca_file": ca_file, "password": _secret(password_file),
    }  # fmt: skip
    _change("mail", wish, as_json)


@icinga.command("set")
def icinga_set(
    url: Annotated[
        str | None, typer.Option("--url", help="Of Icinga's API (https://...:5665); empty for none.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", help="API user.")] = None,
    password_file: Annotated[Path | None, typer.Option("--password-file", help="A file with the password.")] = None,
    ca_file: Annotated[str | None, typer.Option("--ca-file", help="Icinga's CA certificate.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say where results are pushed."""
    _change("icinga", {"url": url, "user": user, "password": _secret(password_file), "ca_file": ca_file}, as_json)


@icinga.command("config")
def icinga_config(
    part: Annotated[
        str, typer.Option("--part", metavar="all|active|commands", help="For agents on the nodes: active and commands.")
    ] = "all",
) -> None:
    """Print hosts and services of both nodes and the cluster, and commands; put them into /etc/icinga2/conf.d."""
    print(Api().text("/icinga/config", part=part), end="")


def notify_only(
    names: Annotated[list[str] | None, typer.Argument(metavar="[F1|F2|F3|F4]...", help="These, and no others.")] = None,
    none: Annotated[bool, typer.Option("--none", help="Every failover check moves the services again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show or set which failover checks only notify, and move nothing. It holds on both nodes."""
    if names and none:
        raise typer.BadParameter("either checks or --none")
    if names or none:
        Api().put("/monitoring", {"notify_only": sorted({name.upper() for name in names or ()})})
    found = Api().get("/monitoring")
    if as_json:
        show.print_json({"schema": found["schema"], "notify_only": found["notify_only"]})
    else:
        print(f"only notify: {', '.join(found['notify_only']) or 'none'}")


def _secret(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text().strip()
    except (OSError, UnicodeError) as error:
        raise RequestRefused(
            "no-password-file", f"{path} cannot be read: {error}.", "Name a file with the password."
        ) from error


def _change(table: str, wish: dict[str, Any], as_json: bool) -> None:
    found = Api().put("/monitoring", {table: {key: value for key, value in wish.items() if value is not None}})
    if as_json:
        show.print_json(found)
    else:
        print("\n".join(f"{key:10} {value}" for key, value in found[table].items()))


def add_to(app: typer.Typer) -> None:
    """Hang these commands into the application."""
    panel = "Look"
    app.command(epilog="Example:  ishmael checks --json", rich_help_panel=panel)(checks)
    app.command(
        epilog="Examples:\n\n  ishmael check ami\n\n  ishmael check N5 --node pbx2 --json", rich_help_panel=panel
    )(check)
    app.command(epilog="Example:  ishmael maintenance --minutes 30", rich_help_panel=panel)(maintenance)
    app.command(
        "notify-only", epilog="Examples:\n\n  ishmael notify-only F1 F4\n\n  ishmael notify-only --none",
        rich_help_panel=panel,
    )(notify_only)  # fmt: skip
    app.add_typer(mail, name="mail", rich_help_panel=panel)
    app.add_typer(icinga, name="icinga", rich_help_panel=panel)
