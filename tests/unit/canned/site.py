"""The application over a manager of canned answers, for tests without nodes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
from argon2 import PasswordHasher
from fastapi import FastAPI

from ishmael.web.app import make_app
from ishmael.web.manager import Manager, Who
from ishmael.web.sessions import COOKIE, AccountsFile, SignIn
from ishmael.words.accounts import Accounts, User

PASSWORD = "correct horse"
NICS = [
    {"name": "eth0", "addresses": ["192.168.1.11/24"], "carrier": True, "mac": "02:00:00:00:00:01", "speed_mbit": 1000,
     "managed_by": "nobody"},
]  # fmt: skip
NTP = {
    "name": "ntp", "title": "Time", "package": "chrony", "installed": True, "password_set": False, "trouble": "",
    "changed_by_hand": [], "by_hand": [], "own_lines": [], "units": {"chrony.service": True}, "runs_on": "both",
    "fields": [
        {"name": "enabled", "default": False, "what": "the service runs"},
        {"name": "stratum", "default": 10, "what": "told to telephones"},
        {"name": "servers", "default": [], "what": "asked for the time"},
    ],
    "settings": {"enabled": False, "stratum": 10, "servers": []},
}  # fmt: skip
CHECK = {
    "id": "N1", "name": "ami", "node": "pbx1", "title": "Asterisk", "state": "warning", "output": "slow", "hint": "",
    "since": "", "looked": "", "acknowledged": "", "flapping": False, "perfdata": {},
}  # fmt: skip
JOB = {
    "id": 7, "work": "add-slave", "state": "failed", "arguments": {"name": "pbx2", "phone_ip": "192.168.1.12"},
    "override": [], "steps": 3, "step_number": 2, "step": "", "amount": None, "undone": [], "result": {},
    "created_at": "", "error": {"message": "It is not there.", "hint": "", "findings": []},
}  # fmt: skip
ANSWERS: dict[str, Any] = {
    "/status": {"state": "master-ready", "role": "master", "node": "pbx1", "cluster_ip": "192.168.1.10", "nodes": [],
                "workload": {"asterisk.service": "active (running)"}, "version": "0.1.0"},
    "/lamp": {"state": "ok", "colour": "green", "reasons": [], "maintenance": {"active": False, "until": None, "why": ""}},
    "/maintenance": {"active": False, "until": None, "why": ""},
    "/jobs": {"jobs": []},
    "/jobs/7": JOB,
    "/jobs/7/events": {"events": []},
    "/stories": {"stories": []},
    "/events": {"events": []},
    "/nics": {"nics": NICS},
    "/cluster-key": {"public_key": "ssh-ed25519 AAAA"},
    "/network": {"nics": NICS, "gateway_nic": "eth0", "gateway": "", "dns": [], "host_name": "pbx1", "locked": False,
                 "waiting": None},
    "/services": {"services": [NTP]},
    "/services/ntp": NTP,
    "/checks": {"checks": [CHECK], "unreached": "", "maintenance": {"active": False, "until": None, "why": ""}},
    "/checks/N1/history": {"history": []},
    "/monitoring": {"notify_only": [], "mail": {"host": "", "port": 587, "security": "starttls", "user": "", "password": "",
                                                "sender": "", "to": "", "language": "en", "ca_file": ""}},
    "/mail": {"sent_at": None, "waiting": 0, "error": ""},
    "/users": {"users": [{"name": "anna", "role": "admin", "since": ""}], "tokens": []},
    "/drift": {"changes": [], "services": []},
    "/drift/difference": {"difference": "-old\n+new\n"},
    "/salvage": {"finds": [], "unreached": ""},
    "/salvage/x1": {"id": "x1", "node": "pbx1", "why": "It was here alone.", "at": "", "kind": "rows", "count": 1,
                    "size_bytes": 1, "names": []},
}  # fmt: skip


class CannedManager(Manager):
    """Answers what is known; what is asked for is noted.

    Args:
        path: of a socket that is not there.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.down = False
        self.answers = dict(ANSWERS)
        self.asked: list[tuple[str, str, Any]] = []
        self.keys: list[str] = []
        self.told: list[bytes] = []

    async def raw(self, who: Who, method: str, path: str, **options: Any) -> httpx.Response:
        """An answer, or none while it is down."""
        if self.down:
            return await super().raw(who, method, path, **options)
        if method != "GET":
            self.asked.append((method, path, options.get("json")))
            self.keys += [value for name, value in options.get("headers", {}).items() if name == "idempotency-key"]
            return httpx.Response(202, content=json.dumps({"id": 7, "plan": [], "findings": [], "facts": {}}))
        if path not in self.answers:
            return httpx.Response(404, content=json.dumps({"code": "none", "detail": "There is none."}))
        return httpx.Response(200, content=json.dumps(self.answers[path]))

    async def stream(self, who: Who) -> AsyncIterator[bytes]:
        """What was put into ``told``, as soon as it is there; until it goes down."""
        if not self.down:
            yield b": alive\n\n"
        while not self.down:
            while self.told:
                yield self.told.pop(0)
            await asyncio.sleep(0.02)


class Site:
    """The application, an admin and a viewer.

    Args:
        where: a directory for the accounts.
    """

    def __init__(self, where: Path) -> None:
        cheap = partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
        hasher = cheap()
        self.accounts = Accounts(
            "ab" * 32,
            (User("anna", "admin", hasher.hash(PASSWORD)), User("bert", "viewer", hasher.hash(PASSWORD))),
        )
        self._path = where / "accounts.json"
        self.write(self.accounts)
        self.manager = CannedManager(str(where / "none.sock"))
        file = AccountsFile(str(self._path))
        with patch("ishmael.web.sessions.PasswordHasher", cheap):
            self.app: FastAPI = make_app(self.manager, file)
            self.signer = SignIn(file)
        self.sign_in("anna")

    def write(self, accounts: Accounts) -> None:
        """As the manager changes the file."""
        new = self._path.with_suffix(".new")
        new.write_text(accounts.to_json())
        new.replace(self._path)

    def sign_in(self, name: str) -> None:
        """Who asks from now on."""
        session = self.signer.by_password(name, PASSWORD)
        assert session is not None
        self.session = session
        self.cookies = {COOKIE: self.signer.cookie(session)}
        self.csrf = self.signer.csrf(session)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request, signed in unless cookies say otherwise."""
        return asyncio.run(self.asked(method, path, **options))

    async def asked(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The same inside a loop."""
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        cookies = options.pop("cookies", self.cookies)
        async with httpx.AsyncClient(transport=transport, base_url="https://pbx", cookies=cookies) as client:
            return await client.request(method, path, **options)

    def send(self, path: str, /, **fields: str) -> httpx.Response:
        """A form of ours."""
        return self.ask("POST", path, data={"csrf": self.csrf, **fields})
