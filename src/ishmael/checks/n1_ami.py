"""N1: does Asterisk's manager interface (AMI) let us in and answer Ping? Forty honest lines instead of a client library."""

from __future__ import annotations

import configparser
import socket
import time
from pathlib import Path

from ishmael.checks.base import MASTER, Check, Result, Seen, critical, ok, unknown, warning

CONF = Path("/etc/asterisk/manager.conf")
_LIMIT_S = 3.0
_SLOW_MS = 1000.0


def _logins() -> tuple[str, int, str, str]:
    """Address, port, user and password, from manager.conf."""
    parser = configparser.ConfigParser(
        strict=False, interpolation=None, inline_comment_prefixes=(";",), delimiters=("=",)
    )
    text = CONF.read_text(errors="replace").replace("=>", "=")
    parser.read_string("\n".join(line.strip() for line in text.splitlines() if not line.strip().startswith("#")))
    general = parser["general"] if parser.has_section("general") else {}
    user = next((s for s in parser.sections() if s != "general" and parser.has_option(s, "secret")), "")
    secret = parser[user]["secret"].strip() if user else ""
    bound = str(general.get("bindaddr", "127.0.0.1")).strip()
    return ("127.0.0.1" if bound == "0.0.0.0" else bound), int(general.get("port", 5038)), user, secret  # noqa: S104


def probe(seen: Seen) -> Result:  # noqa: PLR0911 - one line for each way it can end
    """Connect, log in, Ping, log off."""
    try:
        address, port, user, secret = _logins()
    except (OSError, configparser.Error, ValueError) as error:
        return unknown(f"{CONF} cannot be read: {error}")
    if seen.monitoring.ami.user:
        user, secret = seen.monitoring.ami.user, seen.monitoring.ami.password
    if not user:
        return unknown(f"{CONF} has no user to log in as")
    begun = time.monotonic()
    try:
        with socket.create_connection((address, port), _LIMIT_S) as wire:
            wire.settimeout(_LIMIT_S)
            lines = wire.makefile("rb")
            if not lines.readline().startswith(b"Asterisk Call Manager"):
                return critical(f"{address}:{port} is not Asterisk's manager interface")
            said = _ask(wire, lines, f"Action: Login\r\nUsername: {user}\r\nSecret: {secret}\r\nEvents: off\r\n\r\n")
            if "Response: Success" not in said:
                return critical(f"the manager interface refuses the login of {user}")
            pong = _ask(wire, lines, "Action: Ping\r\n\r\n")
            wire.sendall(b"Action: Logoff\r\n\r\n")
    except TimeoutError:
        return critical(f"the manager interface at {address}:{port} does not answer within {_LIMIT_S:.0f} s")
    except OSError as error:
        return critical(f"the manager interface at {address}:{port} does not answer: {error.strerror or error}")
    took_ms = (time.monotonic() - begun) * 1000
    if "Pong" not in pong:
        return critical("the manager interface did not answer Ping")
    judge = warning if took_ms > _SLOW_MS else ok
    return judge(f"logged in as {user}, Ping answered in {took_ms:.1f} ms", time=f"{took_ms:.1f}ms")


def _ask(wire: socket.socket, lines: socket.SocketIO | object, request: str) -> str:
    """One action and the block that answers it."""
    wire.sendall(request.encode())
    block = ""
    while not block.startswith("Response:"):
        block = ""
        while line := lines.readline().decode(errors="replace").strip():  # type: ignore[union-attr]
            block += line + "\n"
        if not block:
            raise ConnectionError("it closed the connection")
    return block


CHECK = Check(
    "N1", "ami", ("Asterisk AMI", "Asterisk AMI"), MASTER, probe,
    ("See: systemctl status asterisk; asterisk -rx 'manager show settings'; does the password in manager.conf fit?",
     "Siehe: systemctl status asterisk; asterisk -rx 'manager show settings'; stimmt das Passwort in manager.conf?"),
    retry_s=2,
)  # fmt: skip
