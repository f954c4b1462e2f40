"""``ishmael network``: the network interfaces and the host name of this node."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ishmael.cli import show
from ishmael.cli.client import Api
from ishmael.cli.working import AsJson, DryRun, Override, Yes, _do

PhoneNic = Annotated[str, typer.Option("--phone-nic", help="Interface towards phones and gateways.")]
PhoneAddress = Annotated[str, typer.Option("--phone-address", help="Its address, such as 192.168.1.11/24.")]
InternalNic = Annotated[str, typer.Option("--internal-nic", help="Interface of the cable to the other node.")]
InternalAddress = Annotated[str, typer.Option("--internal-address", help="Its address, such as 10.255.0.1/30.")]
Gateway = Annotated[str, typer.Option("--gateway", help="Gateway of the telephone network.")]
Dns = Annotated[list[str] | None, typer.Option("--dns", help="A name server; may be given several times.")]
HostName = Annotated[str, typer.Option("--host-name", help="Another host name for this node.")]
app = typer.Typer(
    help="Network interfaces and host name of this node; locked while it belongs to a cluster.", no_args_is_help=True
)


@app.command("show")
def show_network(as_json: AsJson = False) -> None:
    """Every interface with link, speed, hardware address and addresses."""
    found = Api().get("/network")
    if as_json:
        show.print_json(found)
        return
    print(f"host name {found['host_name']}{', locked by the cluster' if found['locked'] else ''}")
    for nic in found["nics"]:
        link = f"link{_speed(nic)}" if nic["carrier"] else "no link"
        print(
            f"{nic['name']:12}{nic['mac']}  {link:20}{', '.join(nic['addresses']) or 'no address'}  ({nic['managed_by']})"
        )
    if found["gateway"]:
        print(
            f"gateway {found['gateway']} on {found['gateway_nic']}; name servers: {', '.join(found['dns']) or 'none'}"
        )
    if found["waiting"]:
        print(
            f"New settings wait {found['waiting']['left_s']} s for `ishmael network confirm`; then the old ones come back."
        )


@app.command("set")
def set_network(
    phone_nic: PhoneNic, phone_address: PhoneAddress, internal_nic: InternalNic, internal_address: InternalAddress, *,
    gateway: Gateway = "", dns: Dns = None, host_name: HostName = "",
    yes: Yes = False, dry_run: DryRun = False, override: Override = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Set both interfaces; taken back after 60 seconds unless you say `ishmael network confirm` meanwhile."""
    arguments = {
        "phone_nic": phone_nic, "phone_address": phone_address, "internal_nic": internal_nic,
        "internal_address": internal_address, "gateway": gateway, "dns": dns or [], "host_name": host_name,
    }  # fmt: skip
    _do("apply-network", arguments, yes=yes, dry_run=dry_run, override=override, as_json=as_json)


@app.command("confirm")
def confirm(
    as_json: AsJson = False,
    take_back: Annotated[bool, typer.Option("--take-back", help="Take the new settings back at once instead.")] = False,
) -> None:
    """Keep the new settings."""
    said: dict[str, Any] = Api().post("/network/confirm", {"keep": not take_back})
    if as_json:
        show.print_json(said)
    else:
        print("The new settings are taken back." if take_back else "The new settings stay.")


def _speed(nic: dict[str, Any]) -> str:
    return f", {nic['speed_mbit']} Mbit/s" if nic["speed_mbit"] else ""


def add_to(parent: typer.Typer) -> None:
    """Join the command line."""
    parent.add_typer(app, name="network")
