"""OpenSSH: the other node's door and the keys (ssh(1), ssh-keyscan(1), ssh-keygen(1), sshd(8))."""

from __future__ import annotations

import json
import re
import select
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ishmael.manager.drivers.programs import ENVIRONMENT, PATH, run, words_of
from ishmael.manager.ports.node import KeyPair, Peer
from ishmael.words import errors, places
from ishmael.words.errors import HostFault, IshmaelError, PeerFault

_ALIAS = "ishmael-peer"
_CONNECT_S = 5
_SSH_FAILED = 255
_WORKROOM = "/run/ishmael"
_ROOT_BY_KEY = ("yes", "prohibit-password", "without-password", "forced-commands-only")
_ROOTS_FILES = (".ssh/authorized_keys", "%h/.ssh/authorized_keys", places.AUTHORIZED_KEYS)
_CLASSES: dict[str, type[IshmaelError]] = {"request": errors.RequestRefused, "peer": PeerFault, "host": PeerFault}


def _workroom() -> str:
    Path(_WORKROOM).mkdir(mode=0o755, parents=True, exist_ok=True)
    return _WORKROOM


class SshNode:
    """Reaches the other node with the cluster's key; knows it by one host key and no other."""

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
        """Ask one thing: at the first address that can be reached."""
        line = json.dumps({"op": op, "arguments": dict(arguments or {})}).encode() + b"\n"
        problem = PeerFault("peer-unreachable", "The other node has no address.", "")
        with tempfile.NamedTemporaryFile("w", prefix="known-", dir=_workroom()) as pins:
            pins.write(f"{_ALIAS} {peer.host_key}\n")
            pins.flush()
            for address in peer.addresses:
                try:
                    done = run(self._command(address, pins.name), limit_s=limit_s + _CONNECT_S, given=line)
                except HostFault as error:
                    if error.code != "program-slow":
                        raise
                    message = f"{address} did not answer {op} within {limit_s:.0f} s."
                    raise PeerFault("peer-slow", message, "See there: journalctl -u ssh") from error
                if done.returncode != _SSH_FAILED:
                    return _answer(address, done)
                problem = _unreached(address, words_of(done))
                if problem.code != "peer-unreachable":
                    break
        raise problem

    def ask_each(
        self, peer: Peer, op: str, each: Iterable[Mapping[str, Any]], limit_s: float = 60.0
    ) -> Iterator[Mapping[str, Any]]:
        """Ask the same for each of these arguments over one connection, to the first address that answers."""
        address = next((there for there in peer.addresses if self.host_key(there) == peer.host_key), "")
        if not address:
            raise _unreached(peer.addresses[0], "it shows no host key, or another one")
        with (
            tempfile.NamedTemporaryFile("w", prefix="known-", dir=_workroom()) as pins,
            tempfile.TemporaryFile() as said,
        ):
            pins.write(f"{_ALIAS} {peer.host_key}\n")
            pins.flush()
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": said}
            with subprocess.Popen(self._command(address, pins.name), env=ENVIRONMENT, **pipes) as wire:  # type: ignore[call-overload]
                try:
                    for arguments in each:
                        yield _one_of_many(wire, address, {"op": op, "arguments": dict(arguments)}, limit_s)
                finally:
                    # Its end is the end of its input; one that hangs would keep the job from going on.
                    with suppress(OSError):
                        wire.stdin.close()
                    wire.kill()

    def _command(self, address: str, pins: str) -> list[str]:
        options = {
            "BatchMode": "yes", "IdentitiesOnly": "yes", "IdentityFile": places.CLUSTER_KEY, "IdentityAgent": "none",
            "StrictHostKeyChecking": "yes", "UserKnownHostsFile": pins, "GlobalKnownHostsFile": "/dev/null",
            "HostKeyAlias": _ALIAS, "HostKeyAlgorithms": "ssh-ed25519", "CheckHostIP": "no", "UpdateHostKeys": "no",
            "PreferredAuthentications": "publickey", "ConnectTimeout": str(_CONNECT_S), "ServerAliveInterval": "5",
            "ServerAliveCountMax": "3", "ControlMaster": "no", "ControlPath": "none", "LogLevel": "ERROR",
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


def _one_of_many(
    wire: subprocess.Popen[bytes], address: str, ask: Mapping[str, Any], limit_s: float
) -> Mapping[str, Any]:
    assert wire.stdin is not None
    assert wire.stdout is not None
    try:
        wire.stdin.write(json.dumps(ask).encode() + b"\n")
        wire.stdin.flush()
    except OSError as error:
        raise PeerFault(
            "peer-unreachable", f"The connection to {address} broke.", "Are the cables plugged in?"
        ) from error
    if not select.select([wire.stdout], [], [], limit_s)[0]:
        raise PeerFault(
            "peer-slow", f"{address} did not answer within {limit_s:.0f} s.", "See there: journalctl -u ssh"
        )
    line = wire.stdout.readline()
    if not line.endswith(b"\n"):
        raise PeerFault("peer-unreachable", f"The connection to {address} broke.", "Are the cables plugged in?")
    return _answer(address, subprocess.CompletedProcess([], 0, line, b""))


def _answer(address: str, done: subprocess.CompletedProcess[bytes]) -> Mapping[str, Any]:
    try:
        answer = json.loads(done.stdout.splitlines()[0])
        if answer["ok"]:
            return dict(answer)
        said = answer["error"]
        kind = _CLASSES.get(said["whose"], errors.Bug)
        raise kind(str(said["code"]), str(said["message"]), str(said["hint"]))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        message = f"{address} answered nonsense: {words_of(done)}."
        raise PeerFault("peer-nonsense", message, "Is the same version of Ishmael installed there?") from error


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
