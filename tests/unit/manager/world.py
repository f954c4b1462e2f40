"""Two machines in memory: fakes of every port, joined so that what one node does the other one sees."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from ishmael.manager.door.answers import Door
from ishmael.manager.ports.database import Pairing
from ishmael.manager.ports.files import Room
from ishmael.manager.ports.hands import Hands
from ishmael.manager.ports.network import Nic, Route
from ishmael.manager.ports.node import KeyPair, Peer
from ishmael.words import errors, places
from ishmael.words.database import Database
from ishmael.words.errors import HostFault, PeerFault
from ishmael.words.settings import Settings, settings_from_toml
from manager.memory import MemoryCopies, MemoryFollowing, MemoryOwnChecks, MemoryPrograms, MemorySurroundings
from manager.memory_keeper import MemoryKeeper
from manager.packages import MemoryPackages

CLUSTER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDQ4NDg0ODQ4NDg0ODQ4NDg0ODQ4NDg0ODQ4NDg0ODQ4"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1"
HOST_KEYS = {
    "node1": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTEx",
    "node2": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIy",
}
PROFILE = 'schema = 1\nname = "asterisk"\n[[units]]\nname = "asterisk.service"\nwarm = true\n'
GATEWAY = "10.77.0.1"


class MemoryFiles:
    """Files in a dictionary."""

    def __init__(self) -> None:
        self.content: dict[str, tuple[bytes, int]] = {}
        self.full = False
        self.rooms: dict[str, Room] = {}

    def read(self, path: str) -> bytes | None:
        found = self.content.get(path)
        return found[0] if found else None

    def write(self, path: str, data: bytes, mode: int) -> None:
        if self.full:
            raise HostFault("disk-full", f"{path} cannot be written: the disk is full.", "See: df -h")
        self.content[path] = (data, mode)

    def remove(self, path: str) -> None:
        self.content.pop(path, None)

    def age(self, path: str, by_s: float) -> None:
        return

    def sync(self, directory: str) -> None:
        return

    def names(self, directory: str) -> list[str]:
        below = [path.removeprefix(f"{directory}/") for path in self.content if path.startswith(f"{directory}/")]
        return sorted(name for name in below if "/" not in name)

    def mode(self, path: str) -> int | None:
        found = self.content.get(path)
        return found[1] if found else None

    def free_bytes(self, path: str) -> int:
        return 5_000_000_000

    def room(self, path: str) -> Room:
        return self.rooms.get(path, Room(1, 5_000_000_000, 0))


class MemoryServices:
    """Units with two flags each."""

    def __init__(self) -> None:
        self.units: dict[str, dict[str, bool]] = {}
        self.restarts: dict[str, int] = {}

    def add(self, unit: str, *, enabled: bool, active: bool) -> None:
        self.units[unit] = {"enabled": enabled, "active": active}

    def exists(self, unit: str) -> bool:
        return unit in self.units

    def enabled(self, unit: str) -> bool:
        return self.units.get(unit, {}).get("enabled", False)

    def active(self, unit: str) -> bool:
        return self.units.get(unit, {}).get("active", False)

    def standings(self, units: Sequence[str]) -> dict[str, tuple[str, int]]:
        return {
            unit: ("active" if self.units[unit]["active"] else "failed", self.restarts.get(unit, 0))
            for unit in units
            if unit in self.units
        }

    def _set(self, unit: str, flag: str, value: bool) -> None:
        if unit not in self.units:
            raise HostFault("service-failed", f"There is no {unit}.", "")
        self.units[unit][flag] = value

    def enable(self, unit: str) -> None:
        self._set(unit, "enabled", True)

    def disable(self, unit: str) -> None:
        self._set(unit, "enabled", False)

    def start(self, unit: str) -> None:
        self._set(unit, "active", True)

    def stop(self, unit: str) -> None:
        self._set(unit, "active", False)

    begin_stop = stop
    restart = start


class MemoryNetwork:
    """NICs, routes, and whoever answers ARP."""

    def __init__(self, number: int) -> None:
        self.found = [
            Nic("phone0", f"02:00:00:00:0{number}:01", True, True, (f"10.77.0.1{number}/24",)),
            Nic("cable0", f"02:00:00:00:0{number}:02", True, True, (f"10.78.0.{number}/30",)),
        ]
        self.table = [Route("0.0.0.0/0", GATEWAY, "phone0"), Route("10.77.0.0/24", None, "phone0")]
        self.answering = {GATEWAY: "02:aa:00:00:00:01"}
        self.switches: dict[str, str] = {}
        self.managed_by, self.reconfigured = "networkd", 0
        self.on_reconfigure: Callable[[], None] = lambda: None

    def nics(self) -> tuple[Nic, ...]:
        return tuple(self.found)

    def routes(self) -> tuple[Route, ...]:
        return tuple(self.table)

    def arp(self, nic: str, address: str, *, sender: str | None = None) -> str | None:
        return self.answering.get(address)

    def manager_of(self, nic: str) -> str:
        return self.managed_by

    def speed_mbit(self, nic: str) -> int | None:
        return 1000

    def drop(self, nic: str, address: str) -> None:
        left = {each.name: tuple(a for a in each.addresses if (each.name, a) != (nic, address)) for each in self.found}
        self.found = [replace(each, addresses=left[each.name]) for each in self.found]

    def reconfigure(self, nics: tuple[str, ...]) -> None:
        self.reconfigured += 1
        self.on_reconfigure()

    def sysctl(self, name: str) -> str:
        return self.switches.get(name, "0")

    def set_sysctl(self, name: str, value: str) -> None:
        self.switches[name] = value


class MemoryKeys:
    """The same key pair every time."""

    objection = ""

    def generate(self, comment: str) -> KeyPair:
        return KeyPair(b"-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n", f"{CLUSTER_KEY} {comment}")

    def server_objection(self) -> str:
        return self.objection


class MemoryHost:
    """Facts that tests may change."""

    def __init__(self, name: str) -> None:
        self.host_name, self.software, self.clock_s, self.machine = name, "0.1.0", 1000.0, "x86_64"

    def name(self) -> str:
        return self.host_name

    def set_name(self, name: str) -> None:
        self.host_name = name

    def architecture(self) -> str:
        return self.machine

    def version(self) -> str:
        return self.software

    def wall_s(self) -> float:
        return self.clock_s

    def random(self, size_bytes: int) -> bytes:
        return b"r" * size_bytes

    def door_command(self) -> str:
        return "/usr/bin/python3 -I -m ishmael.manager.door"


class VirtualClock:
    """Time passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def now_s(self) -> float:
        return self.time_s

    def sleep(self, seconds: float) -> None:
        self.time_s += seconds


