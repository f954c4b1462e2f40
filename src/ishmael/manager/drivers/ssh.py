"""OpenSSH: the other node's door and the keys (ssh(1), ssh-keyscan(1), ssh-keygen(1), sshd(8))."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ishmael.manager.drivers.door_wire import Broken, DoorWire, KeptWires
from ishmael.manager.drivers.programs import PATH, run, words_of
from ishmael.manager.ports.node import KeyPair, Peer
from ishmael.words import errors, places
from ishmael.words.errors import HostFault, IshmaelError, PeerFault

_ALIAS = "ishmael-peer"
_CONNECT_S = 5
_SSH_FAILED = 255
_LAST = {"install", "start", "withdraw", "firmware", "update-put", "update-install", "update-status"}
"""What changes the other node's programs, or whose they are: the next ask is to be answered by what is there then."""
_WORKROOM = "/run/ishmael"
_ROOT_BY_KEY = ("yes", "prohibit-password", "without-password", "forced-commands-only")
_ROOTS_FILES = (".ssh/authorized_keys", "%h/.ssh/authorized_keys", places.AUTHORIZED_KEYS)
_CLASSES: dict[str, type[IshmaelError]] = {"request": errors.RequestRefused, "peer": PeerFault, "host": PeerFault}


def _workroom() -> str:
    Path(_WORKROOM).mkdir(mode=0o755, parents=True, exist_ok=True)
    return _WORKROOM


