"""What the door does: a few asks, typed, and nothing else. See docs/reference/door.md for their shapes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any

from ishmael.manager.door import checks, database, files, room, update, web
from ishmael.manager.ports.hands import Hands
from ishmael.manager.works import machine
from ishmael.manager.works.corosync_conf import KEY_BYTES
from ishmael.manager.works.join_code import own_secret, proof
from ishmael.manager.works.reset import leave
from ishmael.manager.works.ssh_keys import PublicKey, read_public_key
from ishmael.words import places
from ishmael.words.errors import Finding, HostFault, IshmaelError, RequestRefused
from ishmael.words.profile import profile_from_toml
from ishmael.words.roles import Role
from ishmael.words.settings import settings_from_toml

DOOR_SCHEMA = 1
_SERVING = (Role.MASTER, Role.TAKING, Role.HANDING)
_TEXT_MAX = 65536
_NONCE_MAX = 64
Ask = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Load:
    """What ``install`` brings, all text; the Corosync key in base64."""

    settings: str
    corosync_conf: str
    corosync_key: str
    private_key: str
    public_key: str
    known_hosts: str
    profile: str

    def files(self) -> dict[str, tuple[bytes, int]]:
        """Where each part goes, and with which mode; the settings last, for they make it a node."""
        return {
            places.CLUSTER_KEY: (self.private_key.encode(), 0o600),
            places.CLUSTER_KEY_PUBLIC: (self.public_key.strip().encode() + b"\n", 0o644),
            places.KNOWN_HOSTS: (self.known_hosts.encode(), 0o600),
            places.PROFILE: (self.profile.encode(), 0o644),
            places.SETTINGS: (self.settings.encode(), 0o644),
        }

    def key(self) -> bytes:
        """Corosync's key."""
        return base64.b64decode(self.corosync_key, validate=True)


def read_load(raw: Mapping[str, Any], host_name: str) -> Load:
    """Read and judge what ``install`` brings.

    Raises:
        RequestRefused: a part is missing, of the wrong kind, or not for this node.
    """
    names = [field.name for field in fields(Load)]
    if sorted(raw) != sorted(names) or not all(isinstance(v, str) and len(v) <= _TEXT_MAX for v in raw.values()):
        raise RequestRefused("bad-load", f"install wants exactly these texts: {', '.join(names)}.")
    load = Load(**raw)
    try:
        whole = len(load.key()) == KEY_BYTES
    except (binascii.Error, ValueError):
        whole = False
    if not whole:
        raise RequestRefused("corosync-key-wrong", f"The Corosync key is not {KEY_BYTES} bytes in base64.")
    if not isinstance(read_public_key(load.public_key), PublicKey) or "OPENSSH PRIVATE KEY" not in load.private_key:
        raise RequestRefused("cluster-key-damaged", "The cluster's SSH key pair is none.")
    profile_from_toml(load.profile)
    if settings_from_toml(load.settings).named(host_name) is None:
        raise RequestRefused(
            "not-for-this-node", f"The settings know no node called {host_name}.", "Check the host names."
        )
    return load


