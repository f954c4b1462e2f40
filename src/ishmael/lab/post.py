"""The lab's smarthost, on the client: wants STARTTLS (RFC 3207) and a login (RFC 4954), keeps every mail, sends nothing on.

It is up as long as the lab. ``python -m ishmael.lab.post DIRECTORY`` is the server's own process.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import ssl
import subprocess
import sys
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from ishmael.lab import client, plan
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.lab.tools import run, wait_until
from ishmael.words.errors import HostFault

PORT = 587
USER = "ishmael"
TO = "admin@example.org"
_BYTES_MAX = 4 << 20
_CERTIFICATE, _KEY, _PASSWORD, _MAILS, _READY = "certificate.pem", "key.pem", "password", "mails", "ready"
_ON_NODES = "/etc/ssl/certs/lab-smarthost.pem"


@dataclass(frozen=True)
class Post:
    """The smarthost of a lab.

    Args:
        lab: whose.
    """

    lab: LabPlan

    @property
    def home(self) -> Path:
        """Certificate, key, password and mails."""
        return self.lab.run_directory / "post"

    @property
    def mails(self) -> Path:
        """One file a mail, in the order in which they came."""
        return self.home / _MAILS

    @property
    def password_file(self) -> Path:
        """What has to be said at the login."""
        return self.home / _PASSWORD

    def open(self) -> None:
        """Make certificate and password, where they are not there yet, and take mail until the lab goes down.

        Raises:
            HostFault: it does not come up.
        """
        self.mails.mkdir(parents=True, exist_ok=True)
        if not self.password_file.exists():
            self.password_file.touch(0o600)
            self.password_file.write_text(secrets.token_urlsafe(18))
            run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                 "-subj", "/CN=lab smarthost", "-addext", f"subjectAltName=IP:{plan.CLIENT_IP}",
                 "-keyout", str(self.home / _KEY), "-out", str(self.home / _CERTIFICATE)]
            )  # fmt: skip
        ready = self.home / _READY
        ready.unlink(missing_ok=True)
        words = client.command(self.lab, [sys.executable, "-m", "ishmael.lab.post", str(self.home)])
        with (self.home / "log").open("ab") as log:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        if not wait_until(lambda: ready.exists() or process.poll() is not None, 15, 0.02) or not ready.exists():
            raise HostFault("no-smarthost", f"Nothing takes mail at {plan.CLIENT_IP}:{PORT}: see {self.home / 'log'}.")

    def close(self) -> None:
        """Take no more mail, as a smarthost that is down; ``open`` goes on with the same directory."""
        ready = self.home / _READY
        if ready.exists():
            os.kill(int(ready.read_text()), 9)
            ready.unlink()

    def use(self, master: Node, nodes: tuple[Node, ...]) -> None:
        """Let the cluster send its mails here, by the product's own command.

        Raises:
            HostFault: it refuses.
        """
        for node in nodes:
            node.say(
                ["sh", "-euc", f"cat >{_ON_NODES}; sync {_ON_NODES}"], stdin=(self.home / _CERTIFICATE).read_text()
            )
        there = "/root/lab-smarthost"
        master.say(["sh", "-euc", f"umask 077; cat >{there}"], stdin=self.password_file.read_text())
        master.say(
            ["ishmael", "mail", "set", "--host", plan.CLIENT_IP, "--port", str(PORT), "--security", "starttls",
             "--user", USER, "--password-file", there, "--to", TO, "--ca-file", _ON_NODES]
        )  # fmt: skip
        master.say(["rm", there])

    def texts(self) -> list[str]:
        """The mails so far, each its subject and its decoded text."""
        found = [
            message_from_bytes(path.read_bytes(), policy=policy.default) for path in sorted(self.mails.glob("*.eml"))
        ]
        return [f"{mail['Subject']}\n{mail.get_content()}" for mail in found]

    def text(self) -> str:
        """All of it."""
        return "\n".join(self.texts())


class _Keeper:
    """aiosmtpd's handler: a mail is taken once its file is whole."""

    def __init__(self, home: Path) -> None:
        self._mails = home / _MAILS
        self._taken = len(list(self._mails.glob("*.eml")))

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        self._taken += 1
        fresh = self._mails / f"{self._taken:04}.new"
        fresh.write_bytes(envelope.original_content or b"")
        fresh.rename(fresh.with_suffix(".eml"))
        return "250 taken"


async def _serve(home: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home / _CERTIFICATE, home / _KEY)
    password, keeper = (home / _PASSWORD).read_bytes(), _Keeper(home)

    def authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _how: str, said: object) -> AuthResult:
        known = isinstance(said, LoginPassword) and secrets.compare_digest(said.login + b"\0" + said.password,
                                                                           USER.encode() + b"\0" + password)  # fmt: skip
        return AuthResult(success=known, handled=False)

    def session() -> SMTP:
        return SMTP(
            keeper, hostname="lab", tls_context=context, require_starttls=True, auth_required=True,
            authenticator=authenticate, data_size_limit=_BYTES_MAX,
        )  # fmt: skip

    server = await asyncio.get_running_loop().create_server(session, plan.CLIENT_IP, PORT)
    (home / "ready.new").write_text(str(os.getpid()))
    (home / "ready.new").rename(home / _READY)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
