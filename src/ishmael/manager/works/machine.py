"""What is done to one machine to make it a node, and taken back: used by the works and by the door."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ishmael.manager.appliance import kept
from ishmael.manager.ports.hands import Hands
from ishmael.manager.ports.node import Peer
from ishmael.manager.works.corosync_conf import MARK
from ishmael.manager.works.ssh_keys import PublicKey, authorized_line, is_ours, pinned, with_our_line
from ishmael.words import places
from ishmael.words.errors import HostFault, IshmaelError, RequestRefused
from ishmael.words.profile import profile_from_toml
from ishmael.words.settings import Settings, settings_from_toml

KEEPER_UNIT = "ishmael-keeper.service"
COROSYNC_UNIT = "corosync.service"
SSH_UNIT = "ssh.service"
OWN_HOST_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
SWITCHES = {
    "net.ipv4.ip_nonlocal_bind": "1",
    "net.ipv4.conf.all.arp_ignore": "1",
    "net.ipv4.conf.all.arp_announce": "2",
}
_SWITCHES_TEXT = """\
# Written by Ishmael. The workload of a slave binds the cluster IP before this node holds it; and each NIC
# answers and asks for its own addresses only, so that the two networks cannot be taken for one another.
"""
_PROFILE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


def active_profile(hands: Hands) -> str:
    """The text of the workload profile in use.

    Raises:
        HostFault: it is missing.
    """
    raw = hands.files.read(places.PROFILE)
    if raw is None:
        raise HostFault("profile-missing", f"{places.PROFILE} is missing.", f"Copy it from {places.SHIPPED_PROFILES}.")
    return raw.decode(errors="replace")


def read_settings(hands: Hands) -> Settings | None:
    """The settings on disk, or None when this node is not set up.

    Raises:
        RequestRefused: they are there but not valid.
    """
    raw = hands.files.read(places.SETTINGS)
    if raw is None:
        return None
    try:
        return settings_from_toml(raw.decode())
    except UnicodeError as error:
        raise RequestRefused(
            "settings-unreadable",
            f"{places.SETTINGS} cannot be read: {error}.",
            "Put it back as it was; it is written by Ishmael alone.",
        ) from error


def peer_of(hands: Hands) -> Peer | None:
    """The other node's door, as its host key was pinned; None outside a cluster of two."""
    settings = read_settings(hands)
    own = settings.named(hands.host.name()) if settings is not None else None
    other = settings.peer_of(own.id) if settings is not None and own is not None else None
    if other is None:
        return None
    key = pinned((hands.files.read(places.KNOWN_HOSTS) or b"").decode(errors="replace")).get(other.id)
    return None if key is None else Peer((other.internal_ip, other.phone_ip), key)


def shipped_profile(hands: Hands, name: str) -> str | None:
    """The text of the workload profile with this name and the units of the services, or None."""
    if not _PROFILE_NAME.fullmatch(name):
        return None
    raw = hands.files.read(f"{places.SHIPPED_PROFILES}/{name}.toml")
    return None if raw is None else kept.with_services(hands, raw.decode(errors="replace"))


def profile_units(text: str) -> list[str]:
    """The units of a workload profile, in their order.

    Raises:
        HostFault: the text is no profile.
    """
    try:
        return [unit.name for unit in profile_from_toml(text).units]
    except RequestRefused as error:
        raise HostFault(error.code, error.message, "Install Ishmael again.") from error


def same(hands: Hands, path: str, data: bytes) -> bool:
    """The file has exactly this content."""
    return hands.files.read(path) == data


# The cluster's key and the door behind it


def own_host_key(hands: Hands) -> str | None:
    """This machine's SSH host key (``ssh-ed25519 AAAA...``), or None when it has none."""
    raw = hands.files.read(OWN_HOST_KEY)
    words = raw.decode(errors="replace").split() if raw else []
    return " ".join(words[:2]) if len(words) >= 2 else None


def cluster_public_key(hands: Hands) -> str:
    """The cluster's public key (``ssh-ed25519 AAAA... ishmael-cluster``).

    Raises:
        HostFault: it is missing.
    """
    raw = hands.files.read(places.CLUSTER_KEY_PUBLIC)
    if raw is None:
        raise HostFault(
            "cluster-key-missing", "The cluster's SSH key is missing.", "Reset this node and set it up again."
        )
    return raw.decode().strip()


def _authorized(hands: Hands) -> str:
    return (hands.files.read(places.AUTHORIZED_KEYS) or b"").decode(errors="replace")


