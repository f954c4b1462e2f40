"""Who may sign in: users, tokens for programs, and the key that signs sessions. One file, the same on both nodes.

The manager writes it (root), the web process only reads it. Passwords are kept as Argon2 hashes, tokens as SHA-256 of
256 random bits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ishmael.words.errors import RequestRefused

ACCOUNTS_SCHEMA = 1
ROLES = ("admin", "viewer")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
PASSWORD_MIN = 10
PASSWORD_MAX = 256


@dataclass(frozen=True, slots=True)
class User:
    """One user.

    Args:
        name: lower case.
        role: ``admin``, or ``viewer`` who may only look.
        password: Argon2 hash.
        generation: raised by a new password or "sign out everywhere": older sessions end.
        since: when made, ISO 8601.
    """

    name: str
    role: str
    password: str
    generation: int = 1
    since: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """What a program signs in with.

    Args:
        id: to name it by; no secret.
        name: what it is for.
        role: as of users.
        digest: SHA-256 of the secret, hex.
        since: when made, ISO 8601.
    """

    id: str
    name: str
    role: str
    digest: str
    since: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """A session that its user ended: a copy of its cookie counts no more.

    Args:
        user: whose.
        nonce: of the session; no secret.
        until_s: when it would have ended by itself, wall time, s; then this is forgotten.
    """

    user: str
    nonce: str
    until_s: int


@dataclass(frozen=True, slots=True)
class Accounts:
    """All of it.

    Args:
        session_key: signs sessions; hex of 32 bytes.
        users: by name, sorted.
        tokens: in the order made.
        revision: raised by every change; the higher one counts when two nodes differ.
        ended: sessions that were signed out before their time.
    """

    session_key: str
    users: tuple[User, ...] = ()
    tokens: tuple[Token, ...] = ()
    revision: int = 1
    ended: tuple[Ended, ...] = ()

    def user(self, name: str) -> User | None:
        """The user of this name, or None."""
        return next((user for user in self.users if user.name == name), None)

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps({"schema": ACCOUNTS_SCHEMA, **asdict(self)}, indent=1) + "\n"


def accounts_from_json(text: str) -> Accounts:
    """Read the file.

    Raises:
        RequestRefused: it is no accounts file of this version.
    """
    try:
        return _from_mapping(json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RequestRefused(
            "accounts-damaged",
            f"The list of users cannot be read: {error}.",
            "Bring it back from the other node, or remove it: then nobody can sign in until `ishmael user add`.",
        ) from error


def _from_mapping(raw: Mapping[str, Any]) -> Accounts:
    if raw["schema"] != ACCOUNTS_SCHEMA:
        raise ValueError(f"schema {raw['schema']!r}")
    made = Accounts(
        str(raw["session_key"]),
        tuple(User(**user) for user in raw["users"]),
        tuple(Token(**token) for token in raw["tokens"]),
        int(raw["revision"]),
        ended_from(raw.get("ended", ())),
    )
    if len(bytes.fromhex(made.session_key)) != 32 or any(user.role not in ROLES for user in made.users):
        raise ValueError("a session key or a role is none")
    return made


def ended_from(raw: Iterable[Mapping[str, Any]]) -> tuple[Ended, ...]:
    """Ended sessions as they are written.

    Raises:
        KeyError, TypeError, ValueError: they are none.
    """
    return tuple(Ended(str(row["user"]), str(row["nonce"]), int(row["until_s"])) for row in raw)


def name_objection(name: str) -> str:
    """Why this is no name of a user, in one sentence; empty when it is one."""
    if _NAME.fullmatch(name):
        return ""
    return (
        "A user's name is 1 to 32 letters a-z, digits, dots, hyphens or underscores, and begins with a letter or digit."
    )


def password_objection(password: str) -> str:
    """Why this is no password, in one sentence; empty when it is one (NIST SP 800-63B: length, not composition)."""
    if len(password) < PASSWORD_MIN:
        return f"A password has at least {PASSWORD_MIN} characters."
    if len(password) > PASSWORD_MAX:
        return f"A password has at most {PASSWORD_MAX} characters."
    return "" if password.strip() else "A password is more than spaces."
