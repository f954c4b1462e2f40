"""The book of users, tokens and the session key: kept by the manager, read by the web process, brought to the slave."""

from __future__ import annotations

import grp
import hashlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher

from ishmael.manager.ports.files import Files
from ishmael.words import places
from ishmael.words.accounts import (
    ROLES,
    Accounts,
    Ended,
    Token,
    User,
    accounts_from_json,
    name_objection,
    password_objection,
)
from ishmael.words.errors import Finding, RequestRefused, refusal

MODE = 0o640
_CODE_TRIES_MAX = 10
_TOKEN_NAME_MAX = 64
_ENDED_MAX = 50
_SESSION_S_MAX = 86400


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def give_to_web(path: str) -> None:
    """Let the web process read it; where that is not installed it stays root's."""
    with suppress(KeyError, FileNotFoundError):
        gid = grp.getgrnam(places.WEB_USER).gr_gid
        os.chown(Path(path).parent, 0, gid)
        Path(path).parent.chmod(0o750)
        os.chown(path, 0, gid)
        Path(path).chmod(MODE)


class AccountsBook:
    """Reads and writes the accounts file; one change at a time.

    Args:
        files: the disk.
        hand_over: called with the path after each write, to let the web process read it.
    """

    def __init__(self, files: Files, hand_over: Callable[[str], None] = give_to_web) -> None:
        self._files, self._hand_over = files, hand_over
        self._lock = threading.Lock()
        self._hasher = PasswordHasher()
        self._wrong_codes = 0

    def read(self) -> Accounts | None:
        """What is on disk, or None.

        Raises:
            RequestRefused: it is damaged.
        """
        raw = self._files.read(places.ACCOUNTS)
        return accounts_from_json(raw.decode(errors="replace")) if raw is not None else None

    def _write(self, accounts: Accounts) -> Accounts:
        # The mode is closed until the group is set: what is new is never open to others for a moment.
        self._files.write(places.ACCOUNTS, accounts.to_json().encode(), 0o600)
        self._hand_over(places.ACCOUNTS)
        return accounts

    def _change(self, change: Callable[[Accounts], Accounts]) -> Accounts:
        with self._lock:
            before = self.read() or Accounts(secrets.token_hex(32), revision=0)
            return self._write(replace(change(before), revision=before.revision + 1))

    def take_over(self, accounts: Accounts) -> bool:
        """Take what the master has, if it is another; whether it was. Sessions that were ended here stay ended."""
        with self._lock:
            try:
                mine = self.read()
            except RequestRefused:
                mine = None
            merged = replace(accounts, ended=_both(accounts.ended, mine.ended if mine else ()))
            if mine == merged:
                return False
            self._write(merged)
            return True

    def also_ended(self, ended: Sequence[Ended]) -> bool:
        """Take over which sessions the other node knows to be ended; whether any was new."""
        before = self.read()
        if before is None or _both(before.ended, ended) == before.ended:
            return False
        self._change(lambda a: replace(a, ended=_both(a.ended, ended)))
        return True

    def new_session_key(self) -> None:
        """End all sessions of everybody; also makes a damaged file readable again, without its users."""
        with self._lock:
            try:
                before = self.read()
            except RequestRefused:
                before = Accounts("")
            if before is not None:
                self._write(replace(before, session_key=secrets.token_hex(32), revision=before.revision + 1))

    # --- users ------------------------------------------------------------------------------------------------------

    def add_user(self, name: str, role: str, password: str) -> None:
        """Add a user.

        Raises:
            RequestRefused: all that is wrong with it.
        """
        findings = _user_findings(name, role, password)
        known = self.read()
        if known is not None and known.user(name) is not None:
            findings.append(Finding("name", "user-exists", f"There is a user {name} already.", "Choose another name."))
        if findings:
            raise refusal(findings)
        user = User(name, role, self._hasher.hash(password), since=_now())
        self._change(lambda a: replace(a, users=tuple(sorted((*a.users, user), key=lambda u: u.name))))
        self._forget_code()

    def set_password(self, name: str, password: str) -> None:
        """Give a user another password; his sessions end.

        Raises:
            RequestRefused: no such user, or no such password.
        """
        if objection := password_objection(password):
            raise refusal([Finding("password", "bad-password", objection, "Choose a longer one.")])
        hashed = self._hasher.hash(password)
        self._update(name, lambda u: replace(u, password=hashed, generation=u.generation + 1))

    def sign_out_everywhere(self, name: str) -> None:
        """End all sessions of a user.

        Raises:
            RequestRefused: no such user.
        """
        self._update(name, lambda u: replace(u, generation=u.generation + 1))

    def end_session(self, name: str, nonce: str, until_s: int) -> None:
        """End one session of a user. Who ends more than can be remembered ends all of his.

        Args:
            name: the user.
            nonce: of the session.
            until_s: when it ends by itself, wall time, s.

        Raises:
            RequestRefused: no such user.
        """
        now_s = int(time.time())
        until_s = min(until_s, now_s + _SESSION_S_MAX)

        def ended(before: Accounts) -> Accounts:
            known = [e for e in before.ended if e.until_s > now_s and e.nonce != nonce]
            if sum(e.user == name for e in known) >= _ENDED_MAX:
                users = tuple(replace(u, generation=u.generation + 1) if u.name == name else u for u in before.users)
                return replace(before, users=users, ended=tuple(e for e in known if e.user != name))
            return replace(before, ended=(*known, Ended(name, nonce, until_s)))

        accounts = self.read()
        if accounts is None or accounts.user(name) is None:
            raise _no_such_user(name)
        self._change(ended)

    def remove_user(self, name: str) -> None:
        """Remove a user; never the last admin.

        Raises:
            RequestRefused: no such user, or the last admin.
        """
        accounts = self.read()
        if accounts is None or accounts.user(name) is None:
            raise _no_such_user(name)
        if not any(u.role == "admin" and u.name != name for u in accounts.users):
            raise RequestRefused("last-admin", f"{name} is the last admin.", "Add another admin first.")
        self._change(lambda a: replace(a, users=tuple(u for u in a.users if u.name != name)))

    def set_role(self, name: str, role: str) -> None:
        """Give a user another role, which counts at once; never the last admin.

        Raises:
            RequestRefused: no such user or role, or the last admin.
        """
        if role not in ROLES:
            raise refusal([_role_finding(role)])
        accounts = self.read()
        if accounts is None or accounts.user(name) is None:
            raise _no_such_user(name)
        if role != "admin" and not any(u.role == "admin" and u.name != name for u in accounts.users):
            raise RequestRefused("last-admin", f"{name} is the last admin.", "Add another admin first.")
        self._update(name, lambda u: replace(u, role=role))

    def _update(self, name: str, change: Callable[[User], User]) -> None:
        accounts = self.read()
        if accounts is None or accounts.user(name) is None:
            raise _no_such_user(name)
        self._change(lambda a: replace(a, users=tuple(change(u) if u.name == name else u for u in a.users)))

    # --- tokens -----------------------------------------------------------------------------------------------------

    def add_token(self, name: str, role: str) -> dict[str, Any]:
        """Make a token; its secret is handed out once and kept nowhere.

        Raises:
            RequestRefused: the name or the role is none.
        """
        findings = []
        if not name.strip() or len(name) > _TOKEN_NAME_MAX or not name.isprintable():
            message = f"A token's name is 1 to {_TOKEN_NAME_MAX} printable characters."
            findings.append(Finding("name", "bad-name", message, "Say what it is for."))
        if role not in ROLES:
            findings.append(_role_finding(role))
        if findings:
            raise refusal(findings)
        secret = secrets.token_hex(32)
        token = Token(secrets.token_hex(4), name.strip(), role, hashlib.sha256(secret.encode()).hexdigest(), _now())
        self._change(lambda a: replace(a, tokens=(*a.tokens, token)))
        return {"id": token.id, "name": token.name, "role": role, "token": secret}

    def remove_token(self, number: str) -> None:
        """Remove a token.

        Raises:
            RequestRefused: there is none of this id.
        """
        accounts = self.read()
        if accounts is None or all(token.id != number for token in accounts.tokens):
            raise RequestRefused("no-such-token", f"There is no token {number[:16]!r}.", "See: ishmael user list")
        self._change(lambda a: replace(a, tokens=tuple(t for t in a.tokens if t.id != number)))

    # --- the first sign-in ------------------------------------------------------------------------------------------

    def first_code(self) -> str | None:
        """The one-time code by which the first admin is made in the browser; None once there are users.

        It lies in a file for root alone, so that whoever has the console can read it.
        """
        accounts = self.read()
        if accounts is not None and accounts.users:
            return None
        with self._lock:
            raw = self._files.read(places.FIRST_CODE)
            if raw is None:
                raw = "-".join(f"{secrets.randbelow(10**4):04d}" for _ in range(3)).encode()
                self._files.write(places.FIRST_CODE, raw, 0o600)
        return raw.decode()

    def add_first(self, code: str, name: str, password: str) -> None:
        """Make the first admin.

        Raises:
            RequestRefused: there are users, or the code is wrong.
        """
        expected = self.first_code()
        if expected is None:
            raise RequestRefused("users-exist", "There are users already.", "Sign in, or: ishmael user add")
        if not secrets.compare_digest(code.strip().encode(), expected.encode()):
            self._wrong_codes += 1
            if self._wrong_codes >= _CODE_TRIES_MAX:
                self._wrong_codes = 0
                self._forget_code()
            finding = Finding("code", "wrong-code", "This is not the code.", "Read it on the node: ishmael user code")
            raise refusal([finding])
        self.add_user(name, "admin", password)

    def _forget_code(self) -> None:
        self._files.remove(places.FIRST_CODE)

    def shown(self) -> dict[str, Any]:
        """Users and tokens without their secrets."""
        accounts = self.read()
        users = accounts.users if accounts else ()
        tokens = accounts.tokens if accounts else ()
        return {
            "schema": 1,
            "users": [{"name": u.name, "role": u.role, "since": u.since} for u in users],
            "tokens": [{"id": t.id, "name": t.name, "role": t.role, "since": t.since} for t in tokens],
        }


def _both(ours: Sequence[Ended], others: Sequence[Ended]) -> tuple[Ended, ...]:
    """What either knows, and has not ended by itself; in an order that is the same on both nodes."""
    now_s = int(time.time())
    fresh = {session for session in others if now_s < session.until_s <= now_s + _SESSION_S_MAX}
    return (*ours, *sorted(fresh - set(ours), key=lambda e: e.nonce))


def _user_findings(name: str, role: str, password: str) -> list[Finding]:
    findings = []
    if objection := name_objection(name):
        findings.append(Finding("name", "bad-name", objection, "Choose another name."))
    if role not in ROLES:
        findings.append(_role_finding(role))
    if objection := password_objection(password):
        findings.append(Finding("password", "bad-password", objection, "Choose another password."))
    return findings


def _role_finding(role: str) -> Finding:
    return Finding("role", "bad-role", f"There is no role {role[:32]!r}.", f"One of: {', '.join(ROLES)}.")


def _no_such_user(name: str) -> RequestRefused:
    return RequestRefused("no-such-user", f"There is no user {name[:32]!r}.", "See: ishmael user list")