class MemoryDatabases:
    """A PostgreSQL that is installed when a test says so; joining takes a look or two."""

    def __init__(self) -> None:
        self.version = ""
        self.paired: Pairing | None = None
        self.join_state: dict[str, Any] = {"state": "none"}
        self.looks = 0
        self.fails = ""

    def installed(self) -> str:
        return self.version

    def managed(self) -> Database | None:
        return Database(self.version, "main", 5432) if self.paired is not None else None

    def is_prepared(self, pairing: Pairing) -> bool:
        return self.paired == pairing

    def prepare(self, pairing: Pairing, *, master: bool) -> None:
        self.paired = pairing

    def release(self) -> None:
        self.paired = None

    def join(self, key: str) -> None:
        self.looks = 0
        self.join_state = {"state": "running", "key": key, "rung": "copy", "bytes_moved": 0, "bytes_total": 1000}

    def joined(self) -> Mapping[str, Any]:
        self.looks += 1
        if self.join_state["state"] == "running" and self.looks > 2:
            self.join_state = {**self.join_state, "state": "failed" if self.fails else "done", "bytes_moved": 1000}
            self.join_state["error"] = {"code": self.fails, "message": "It failed."} if self.fails else None
        return self.join_state


class Machine:
    """One machine with all its ports."""

    def __init__(self, world: World, number: int) -> None:
        self.world, self.name = world, f"node{number}"
        self.files, self.services, self.network = MemoryFiles(), MemoryServices(), MemoryNetwork(number)
        self.keys, self.host, self.keeper = MemoryKeys(), MemoryHost(self.name), MemoryKeeper(self)
        self.corosync = MemoryCorosync(self)
        self.database, self.programs = MemoryDatabases(), MemoryPrograms()
        self.surroundings = MemorySurroundings()
        self.packages = MemoryPackages()
        self.following, self.own_checks = MemoryFollowing(), MemoryOwnChecks()
        self.files.write(
            "/etc/ssh/ssh_host_ed25519_key.pub", f"{HOST_KEYS[self.name]} root@{self.name}\n".encode(), 0o644
        )
        self.files.write(f"{places.SHIPPED_PROFILES}/asterisk.toml", PROFILE.encode(), 0o644)
        self.files.write(places.AUTHORIZED_KEYS, f"{OTHER_KEY} the-admin\n".encode(), 0o600)
        self.files.write(places.COROSYNC_CONF, b"# an example\n", 0o644)
        self.services.add("ssh.service", enabled=True, active=True)
        self.services.add("asterisk.service", enabled=True, active=True)
        self.services.add("ishmael-keeper.service", enabled=True, active=True)
        self.services.add("corosync.service", enabled=False, active=False)
        self.on = True

    @property
    def hands(self) -> Hands:
        return Hands(
            self.files, self.keeper, self.services, self.network, MemoryNode(self), self.keys, self.corosync,
            self.host, self.world.clock, self.database,
            MemoryCopies(),
            surroundings=self.surroundings, programs=self.programs, packages=self.packages,
            following=self.following, own_checks=self.own_checks,
        )  # fmt: skip

    @property
    def other(self) -> Machine:
        return next(m for m in self.world.machines if m is not self)

    def settings(self) -> Settings | None:
        raw = self.files.read(places.SETTINGS)
        return settings_from_toml(raw.decode()) if raw else None

    def image(self) -> dict[str, Any]:
        """All that a work leaves behind on this machine."""
        return {
            "files": {path: (data.decode(errors="replace"), mode) for path, (data, mode) in self.files.content.items()},
            "units": json.loads(json.dumps(self.services.units)),
            "role": self.keeper.role,
        }


