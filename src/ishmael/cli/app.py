"""All commands of ``ishmael``, joined."""

from __future__ import annotations

from importlib.metadata import entry_points

import typer

from ishmael.cli import checking, drift, looking, network, salvage, services, users, working
from ishmael.cli.main import PLUG_INS


def _epilog() -> str:
    others = sorted({point.name for point in entry_points(group=PLUG_INS)})
    more = f"Plugged in: {', '.join('ishmael ' + name for name in others)}.\n\n" if others else ""
    return (
        more + "Exit codes: 0 done, 2 usage, 3 refused (nothing changed), 4 the other node, 5 this machine, 70 a bug."
    )


app = typer.Typer(
    name="ishmael",
    help="Two Debian nodes, one phone system: set up the cluster, see how it is, hand it over.",
    epilog=_epilog(),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
looking.add_to(app)
checking.add_to(app)
working.add_to(app)
salvage.add_to(app)
app.add_typer(users.user)
services.add_to(app)
network.add_to(app)
drift.add_to(app)