class SshNode:
    """Reaches the other node with the cluster's key; knows it by one host key and no other."""

    def __init__(self) -> None:
        self._kept = KeptWires()

    def host_key(self, address: str) -> str | None:
        """The ed25519 host key shown at this address."""
        return self.host_keys([address]).get(address)

    def host_keys(self, addresses: Sequence[str]) -> Mapping[str, str]:
        """The host keys shown at these addresses; ssh-keyscan(1) asks them side by side."""
        done = run(["ssh-keyscan", "-T", str(_CONNECT_S), "-t", "ed25519", "--", *addresses], limit_s=8 * _CONNECT_S)
        found = {}
        for line in done.stdout.decode(errors="replace").splitlines():
            words = line.split()
            if len(words) == 3 and words[1] == "ssh-ed25519":
                found[words[0]] = f"{words[1]} {words[2]}"
        return found

    def ask(
        self, peer: Peer, op: str, arguments: Mapping[str, Any] | None = None, limit_s: float = 20.0
    ) -> Mapping[str, Any]:
        """Ask one thing: over the connection of a moment ago, else at the first address that can be reached."""
        line = _line(op, arguments or {})
        wire = self._kept.take(peer)
        if wire is not None:
            with suppress(Broken):
                return self._over(wire, peer, op, line, limit_s)
        return self._fresh(peer, lambda wire: self._over(wire, peer, op, line, limit_s + _CONNECT_S))

    def ask_each(
        self, peer: Peer, op: str, each: Iterable[Mapping[str, Any]], limit_s: float = 60.0
    ) -> Iterator[Mapping[str, Any]]:
        """Ask the same for each of these arguments over one connection, to the first address that answers."""
        asks = iter(each)
        first = next(asks, None)
        if first is None:
            return
        open_wires: list[DoorWire] = []

        def begin(wire: DoorWire) -> Mapping[str, Any]:
            open_wires[:] = [wire]
            return _said(wire, op, _line(op, first), limit_s + _CONNECT_S)

        try:
            yield self._fresh(peer, begin)
            (wire,) = open_wires
            for arguments in asks:
                try:
                    yield _said(wire, op, _line(op, arguments), limit_s)
                except Broken as error:
                    raise _unreached(wire.address, f"the connection broke ({error})") from error
        finally:
            for wire in open_wires:
                wire.close()

    def _over(self, wire: DoorWire, peer: Peer, op: str, line: bytes, limit_s: float) -> Mapping[str, Any]:
        """Ask, and keep the connection for the next ask, unless this one may have changed what answers there."""
        keeps = False
        try:
            answer = _said(wire, op, line, limit_s)
            keeps = op not in _LAST
        finally:
            if keeps:
                self._kept.keep(peer, wire)
            else:
                wire.close()
        return answer

    def _fresh(self, peer: Peer, ask: Callable[[DoorWire], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Ask over a connection of its own: at the first address where the other node is reached."""
        problem = PeerFault("peer-unreachable", "The other node has no address.", "")
        for address in peer.addresses:
            handle, pins = tempfile.mkstemp(prefix="known-", dir=_workroom())
            with os.fdopen(handle, "w") as file:
                file.write(f"{_ALIAS} {peer.host_key}\n")
            wire = DoorWire(address, self._command(address, pins), pins)
            try:
                return ask(wire)
            except Broken as error:
                wire.close()
                if error.code != _SSH_FAILED:
                    message = f"{address} answered nonsense: {error}."
                    hint = "Is the same version of Ishmael installed there?"
                    raise PeerFault("peer-nonsense", message, hint) from error
                problem = _unreached(address, str(error))
                if problem.code != "peer-unreachable":
                    break
        raise problem

    def _command(self, address: str, pins: str) -> list[str]:
        options = {
            "BatchMode": "yes", "IdentitiesOnly": "yes", "IdentityFile": places.CLUSTER_KEY, "IdentityAgent": "none",
            "StrictHostKeyChecking": "yes", "UserKnownHostsFile": pins, "GlobalKnownHostsFile": "/dev/null",
            "HostKeyAlias": _ALIAS, "HostKeyAlgorithms": "ssh-ed25519", "CheckHostIP": "no", "UpdateHostKeys": "no",
            "PreferredAuthentications": "publickey", "ConnectTimeout": str(_CONNECT_S), "ServerAliveInterval": "1",
            "ServerAliveCountMax": "4", "ControlMaster": "no", "ControlPath": "none", "LogLevel": "ERROR",
        }  # fmt: skip
        chosen = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "none", "-T", *chosen, "-l", "root", "--", address]


def _unreached(address: str, said: str) -> PeerFault:
    if "Permission denied" in said or "Too many authentication failures" in said:
        return PeerFault(
            "peer-refuses-key", f"{address} does not accept this cluster's key.",
            "Prepare it there: ishmael prepare-slave --key '...' with the key of `ishmael setup-master --show-key`; if it "
            "belongs to another cluster, `ishmael reset` there first.",
        )  # fmt: skip
    if "Host key verification failed" in said or "IDENTIFICATION HAS CHANGED" in said:
        return PeerFault(
            "host-key-changed", f"{address} shows another SSH host key than the one it is known by.",
            "Was the machine replaced? See `ishmael re-add --dry-run`.",
        )  # fmt: skip
    return PeerFault(
        "peer-unreachable",
        f"{address} cannot be reached: {said.removeprefix('ssh: ').rstrip('.')}.",
        "Is the machine on, and are both its cables plugged in?",
    )


def _line(op: str, arguments: Mapping[str, Any]) -> bytes:
    return json.dumps({"op": op, "arguments": dict(arguments)}).encode() + b"\n"


def _said(wire: DoorWire, op: str, line: bytes, limit_s: float) -> Mapping[str, Any]:
    try:
        said = wire.ask(line, limit_s)
    except TimeoutError as error:
        message = f"{wire.address} did not answer {op} within {limit_s:.0f} s."
        raise PeerFault("peer-slow", message, "See there: journalctl -u ssh") from error
    try:
        answer = json.loads(said)
        if answer["ok"]:
            return dict(answer)
        told = answer["error"]
        kind = _CLASSES.get(told["whose"], errors.Bug)
        code, message, hint = str(told["code"]), str(told["message"]), str(told["hint"])
    except (ValueError, KeyError, TypeError) as error:
        message = f"{wire.address} answered nonsense: {said[:200].decode(errors='replace')}."
        raise PeerFault("peer-nonsense", message, "Is the same version of Ishmael installed there?") from error
    raise kind(code, message, hint)


class OpenSshKeys:
    """Makes keys; looks at this machine's SSH server."""

    def generate(self, comment: str) -> KeyPair:
        """A fresh ed25519 key pair, made in memory (a tmpfs)."""
        with tempfile.TemporaryDirectory(prefix="key-", dir=_workroom()) as room:
            path = Path(room) / "id_ed25519"
            done = run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])
            if done.returncode:
                raise HostFault(
                    "ssh-keygen-failed", f"ssh-keygen failed: {words_of(done)}.", "Is openssh-client installed?"
                )
            return KeyPair(path.read_bytes(), path.with_suffix(".pub").read_text().strip())

    def server_objection(self) -> str:
        """Why sshd would turn root's key away; empty when it would not, or cannot be asked."""
        if shutil.which("sshd", path=PATH) is None:
            return "There is no SSH server on this machine."
        done = run(["sshd", "-T", "-C", "user=root,host=localhost,addr=127.0.0.1"])
        if done.returncode:
            # Some versions want their run directory even for this; the server makes it when it starts.
            asked = b"privilege separation" in done.stderr
            return "" if asked else f"The SSH server's configuration is not valid: {words_of(done)}."
        return _objection(done.stdout.decode(errors="replace"))


def _objection(shown: str) -> str:
    values: dict[str, list[str]] = {}
    for line in shown.splitlines():
        name, _, value = line.partition(" ")
        values.setdefault(name.lower(), []).extend(re.split(r"\s+", value.strip()))
    if values.get("permitrootlogin", ["yes"])[0] not in _ROOT_BY_KEY:
        return "The SSH server lets root in by no means (PermitRootLogin no)."
    if values.get("pubkeyauthentication", ["yes"])[0] != "yes":
        return "The SSH server accepts no keys (PubkeyAuthentication no)."
    if not set(_ROOTS_FILES) & set(values.get("authorizedkeysfile", _ROOTS_FILES)):
        return f"The SSH server does not read {places.AUTHORIZED_KEYS} (AuthorizedKeysFile)."
    allowed = values.get("allowusers")
    if allowed and not any(user.split("@")[0] in ("root", "*") for user in allowed):
        return "The SSH server lets only some users in, root not among them (AllowUsers)."
    return ""
