"""The join code: all that a machine needs to become the slave of a cluster, in one paste.

It carries the cluster's public key, the master's host key by its fingerprint, the master's name and addresses, and a
secret that works once. With the secret the slave proves to the master, and nobody else can, that it was prepared with
this code: the master finds it on the internal network by itself. See docs/decisions/0019.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import json
from dataclasses import astuple, dataclass

from ishmael.manager.ports.hands import Hands
from ishmael.manager.works import machine
from ishmael.manager.works.ssh_keys import PublicKey, read_public_key
from ishmael.words import places
from ishmael.words.errors import Finding, RequestRefused
from ishmael.words.settings import NodeSettings, Settings

PREFIX = f"{places.JOIN_MARK}1-"
_SECRET_BYTES = 16
_CHECK_CHARS = 8
_LENGTH_MAX = 4096
_HINT = "Copy the whole code that `ishmael setup-master --show-join-code` prints on the master."


@dataclass(frozen=True, slots=True)
class JoinCode:
    """What a join code says.

    Args:
        cluster_name: for people.
        key: the cluster's public key, ``ssh-ed25519 AAAA...``.
        master: its host name.
        host_key_fingerprint: of the master's SSH server, ``SHA256:...``.
        internal_ip, phone_ip: the master's own addresses.
        secret: hexadecimal; works until the slave was added.
    """

    cluster_name: str
    key: str
    master: str
    host_key_fingerprint: str
    internal_ip: str
    phone_ip: str
    secret: str

    def text(self) -> str:
        """The code, to be pasted."""
        body = base64.urlsafe_b64encode(json.dumps(astuple(self), separators=(",", ":")).encode()).decode().rstrip("=")
        return f"{PREFIX}{body}.{_check(body)}"


def _check(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:_CHECK_CHARS]


def looks_like_join_code(text: str) -> bool:
    """It is meant as one, whole or not."""
    return text.strip().startswith(places.JOIN_MARK)


def read_join_code(text: str) -> JoinCode | Finding:
    """Read a join code as pasted, line breaks within it included; or say why it is none."""
    packed = "".join(text.split())
    if not packed.startswith(PREFIX) or len(packed) > _LENGTH_MAX:
        return Finding("join", "no-join-code", "This is no join code of this version of Ishmael.", _HINT)
    body, _, check = packed.removeprefix(PREFIX).partition(".")
    damaged = Finding("join", "join-code-damaged", "The join code is damaged: it was not copied whole.", _HINT)
    if _check(body) != check:
        return damaged
    try:
        values = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        code = JoinCode(*values)
        bytes.fromhex(code.secret)
        ipaddress.IPv4Address(code.internal_ip)
        ipaddress.IPv4Address(code.phone_ip)
    except (binascii.Error, ValueError, TypeError):
        return damaged
    whole = all(isinstance(value, str) for value in values) and isinstance(read_public_key(code.key), PublicKey)
    return code if whole else damaged


def own_secret(hands: Hands) -> str | None:
    """The secret of this node's join code, if there is one."""
    raw = hands.files.read(places.JOIN_SECRET)
    return None if raw is None else raw.decode(errors="replace").strip()


def keep_secret(hands: Hands, secret: str) -> None:
    """Keep the secret of a join code, for root's eyes."""
    hands.files.write(places.JOIN_SECRET, secret.encode() + b"\n", 0o600)


def make_join_code(hands: Hands, settings: Settings, own: NodeSettings) -> JoinCode:
    """This master's join code; its secret is made when there is none.

    Raises:
        HostFault: the cluster's key is missing.
        RequestRefused: this machine has no host key to be known by.
    """
    host_key = read_public_key(machine.own_host_key(hands) or "")
    key = read_public_key(machine.cluster_public_key(hands))
    if isinstance(host_key, Finding) or isinstance(key, Finding):
        raise RequestRefused("host-key-missing", "This machine has no SSH host key.", "Make one: ssh-keygen -A")
    secret = own_secret(hands)
    if secret is None:
        secret = hands.host.random(_SECRET_BYTES).hex()
        keep_secret(hands, secret)
    return JoinCode(
        settings.cluster_name, key.text, own.name, host_key.fingerprint, own.internal_ip, own.phone_ip, secret
    )


def proof(secret: str, nonce: str, host_key: str, host_name: str) -> str:
    """What only who knows the secret can say about this host key and name, once (HMAC, RFC 2104)."""
    said = json.dumps([nonce, host_key, host_name]).encode()
    return hmac.new(secret.encode(), said, hashlib.sha256).hexdigest()
