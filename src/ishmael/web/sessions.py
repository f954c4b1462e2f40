"""Signing in: accounts as the manager wrote them, sessions that any node of the cluster can check, tokens, limits.

A session is a signed cookie; no node keeps a list of them. So it outlives a failover, and ends by time, by a new
password, by "sign out everywhere", and by a reset, which changes the key. Who signs out is listed among the accounts, on
both nodes, until the session would have ended by itself: a copy of the cookie counts no more.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ishmael.web.manager import Who
from ishmael.words import places
from ishmael.words.accounts import Accounts, User, accounts_from_json
from ishmael.words.errors import RequestRefused

COOKIE = "__Host-ishmael"
IDLE_S = 3600
LIFE_S = 12 * 3600
_RENEW_S = 60
_COOKIE_MAX = 1024
_FAILURES_MAX = 5
_LOCK_S = 60
_LOCK_S_MAX = 900
_FORGOTTEN_S = 900
_KEPT_MAX = 4096
_NEVER = (0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in.

    Args:
        user: name.
        generation: of the user when signed in.
        begun_s, seen_s: wall time, s: the nodes' clocks are in step, and a session is no lease.
        nonce: random, hex; the CSRF token is made of it.
    """

    user: str
    generation: int
    begun_s: int
    seen_s: int
    nonce: str


class AccountsFile:
    """The accounts as they lie on disk; read anew when the file is another."""

    def __init__(self, path: str = places.ACCOUNTS) -> None:
        self._path = Path(path)
        self._mark: tuple[int, int, int] | None = None
        self._accounts: Accounts | None = None

    def now(self) -> Accounts | None:
        """What is on disk; None while there is none that can be read."""
        try:
            seen = self._path.stat()
            mark = (seen.st_ino, seen.st_mtime_ns, seen.st_size)
            if mark != self._mark:
                self._accounts, self._mark = accounts_from_json(self._path.read_text()), mark
        except (OSError, RequestRefused, UnicodeError):
            self._accounts, self._mark = None, None
        return self._accounts


class Limits:
    """Slows down guessing: after five failures a name, and an address, must wait, each time twice as long.

    Tries are counted before they are judged, so that many at once are not free; they are forgotten a quarter of an hour
    after the last one, or after the wait that followed.

    Args:
        clock: seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # How often, until when to wait, when to forget.
        self._failed: dict[str, tuple[int, float, float]] = {}

    def wait_s(self, *keys: str) -> int:
        """How long these must wait yet, in seconds; 0 when they need not."""
        now = self._clock()
        return max(0, *(round(self._failed.get(key, _NEVER)[1] - now + 0.5) for key in keys))

    def failed(self, *keys: str) -> None:
        """One more failure."""
        now = self._clock()
        if len(self._failed) > _KEPT_MAX:
            self._failed = {key: value for key, value in self._failed.items() if value[1] > now}
        for key in keys:
            count, _, forgotten = self._failed.get(key, _NEVER)
            count = count + 1 if now < forgotten else 1
            over = count - _FAILURES_MAX
            until = now + min(_LOCK_S * 2 ** min(over, 8), _LOCK_S_MAX) if over >= 0 else 0.0
            self._failed[key] = (count, until, max(now, until) + _FORGOTTEN_S)

    def succeeded(self, *keys: str) -> None:
        """Forget the failures."""
        for key in keys:
            self._failed.pop(key, None)

    def was_none(self, *keys: str) -> None:
        """What was counted last was no failure after all; those before it still count."""
        for key in keys:
            count, _, forgotten = self._failed.get(key, _NEVER)
            if count > 1:
                self._failed[key] = (count - 1, 0.0, forgotten)
            else:
                self._failed.pop(key, None)


class SignIn:
    """Checks passwords, cookies and tokens.

    Args:
        accounts: who there is.
        clock: wall time, s.
    """

    def __init__(self, accounts: AccountsFile, clock: Callable[[], float] = time.time) -> None:
        self._accounts, self._clock = accounts, clock
        self._hasher = PasswordHasher()
        # Checked for a name that does not exist, so that it takes as long as for one that does.
        self._nobody = self._hasher.hash(secrets.token_hex(16))
        # Ended here, until the manager has written it down.
        self._ended: dict[str, int] = {}
        # One at a time: a hash takes tens of milliseconds and 64 MB.
        self._hashing = ThreadPoolExecutor(1, "argon2")

    def has_users(self) -> bool:
        """Somebody can sign in."""
        accounts = self._accounts.now()
        return accounts is not None and bool(accounts.users)

    async def checked(self, name: str, password: str) -> Session | None:
        """As ``by_password``, while everybody else is served."""
        return await asyncio.get_running_loop().run_in_executor(self._hashing, self.by_password, name, password)

    def by_password(self, name: str, password: str) -> Session | None:
        """A fresh session, or None."""
        accounts = self._accounts.now()
        user = accounts.user(name) if accounts else None
        try:
            self._hasher.verify(user.password if user else self._nobody, password)
        except (VerificationError, InvalidHashError):
            return None
        if user is None:
            return None
        now = int(self._clock())
        return Session(user.name, user.generation, now, now, secrets.token_hex(16))

    def cookie(self, session: Session) -> str:
        """The session as text, signed."""
        fields = [session.user, session.generation, session.begun_s, session.seen_s, session.nonce]
        body = base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")
        return f"{body}.{self._signed('session', body)}"

    def by_cookie(self, text: str) -> tuple[Session, Who] | None:
        """Whose session this is, if it still counts."""
        body, _, signature = text.partition(".")
        accounts = self._accounts.now()
        if accounts is None or len(text) > _COOKIE_MAX or not text.isascii():
            return None
        if not hmac.compare_digest(signature, self._signed("session", body)):
            return None
        session = Session(*json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))
        user = accounts.user(session.user)
        if user is None or not self._counts(session, user):
            return None
        if session.nonce in self._ended or any(ended.nonce == session.nonce for ended in accounts.ended):
            return None
        return session, Who(user.name, user.role)

    def end(self, session: Session) -> int:
        """End a session in this process; returns when it would have ended by itself, wall time, s."""
        now, until_s = self._clock(), session.begun_s + LIFE_S
        self._ended = {nonce: until for nonce, until in self._ended.items() if until > now} | {session.nonce: until_s}
        return until_s

    def _counts(self, session: Session, user: User) -> bool:
        now = self._clock()
        young = now - session.begun_s < LIFE_S and now - session.seen_s < IDLE_S
        return young and session.generation == user.generation

    def renewed(self, session: Session) -> Session | None:
        """The session seen now, when it is time to say so again."""
        now = int(self._clock())
        return replace(session, seen_s=now) if now - session.seen_s >= _RENEW_S else None

    def by_token(self, secret: str) -> Who | None:
        """Whose token this is, or None."""
        accounts = self._accounts.now()
        digest = hashlib.sha256(secret.encode()).hexdigest()
        for token in accounts.tokens if accounts else ():
            if hmac.compare_digest(token.digest, digest):
                return Who(f"token:{token.name}"[:64], token.role)
        return None

    def csrf(self, session: Session) -> str:
        """What every form of this session carries."""
        return self._signed("csrf", session.nonce)

    def _signed(self, purpose: str, text: str) -> str:
        accounts = self._accounts.now()
        key = bytes.fromhex(accounts.session_key) if accounts else secrets.token_bytes(32)
        return hmac.new(key, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()
