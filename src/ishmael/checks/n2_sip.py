"""N2: does the SIP stack answer? OPTIONS (RFC 3261, section 11) over UDP to the cluster IP; any final answer will do."""

from __future__ import annotations

import secrets
import socket
import time

from ishmael.checks.base import MASTER, Check, Result, Seen, critical, ok, program, unknown, warning

_PORT = 5060
_TRIES = 3
_WAIT_S = 0.7
_SLOW_MS = 500.0


def _options(source: str, port: int, target: str, call: str) -> bytes:
    return (
        f"OPTIONS sip:ping@{target} SIP/2.0\r\nVia: SIP/2.0/UDP {source}:{port};branch=z9hG4bK{call};rport\r\n"
        f"Max-Forwards: 10\r\nFrom: <sip:check@{source}>;tag={call}\r\nTo: <sip:ping@{target}>\r\n"
        f"Call-ID: {call}@{source}\r\nCSeq: 1 OPTIONS\r\nContact: <sip:check@{source}:{port}>\r\n"
        "Accept: application/sdp\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def _answer(target: str) -> str:
    """The first line of a final answer, or empty."""
    call = secrets.token_hex(8)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.connect((target, _PORT))
        source, port = wire.getsockname()
        wire.settimeout(_WAIT_S)
        for _ in range(_TRIES):
            wire.send(_options(source, port, target, call))
            try:
                said = wire.recv(65536).decode(errors="replace")
            except TimeoutError:
                continue
            if call in said and not said.startswith("SIP/2.0 1"):
                return said.partition("\r\n")[0]
    return ""


def probe(seen: Seen) -> Result:
    """OPTIONS, then a bounded look behind it: the core must answer its console too."""
    if seen.settings is None:
        return unknown("there is no cluster IP")
    begun = time.monotonic()
    try:
        line = _answer(seen.settings.cluster_ip)
    except OSError as error:
        return critical(f"nothing takes SIP at {seen.settings.cluster_ip}: {error.strerror or error}")
    took_ms = (time.monotonic() - begun) * 1000
    if not line:
        return critical(f"no answer to SIP OPTIONS at {seen.settings.cluster_ip}")
    code, said = program(["/usr/sbin/asterisk", "-rx", "core show channels count"], 3.0)
    if code == -1:
        return critical("SIP answers, but Asterisk behind it does not")
    judge = warning if took_ms > _SLOW_MS or code else ok
    found = f"SIP answers: {line.removeprefix('SIP/2.0 ')}" + (f"; Asterisk says: {said[:80]}" if code else "")
    return judge(found, time=f"{took_ms:.1f}ms")


CHECK = Check(
    "N2", "sip", ("Asterisk SIP", "Asterisk SIP"), MASTER, probe,
    ("See: asterisk -rx 'pjsip show transports'; systemctl status asterisk. A restart of Asterisk ends the calls.",
     "Siehe: asterisk -rx 'pjsip show transports'; systemctl status asterisk. Ein Neustart beendet die Gespräche."),
    interval_s=20, retry_s=2,
)  # fmt: skip