class MemoryCorosync:
    """Members are the nodes that run with the same configuration and key."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.there, self.blocked = machine, True, False

    def running(self) -> bool:
        return self.machine.services.active("corosync.service")

    def installed(self) -> bool:
        return self.there

    def _key(self) -> tuple[bytes | None, bytes | None]:
        return self.machine.files.read(places.COROSYNC_CONF), self.machine.files.read(places.COROSYNC_KEY)

    def links(self) -> dict[str, bool] | None:
        return None

    def members(self) -> frozenset[int]:
        if not self.running():
            return frozenset()
        other = self.machine.other.corosync
        both = other.machine.on and other.running() and other._key() == self._key() and not self.blocked
        return frozenset({1, 2}) if both else frozenset({1})

    def reload(self) -> None:
        if not self.running():
            raise HostFault("corosync-failed", "Corosync does not run.", "")


class MemoryNode:
    """Reaches the other machine's real door, when its key is let through there."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def _at(self, address: str) -> Machine | None:
        for machine in self.machine.world.machines:
            if machine.on and any(nic.holds(address) for nic in machine.network.found):
                return machine
        return None

    def host_key(self, address: str) -> str | None:
        if address in self.machine.world.strangers:
            return self.machine.world.strangers[address]
        found = self._at(address)
        return HOST_KEYS[found.name] if found else None

    def host_keys(self, addresses: Sequence[str]) -> Mapping[str, str]:
        return {address: key for address in addresses if (key := self.host_key(address)) is not None}

    def ask(
        self, peer: Peer, op: str, arguments: Mapping[str, Any] | None = None, limit_s: float = 20.0
    ) -> Mapping[str, Any]:
        found = next((m for m in map(self._at, peer.addresses) if m is not None), None)
        if found is None:
            raise PeerFault("peer-unreachable", f"{peer.addresses[0]} cannot be reached.", "Is it on?")
        if peer.host_key != HOST_KEYS[found.name]:
            raise PeerFault("host-key-changed", "It shows another SSH host key.", "")
        lines = (found.files.read(places.AUTHORIZED_KEYS) or b"").decode()
        if CLUSTER_KEY not in lines:
            raise PeerFault("peer-refuses-key", "It does not accept this cluster's key.", "Prepare it.")
        wire = json.loads(json.dumps({"op": op, "arguments": dict(arguments or {})}))
        answer = json.loads(json.dumps(Door(found.hands, nullcontext).answer(wire)))
        if not answer["ok"]:
            said = answer["error"]
            kind = {"request": errors.RequestRefused, "ishmael": errors.Bug}.get(said["whose"], PeerFault)
            raise kind(said["code"], said["message"], said["hint"])
        return dict(answer)

    def ask_each(
        self, peer: Peer, op: str, each: Iterable[Mapping[str, Any]], limit_s: float = 60.0
    ) -> Iterator[Mapping[str, Any]]:
        for arguments in each:
            yield self.ask(peer, op, arguments, limit_s)


class World:
    """Both machines."""

    def __init__(self) -> None:
        self.strangers: dict[str, str] = {}
        self.clock = VirtualClock()
        self.machines: list[Machine] = []
        self.machines += [Machine(self, 1), Machine(self, 2)]

    def peer(self) -> Peer:
        """The second machine's door, as the first one knows it."""
        return Peer(("10.78.0.2",), HOST_KEYS["node2"])

    @staticmethod
    def told_by(hands: Hands) -> list[tuple[str, str, dict[str, Any]]]:
        """What was put into the event list through these hands."""
        keeper = hands.keeper
        assert isinstance(keeper, MemoryKeeper)
        return keeper.told

    def image(self) -> list[dict[str, Any]]:
        """All that works leave behind, on both machines."""
        return [machine.image() for machine in self.machines]