def door_is_open(hands: Hands, key: PublicKey) -> bool:
    """Exactly this key opens the door, and the SSH server runs, also after a boot."""
    ours = [line for line in _authorized(hands).splitlines() if is_ours(line)]
    return (
        ours == [authorized_line(key, hands.host.door_command())]
        and hands.services.active(SSH_UNIT)
        and hands.services.enabled(SSH_UNIT)
    )


def open_door(hands: Hands, key: PublicKey) -> None:
    """Let this key, and no other, run the door; an earlier line of ours goes, lines of others stay."""
    write_authorized(hands, authorized_line(key, hands.host.door_command()))
    if not hands.services.enabled(SSH_UNIT):
        hands.services.enable(SSH_UNIT)
    if not hands.services.active(SSH_UNIT):
        hands.services.start(SSH_UNIT)


def our_authorized_line(hands: Hands) -> str | None:
    """The line of ours, if there is one."""
    return next((line for line in _authorized(hands).splitlines() if is_ours(line)), None)


def write_authorized(hands: Hands, line: str | None) -> None:
    """Put our line in place, or (None) take it away."""
    text = with_our_line(_authorized(hands), line)
    if text or hands.files.read(places.AUTHORIZED_KEYS) is not None:
        hands.files.write(places.AUTHORIZED_KEYS, text.encode(), 0o600)


# The kernel's switches


def _switches_file() -> bytes:
    return (_SWITCHES_TEXT + "".join(f"{name} = {value}\n" for name, value in SWITCHES.items())).encode()


def switches_are_set(hands: Hands) -> bool:
    """Now and at the next boot."""
    return same(hands, places.SYSCTL, _switches_file()) and all(
        hands.network.sysctl(name) == value for name, value in SWITCHES.items()
    )


def set_switches(hands: Hands) -> None:
    """Now and for every boot."""
    hands.files.write(places.SYSCTL, _switches_file(), 0o644)
    for name, value in SWITCHES.items():
        if hands.network.sysctl(name) != value:
            hands.network.set_sysctl(name, value)


def forget_switches(hands: Hands) -> None:
    """For the next boot; running programs may rest on them until then."""
    hands.files.remove(places.SYSCTL)


# What this machine was before it became a node


def is_remembered(hands: Hands) -> bool:
    """It is on disk."""
    return hands.files.read(places.BEFORE) is not None


def remember(hands: Hands, profile: str) -> None:
    """Put on disk which units start at boot and what Corosync was, to be put back by a reset or a failed set-up."""
    if is_remembered(hands):
        return
    conf, key = hands.files.read(places.COROSYNC_CONF), hands.files.read(places.COROSYNC_KEY)
    kept = {
        "schema": 1,
        "enabled": [unit for unit in _present(hands, profile) if hands.services.enabled(unit)],
        "corosync_conf": base64.b64encode(conf).decode() if conf is not None else None,
        "corosync_key": base64.b64encode(key).decode() if key is not None else None,
        "corosync_enabled": hands.services.enabled(COROSYNC_UNIT),
        "corosync_active": hands.services.active(COROSYNC_UNIT),
    }
    hands.files.write(places.BEFORE, json.dumps(kept).encode(), 0o600)


def _before(hands: Hands) -> dict[str, Any]:
    raw = hands.files.read(places.BEFORE)
    return dict(json.loads(raw)) if raw else {}


def forget_before(hands: Hands) -> None:
    """Everything was put back."""
    hands.files.remove(places.BEFORE)


# The workload: started by the keeper, not at boot


def missing_units(hands: Hands, units: Iterable[str]) -> list[str]:
    """Those that this machine does not have."""
    return [unit for unit in units if not hands.services.exists(unit)]


def workload_is_handed_over(hands: Hands, profile: str) -> bool:
    """No unit of the workload starts at boot."""
    return same(hands, places.PROFILE, profile.encode()) and not any(
        hands.services.enabled(unit) for unit in _present(hands, profile)
    )


def hand_workload_over(hands: Hands, profile: str) -> None:
    """From now on the keeper starts the workload's units."""
    for unit in _present(hands, profile):
        if hands.services.enabled(unit):
            hands.services.disable(unit)
    hands.files.write(places.PROFILE, profile.encode(), 0o644)


def workload_is_back(hands: Hands) -> bool:
    """The machine starts its workload by itself again."""
    units = _before(hands).get("enabled", [])
    return hands.files.read(places.PROFILE) is None and all(
        hands.services.enabled(unit) and hands.services.active(unit) for unit in units if hands.services.exists(unit)
    )


def take_workload_back(hands: Hands) -> None:
    """Units that started at boot before do so again, and run."""
    for unit in _before(hands).get("enabled", []):
        if not hands.services.exists(unit):
            continue
        if not hands.services.enabled(unit):
            hands.services.enable(unit)
        if not hands.services.active(unit):
            hands.services.start(unit)
    hands.files.remove(places.PROFILE)