class Door:
    """Answers asks of the other node.

    Args:
        hands: ports to look and act with.
        lock: the cluster lock of this node; no ask that changes something runs beside a job.
    """

    def __init__(self, hands: Hands, lock: Callable[[], AbstractContextManager[None]]) -> None:
        self._hands, self._lock = hands, lock
        self._asks: dict[str, Ask] = {
            "hello": self._hello,
            "status": self._status,
            "install": self._locked(self._install),
            "start": self._locked(self._start),
            "withdraw": self._locked(self._withdraw),
            "database-status": partial(database.status, hands),
            "database-prepare": self._locked(partial(database.prepare, hands)),
            "database-join": self._locked(partial(database.join, hands)),
            "checks": partial(checks.checks, hands),
            "check": partial(checks.check, hands),
            "salvage": partial(files.salvage, hands),
            "files-settle": partial(files.settle, hands),
            "files-candidates": partial(files.candidates, hands),
            "files-keep": self._locked(partial(files.keep, hands)),
            "web": partial(web.take, hands),
            "room": partial(room.room, hands),
            "versions": partial(update.versions, hands),
            "update-put": partial(update.put, hands),
            "update-install": self._locked(partial(update.install, hands)),
            "update-status": partial(update.status, hands),
            "firmware": self._locked(partial(update.firmware, hands)),
        }

    def answer(self, raw: Any) -> dict[str, Any]:
        """The answer to one ask, or the error in its place; never raises."""
        try:
            ask, arguments = self._read(raw)
            return {"ok": True, "schema": DOOR_SCHEMA, **ask(arguments)}
        except IshmaelError as error:
            return _error(error.whose, error.code, error.message, error.hint)
        except Exception as error:
            return _error(
                "ishmael", "bug", f"This is a bug in Ishmael: {type(error).__name__}: {error}", "Please report it."
            )

    def _read(self, raw: Any) -> tuple[Ask, Mapping[str, Any]]:
        if not isinstance(raw, dict) or not isinstance(raw.get("op"), str):
            raise RequestRefused("not-an-ask", "The line is no JSON object with an op.")
        ask = self._asks.get(raw["op"])
        if ask is None:
            raise RequestRefused(
                "unknown-op", f"There is no op {raw['op'][:64]!r}.", f"One of: {', '.join(self._asks)}."
            )
        arguments = raw.get("arguments", {})
        if not isinstance(arguments, dict):
            raise RequestRefused("not-an-ask", "The arguments are no JSON object.")
        return ask, arguments

    def _locked(self, ask: Ask) -> Ask:
        def asked(arguments: Mapping[str, Any]) -> dict[str, Any]:
            with self._lock():
                return ask(arguments)

        return asked

    def _hello(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        hands, units = self._hands, arguments.get("units", [])
        if not isinstance(units, list) or not all(isinstance(unit, str) and not unit.startswith("-") for unit in units):
            raise RequestRefused("bad-units", "units is no list of unit names.")
        settings = machine.read_settings(hands)
        cluster = None
        if settings is not None:
            cluster = {
                "name": settings.cluster_name, "revision": settings.revision,
                "nodes": [node.name for node in settings.nodes], "public_key": self._public_key(),
            }  # fmt: skip
        return {
            "host_name": hands.host.name(),
            "version": hands.host.version(),
            "architecture": hands.host.architecture(),
            "wall_s": hands.host.wall_s(),
            "disk_free_bytes": hands.files.free_bytes("/var/lib"),
            "nics": [
                {"name": n.name, "mac": n.mac, "up": n.up, "carrier": n.carrier, "addresses": list(n.addresses)}
                for n in hands.network.nics()
            ],
            "routes": [asdict(route) for route in hands.network.routes()],
            "corosync": hands.corosync.installed(),
            "missing_units": machine.missing_units(hands, units),
            "role": machine.keeper_role(hands),
            "cluster": cluster,
            "proof": self._proof(arguments.get("nonce")),
        }

    def _proof(self, nonce: Any) -> str:
        """That this machine was prepared with the join code; empty when it was not, or nobody asks."""
        secret, host_key = own_secret(self._hands), machine.own_host_key(self._hands)
        if secret is None or host_key is None or not isinstance(nonce, str) or not 0 < len(nonce) <= _NONCE_MAX:
            return ""
        return proof(secret, nonce, host_key, self._hands.host.name())

    def _public_key(self) -> str:
        try:
            return machine.cluster_public_key(self._hands)
        except HostFault:
            return ""

    def _status(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """How this node is; with a load, whether exactly that is installed."""
        answer: dict[str, Any] = {
            "role": machine.keeper_role(self._hands),
            "members": sorted(self._hands.corosync.members()),
        }
        if "load" in arguments:
            answer["installed"] = self._is_installed(read_load(arguments["load"], self._hands.host.name()))
        return answer

    def _is_installed(self, load: Load) -> bool:
        hands = self._hands
        key = read_public_key(load.public_key)
        return (
            all(machine.same(hands, path, data) for path, (data, _) in load.files().items())
            and machine.CorosyncFiles(load.corosync_conf, load.key()).on_disk(hands)
            and machine.is_remembered(hands)
            and machine.switches_are_set(hands)
            and machine.workload_is_handed_over(hands, load.profile)
            and isinstance(key, PublicKey)
            and machine.door_is_open(hands, key)
        )

    def _install(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        hands = self._hands
        load = read_load(arguments, hands.host.name())
        if machine.keeper_role(hands) in _SERVING:
            raise RequestRefused(
                "peer-is-master",
                f"{hands.host.name()} is serving as master itself.",
                "Reset it there first: ishmael reset",
            )
        key = read_public_key(load.public_key)
        if isinstance(key, Finding):
            raise RequestRefused(key.code, key.message, key.hint)
        machine.remember(hands, load.profile)
        machine.open_door(hands, key)
        machine.set_switches(hands)
        machine.hand_workload_over(hands, load.profile)
        machine.CorosyncFiles(load.corosync_conf, load.key()).write(hands)
        written = 0
        for path, (data, mode) in load.files().items():
            if not machine.same(hands, path, data) or hands.files.mode(path) != mode:
                hands.files.write(path, data, mode)
                written += len(data)
        return {"bytes_written": written}

    def _start(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        what = arguments.get("what")
        if what not in ("corosync", "keeper"):
            raise RequestRefused("unknown-service", "start wants what: corosync or keeper.")
        if self._hands.files.read(places.SETTINGS) is None:
            raise RequestRefused("not-set-up", f"{self._hands.host.name()} is not part of a cluster.", "Install first.")
        machine.run_corosync(self._hands)
        if what == "keeper":
            machine.run_keeper(self._hands)
            if machine.keeper_role(self._hands) == Role.OUT:
                # Its record is damaged. The master's is the one that counts: this node begins anew with a copy of it.
                self._hands.keeper.forget()
                self._hands.keeper.reload()
        return {"role": machine.keeper_role(self._hands)}

    def _withdraw(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Leave the cluster; the door stays open, so that the master may add this node again."""
        if arguments:
            raise RequestRefused("bad-arguments", "withdraw takes no arguments.")
        if machine.keeper_role(self._hands) in _SERVING:
            raise RequestRefused(
                "peer-is-master", f"{self._hands.host.name()} is serving as master.", "See `ishmael status` there."
            )
        done = [step.name for step in leave(self._hands, keep_door=True) if _take(step.is_done, step.act)]
        return {"done": done}


def _take(is_done: Callable[[], bool], act: Callable[[], None]) -> bool:
    if is_done():
        return False
    act()
    return True


def _error(whose: str, code: str, message: str, hint: str) -> dict[str, Any]:
    return {
        "ok": False,
        "schema": DOOR_SCHEMA,
        "error": {"whose": whose, "code": code, "message": message, "hint": hint},
    }
