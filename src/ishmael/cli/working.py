"""The commands that change something: each asks the manager for one job and follows it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ishmael.cli import show
from ishmael.cli.client import Api
from ishmael.cli.follow import Wish, do
from ishmael.words import places
from ishmael.words.errors import RequestRefused

AsJson = Annotated[bool, typer.Option("--json", help="The finished job as one JSON document.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask back.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show the plan and the findings; change nothing.")]
Override = Annotated[
    list[str] | None, typer.Option("--override", metavar="CODE", help="Go on in spite of this finding; repeatable.")
]


def _do(
    work: str, arguments: dict[str, Any], *,
    yes: bool, dry_run: bool, override: list[str] | None, as_json: bool, pending: bool = False,
) -> None:  # fmt: skip
    code = do(Wish(work, arguments, yes, dry_run, tuple(override or ()), as_json, pending))
    if code:
        raise typer.Exit(code)


def setup_master(
    *,
    cluster_ip: Annotated[
        str | None, typer.Option(help="Address of the phone system: free, on the telephone network.")
    ] = None,
    phone_nic: Annotated[str | None, typer.Option(help="Network interface towards the telephones.")] = None,
    internal_nic: Annotated[str | None, typer.Option(help="Network interface of the cable to the other node.")] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(help="Host on the telephone network that is always on; repeatable. (default: the gateway)"),
    ] = None,
    email: Annotated[str | None, typer.Option(help="Where notifications go.")] = None,
    cluster_name: Annotated[str | None, typer.Option(help="Name of the cluster. (default: ishmael)")] = None,
    policy: Annotated[
        str | None, typer.Option(help="dial-tone-first or data-first. (default: dial-tone-first)")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Workload profile. (default: asterisk)")] = None,
    phone_ip: Annotated[str | None, typer.Option(help="Own telephone address, if the interface has several.")] = None,
    internal_ip: Annotated[str | None, typer.Option(help="Own internal address, if the interface has several.")] = None,
    show_key: Annotated[bool, typer.Option("--show-key", help="Only print the key to paste on the slave.")] = False,
    show_join_code: Annotated[
        bool, typer.Option("--show-join-code", help="Only print the join code: all a slave needs, in one paste.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    override: Override = None,
    as_json: AsJson = False,
) -> None:
    """Make this node the master of a new cluster; prints the SSH key and the join code for the slave."""
    if show_join_code:
        told = Api().post("/join-code", {})
        if as_json:
            show.print_json(told)
        else:
            print(told["join_code"])
        return
    if show_key:
        key = _cluster_key()
        if as_json:
            show.print_json({"schema": 1, "ssh_public_key": key})
        else:
            print(key)
        return
    wanted = {"--cluster-ip": cluster_ip, "--phone-nic": phone_nic, "--internal-nic": internal_nic}
    missing = [name for name, value in wanted.items() if value is None]
    if missing:
        raise typer.BadParameter(f"missing {', '.join(missing)}")
    arguments = {
        "cluster_ip": cluster_ip, "phone_nic": phone_nic, "internal_nic": internal_nic, "references": reference or None,
        "email": email, "cluster_name": cluster_name, "policy": policy, "profile": profile,
        "phone_ip": phone_ip, "internal_ip": internal_ip,
    }  # fmt: skip
    _do("setup-master", arguments, yes=yes, dry_run=dry_run, override=override, as_json=as_json)
    if not (dry_run or as_json):
        print("Paste this on the other machine (ishmael prepare-slave --join ...), then here: ishmael add-slave")
        print(Api().post("/join-code", {})["join_code"])


def _cluster_key() -> str:
    path = Path(places.CLUSTER_KEY_PUBLIC)
    try:
        return path.read_text().strip()
    except PermissionError as error:
        raise RequestRefused("not-root", "Only root may read the cluster's key.", "Try again with sudo.") from error
    except FileNotFoundError as error:
        raise RequestRefused(
            "not-set-up", "This node is not set up, so there is no key yet.", "Run: ishmael setup-master --help"
        ) from error


def prepare_slave(
    key: Annotated[
        str | None, typer.Option(help="The master's SSH public key, in quotes; - reads standard input.")
    ] = None,
    join: Annotated[
        str | None, typer.Option(help="The master's join code instead of its key; - reads standard input.")
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    override: Override = None,
    as_json: AsJson = False,
) -> None:
    """Let a master add this node as its slave: paste the key or the join code that setup-master printed."""
    if (key is None) == (join is None):
        raise typer.BadParameter("give either --key or --join")
    pasted = key if join is None else join
    if pasted == "-":
        pasted = typer.get_text_stream("stdin").read()
    _do(
        "prepare-slave",
        {"key" if join is None else "join": pasted},
        yes=yes,
        dry_run=dry_run,
        override=override,
        as_json=as_json,
    )


def add_slave(
    *,
    name: Annotated[str | None, typer.Option(help="The slave's host name.")] = None,
    phone_ip: Annotated[str | None, typer.Option(help="Its own address on the telephone network.")] = None,
    internal_ip: Annotated[str | None, typer.Option(help="Its address on the internal cable.")] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    override: Override = None,
    as_json: AsJson = False,
) -> None:
    """On the master: check a prepared node and add it as the slave; one prepared by join code is found by itself."""
    arguments = {"name": name, "phone_ip": phone_ip, "internal_ip": internal_ip}
    _do("add-slave", arguments, yes=yes, dry_run=dry_run, override=override, as_json=as_json)


def remove_slave(yes: Yes = False, dry_run: DryRun = False, override: Override = None, as_json: AsJson = False) -> None:
    """On the master: take the slave out of the cluster; the telephones do not notice."""
    _do("remove-slave", {}, yes=yes, dry_run=dry_run, override=override, as_json=as_json)


def re_add(
    *,
    name: Annotated[str | None, typer.Option(help="New host name, for a replaced machine.")] = None,
    phone_ip: Annotated[str | None, typer.Option(help="New telephone address, for a replaced machine.")] = None,
    internal_ip: Annotated[str | None, typer.Option(help="New internal address, for a replaced machine.")] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    override: Override = None,
    as_json: AsJson = False,
) -> None:
    """On the master: bring the node in standby back as the slave."""
    arguments = {"name": name, "phone_ip": phone_ip, "internal_ip": internal_ip}
    _do("re-add", arguments, yes=yes, dry_run=dry_run, override=override, as_json=as_json)


def failover(yes: Yes = False, dry_run: DryRun = False, override: Override = None, as_json: AsJson = False) -> None:
    """Hand the phone system over to the slave; this master then waits in standby to be re-added."""
    _do("failover", {}, yes=yes, dry_run=dry_run, override=override, as_json=as_json)


def reset(
    *,
    take_cluster_ip: Annotated[
        bool, typer.Option("--take-cluster-ip", help="Hold the cluster IP as an own address, if nobody else does.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    override: Override = None,
    as_json: AsJson = False,
) -> None:
    """Make this node a stand-alone machine again: all cluster settings go, its data stays."""
    _do(
        "reset",
        {"take_cluster_ip": take_cluster_ip or None},
        yes=yes,
        dry_run=dry_run,
        override=override,
        as_json=as_json,
    )


def add_to(app: typer.Typer) -> None:
    """Hang these commands into the application."""

    def hang(function: Any, *examples: str) -> None:
        epilog = (
            "Example:  " + "\n\n".join(examples)
            if len(examples) == 1
            else "Examples:\n\n" + "\n\n".join(f"  {e}" for e in examples)
        )
        app.command(epilog=epilog, rich_help_panel="Change")(function)

    hang(
        setup_master,
        "ishmael setup-master --cluster-ip 192.168.1.10 --phone-nic eth0 --internal-nic eth1 --reference 192.168.1.1",
        "ishmael setup-master --show-key",
    )
    hang(
        prepare_slave,
        "ishmael prepare-slave --join ishmael-join-1-...",
        "ishmael prepare-slave --key 'ssh-ed25519 AAAA... ishmael-cluster'",
    )
    hang(
        add_slave, "ishmael add-slave", "ishmael add-slave --name pbx2 --phone-ip 192.168.1.12 --internal-ip 10.255.0.2"
    )
    hang(remove_slave, "ishmael remove-slave --dry-run")
    hang(re_add, "ishmael re-add --yes --json")
    hang(failover, "ishmael failover --dry-run", "ishmael failover --yes")
    hang(reset, "ishmael reset --dry-run", "ishmael reset --take-cluster-ip --yes")
