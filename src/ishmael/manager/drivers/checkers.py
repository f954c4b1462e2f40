"""Checkers of services, run on files laid aside; and a knock at a mail server (RFC 5321, RFC 3207, RFC 4954)."""

from __future__ import annotations

import os
import smtplib
import socket
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ishmael.manager.drivers.programs import run, words_of

_KNOCK_S = 5.0
_LONG_AGO_S = 1_000_000_000


class Checkers:
    """The programs of this machine."""

    def installed(self, path: str) -> bool:
        """There is such a program."""
        return os.access(path, os.X_OK)

    def refusal(self, files: Mapping[str, bytes], commands: Sequence[Sequence[str]], *, quiet: bool) -> str:
        """Run each command on the files, in a directory for root alone."""
        with tempfile.TemporaryDirectory(prefix="ishmael-check-") as directory:
            for path, data in files.items():
                staged = Path(directory, Path(path).name)
                staged.write_bytes(data)
                # Postfix waits two seconds with a main.cf that was written a moment ago: it could be half a file.
                os.utime(staged, (_LONG_AGO_S, _LONG_AGO_S))
            for command in commands:
                done = run([word.replace("{dir}", directory) for word in command])
                if done.returncode or (quiet and done.stderr.strip()):
                    return words_of(done).replace(f"{directory}/", "")
        return ""

    def reload_units(self) -> None:
        """Cheap when nothing has changed."""
        run(["systemctl", "daemon-reload"])

    def login_trouble(self, host: str, port: int, how: str, login: tuple[str, str], *, verify: bool) -> tuple[str, str]:
        """Say hello, secure the line, log in, and leave."""
        try:
            socket.getaddrinfo(host, port, socket.AF_INET)
        except OSError as error:
            return "unknown", error.strerror or str(error)
        context = ssl.create_default_context() if verify else ssl._create_unverified_context()  # noqa: S323
        try:
            if how == "tls":
                server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=_KNOCK_S, context=context)
            else:
                server = smtplib.SMTP(host, port, timeout=_KNOCK_S)
            with server:
                if how == "starttls":
                    server.starttls(context=context)
                if login[0]:
                    server.login(*login)
        except smtplib.SMTPAuthenticationError as error:
            said = error.smtp_error
            return "login", said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        except (ssl.SSLError, smtplib.SMTPNotSupportedError) as error:
            return "tls", str(error)
        except (OSError, smtplib.SMTPException) as error:
            return "unreachable", str(error)
        return "", ""