def _present(hands: Hands, profile: str) -> list[str]:
    return [unit for unit in profile_units(profile) if hands.services.exists(unit)]


# Corosync


@dataclass(frozen=True, slots=True)
class CorosyncFiles:
    """What Corosync needs on disk."""

    conf: str
    key: bytes

    def on_disk(self, hands: Hands) -> bool:
        """Both files are there with this content."""
        return same(hands, places.COROSYNC_CONF, self.conf.encode()) and same(hands, places.COROSYNC_KEY, self.key)

    def write(self, hands: Hands) -> None:
        """Put them in place; a Corosync that runs on others is stopped first, for it would keep the old key."""
        if self.on_disk(hands):
            return
        if hands.services.active(COROSYNC_UNIT):
            hands.services.stop(COROSYNC_UNIT)
        hands.files.write(places.COROSYNC_KEY, self.key, 0o400)
        hands.files.write(places.COROSYNC_CONF, self.conf.encode(), 0o644)


def run_corosync(hands: Hands) -> None:
    """Now and at every boot."""
    if not hands.services.enabled(COROSYNC_UNIT):
        hands.services.enable(COROSYNC_UNIT)
    if not hands.services.active(COROSYNC_UNIT):
        hands.services.start(COROSYNC_UNIT)


def corosync_rests(hands: Hands) -> bool:
    """It neither runs nor starts at boot."""
    return not hands.services.active(COROSYNC_UNIT) and not hands.services.enabled(COROSYNC_UNIT)


def begin_corosync_rest(hands: Hands) -> None:
    """It takes most of a second to stop; whoever has other things to do lets it begin."""
    if hands.services.active(COROSYNC_UNIT):
        hands.services.begin_stop(COROSYNC_UNIT)


def rest_corosync(hands: Hands) -> None:
    """Neither now nor at boot: a node without a partner needs none."""
    begin_corosync_rest(hands)
    if hands.services.enabled(COROSYNC_UNIT):
        hands.services.disable(COROSYNC_UNIT)
    if hands.services.active(COROSYNC_UNIT):
        hands.services.stop(COROSYNC_UNIT)


def _corosync_is_ours(hands: Hands) -> bool:
    return MARK in (hands.files.read(places.COROSYNC_CONF) or b"").decode(errors="replace")


def _corosync_before(hands: Hands) -> dict[str, tuple[bytes | None, int]]:
    kept = _before(hands)
    conf, key = kept.get("corosync_conf"), kept.get("corosync_key")
    return {
        places.COROSYNC_CONF: (base64.b64decode(conf) if conf else None, 0o644),
        places.COROSYNC_KEY: (base64.b64decode(key) if key else None, 0o400),
    }


def corosync_is_back(hands: Hands) -> bool:
    """Corosync is what it was before; when that is not known, it is at least none of ours."""
    if not is_remembered(hands):
        return not _corosync_is_ours(hands)
    kept = _before(hands)
    return (
        all(hands.files.read(path) == data for path, (data, _) in _corosync_before(hands).items())
        and hands.services.enabled(COROSYNC_UNIT) == kept.get("corosync_enabled", False)
        and hands.services.active(COROSYNC_UNIT) == kept.get("corosync_active", False)
    )


def give_corosync_back(hands: Hands) -> None:
    """Make Corosync what it was before."""
    kept = _before(hands)
    rest_corosync(hands)
    for path, (data, mode) in _corosync_before(hands).items():
        if data is None:
            hands.files.remove(path)
        else:
            hands.files.write(path, data, mode)
    if kept.get("corosync_enabled"):
        hands.services.enable(COROSYNC_UNIT)
    if kept.get("corosync_active"):
        hands.services.start(COROSYNC_UNIT)


# The keeper


def run_keeper(hands: Hands) -> None:
    """It runs, now and at every boot, and has read the settings."""
    if not hands.services.enabled(KEEPER_UNIT):
        hands.services.enable(KEEPER_UNIT)
    if not hands.services.active(KEEPER_UNIT):
        hands.services.start(KEEPER_UNIT)
    hands.keeper.reload()


def keeper_role(hands: Hands) -> str | None:
    """The role this node has now, or None when its keeper does not answer."""
    try:
        return str(hands.keeper.status()["role"])
    except (IshmaelError, KeyError):
        return None


def remove_settings(hands: Hands) -> None:
    """The settings go, and the keeper knows."""
    hands.files.remove(places.SETTINGS)
    hands.keeper.reload()
