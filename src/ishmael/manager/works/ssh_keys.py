"""SSH public keys and the lines around them: ``authorized_keys`` and ``known_hosts`` (sshd(8), RFC 4253, RFC 8709)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from ishmael.words.errors import Finding
from ishmael.words.places import KEY_MARK

_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
_RSA_BITS_MIN = 2048
_ED25519_BYTES = 32
_LENGTH_MAX = 4096


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One public key: its kind and its body in base64, without a comment."""

    kind: str
    body: str

    @property
    def text(self) -> str:
        """``ssh-ed25519 AAAA...``."""
        return f"{self.kind} {self.body}"

    @property
    def fingerprint(self) -> str:
        """As ``ssh-keygen -l`` shows it (``SHA256:...``)."""
        digest = hashlib.sha256(base64.b64decode(self.body)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _refused(code: str, message: str, hint: str) -> Finding:
    return Finding("key", code, message, hint)


_COPY_HINT = "Copy the whole line that `ishmael setup-master --show-key` prints on the master."


def read_public_key(text: str) -> PublicKey | Finding:
    """Read exactly one public key, as pasted by an admin; or say why it is none."""
    if "PRIVATE KEY" in text:
        return _refused(
            "private-key",
            "This is a private key; it must never leave the machine it was made on.",
            f"{_COPY_HINT} Treat the pasted private key as known to others.",
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        return _refused("several-keys", f"There are {len(lines)} lines; exactly one public key is wanted.", _COPY_HINT)
    words = lines[0].split() if lines else []
    if len(words) < 2 or words[0] not in _TYPES or len(text) > _LENGTH_MAX or not lines[0].isprintable():
        return _refused("no-public-key", "This is no SSH public key.", _COPY_HINT)
    objection = _objection(words[0], words[1])
    return objection or PublicKey(words[0], words[1])


def _objection(kind: str, body: str) -> Finding | None:
    try:
        fields = _fields(base64.b64decode(body, validate=True))
    except (binascii.Error, ValueError):
        fields = []
    whole = len(fields) > 1 and fields[0] == kind.encode()
    if kind == "ssh-ed25519":
        whole = whole and len(fields) == 2 and len(fields[1]) == _ED25519_BYTES
    if not whole:
        return _refused("no-public-key", "The SSH public key is damaged: it was not copied whole.", _COPY_HINT)
    if kind == "ssh-rsa" and (len(fields) != 3 or int.from_bytes(fields[2]).bit_length() < _RSA_BITS_MIN):
        return _refused("weak-key", f"RSA keys below {_RSA_BITS_MIN} bits are not accepted.", _COPY_HINT)
    return None


def _fields(blob: bytes) -> list[bytes]:
    """The length-prefixed strings of a key's body (RFC 4251 section 5)."""
    fields: list[bytes] = []
    while blob:
        size = int.from_bytes(blob[:4])
        if len(blob) < 4 + size:
            raise ValueError("a field is cut short")
        fields.append(blob[4 : 4 + size])
        blob = blob[4 + size :]
    return fields


def authorized_line(key: PublicKey, command: str) -> str:
    """The line that lets this key do one thing: run the door. Neither shell, terminal nor forwarding (sshd(8))."""
    quoted = command.replace('"', '\\"')
    return f'restrict,command="{quoted}" {key.text} {KEY_MARK}'


def with_our_line(text: str, line: str | None) -> str:
    """``authorized_keys`` with our line replaced, added, or (None) removed; all other lines as they are."""
    kept = [old for old in text.splitlines() if not is_ours(old)]
    lines = [*kept, line] if line is not None else kept
    return "".join(f"{each}\n" for each in lines)


def is_ours(line: str) -> bool:
    """This line of ``authorized_keys`` was written by us."""
    words = line.split()
    return bool(words) and words[-1] == KEY_MARK and line.startswith("restrict,command=")


def host_alias(node: int) -> str:
    """The name under which a node's host key is pinned: addresses may change, the node stays."""
    return f"ishmael-node-{node}"


def known_hosts(keys: dict[int, str]) -> str:
    """``known_hosts`` with one host key a node."""
    return "".join(f"{host_alias(node)} {key}\n" for node, key in sorted(keys.items()))


def pinned(text: str) -> dict[int, str]:
    """Host keys by node id, read from our ``known_hosts``."""
    prefix = host_alias(0)[:-1]
    found: dict[int, str] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[0].startswith(prefix) and words[0][len(prefix) :].isdigit():
            found[int(words[0][len(prefix) :])] = f"{words[1]} {words[2]}"
    return found
