"""Finding the prepared node by itself, so that nothing needs to be typed: it proves that it has the join code's secret."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from typing import Any

from ishmael.manager.ports.hands import Hands
from ishmael.manager.ports.network import nic_from_mapping
from ishmael.manager.ports.node import Peer
from ishmael.manager.works.join_code import own_secret, proof
from ishmael.words.errors import Finding, IshmaelError
from ishmael.words.settings import NodeSettings, Settings

_NONCE_BYTES = 16
_HOSTS_MAX = 254
_TYPED = "Or name it: --name, --phone-ip, --internal-ip."


def scout(hands: Hands, settings: Settings, own: NodeSettings) -> tuple[dict[str, str], list[Finding]]:
    """Name and addresses of the one node on the internal network that was prepared with this cluster's join code.

    Returns:
        name, phone_ip, internal_ip; or nothing, and what is in the way.
    """
    secret = own_secret(hands)
    if secret is None:
        hint = f"Show a new one: ishmael setup-master --show-join-code; then prepare the slave with it. {_TYPED}"
        return {}, [Finding("name", "no-join-secret", "No join code is valid at the moment.", hint)]
    network = ipaddress.IPv4Interface(f"{own.internal_ip}/{settings.internal_prefix}").network
    if network.num_addresses - 2 > _HOSTS_MAX:
        message = f"The internal network {network} is too large to look for the slave in it."
        return {}, [Finding("internal_ip", "network-too-large", message, _TYPED)]
    others = [str(host) for host in network.hosts() if str(host) != own.internal_ip]
    found = []
    for address, host_key in hands.node.host_keys(others).items():
        told = _ask(hands, address, host_key, secret)
        if told is not None:
            found.append((address, told))
    if len(found) != 1:
        return {}, [_not_one(len(found), network)]
    address, told = found[0]
    return _described(told, address, own, settings)


def _not_one(number: int, network: ipaddress.IPv4Network) -> Finding:
    if number:
        message = f"{number} machines on {network} were prepared with this join code."
        return Finding("name", "several-slaves", message, _TYPED)
    hint = f"Prepare it there: ishmael prepare-slave --join CODE. Is the cable plugged in? {_TYPED}"
    return Finding(
        "name", "no-slave-found", f"No machine on {network} was prepared with this join code.", hint, whose="peer"
    )


def _ask(hands: Hands, address: str, host_key: str, secret: str) -> Mapping[str, Any] | None:
    """What the machine tells when it proves that it is the one; None when it does not."""
    nonce = hands.host.random(_NONCE_BYTES).hex()
    try:
        told = hands.node.ask(Peer((address,), host_key), "hello", {"nonce": nonce})
    except IshmaelError:
        return None
    wanted = proof(secret, nonce, host_key, str(told.get("host_name")))
    return told if hmac.compare_digest(wanted, str(told.get("proof"))) else None


def _described(
    told: Mapping[str, Any], internal_ip: str, own: NodeSettings, settings: Settings
) -> tuple[dict[str, str], list[Finding]]:
    phone = ipaddress.IPv4Interface(f"{own.phone_ip}/{settings.phone_prefix}").network
    name = str(told["host_name"])
    try:
        nics = [nic_from_mapping(raw) for raw in told["nics"]]
    except (KeyError, TypeError, ValueError) as error:
        return {}, [
            Finding("name", "peer-nonsense", f"{name} answered nonsense: {error!r}.", "Install the same version.")
        ]
    taken = {settings.cluster_ip, own.phone_ip}
    addresses = [
        str(interface.ip)
        for nic in nics
        for interface in nic.interfaces
        if interface.ip in phone and not nic.holds(internal_ip) and str(interface.ip) not in taken
    ]
    if len(addresses) != 1:
        message = (
            f"{name} has {len(addresses) or 'no'} addresses of its own on the telephone network {phone}; one is wanted."
        )
        return {}, [Finding("phone_ip", "no-one-phone-address", message, _TYPED)]
    return {"name": name, "phone_ip": addresses[0], "internal_ip": internal_ip}, []
