"""Looking at the services beside the cluster: name servers, the clock, SMTP (RFC 5321), HylaFAX, Asterisk's calls."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ishmael.manager.drivers import asking
from ishmael.manager.drivers.programs import run, words_of
from ishmael.manager.ports.surroundings import Service
from ishmael.words.errors import HostFault

_LIMIT_S = 2.0
_SERVERS_MAX = 3
RESOLV_CONF = "/etc/resolv.conf"
_HYLAFAX = ("/etc/hylafax/config", "/var/spool/hylafax/etc/config")
_SMTP_PORT, _FAX_PORT = 25, 4559


class SeenSurroundings:
    """The real ones.

    Args:
        resolv_conf: where the name servers stand (resolv.conf(5)).
        mail: host and port of the mail server of this machine.
        fax: files of which one is there when the fax server was set up.
        fax_at: host and port of the fax server (hfaxd(8)) of this machine.
    """

    def __init__(
        self,
        resolv_conf: str = RESOLV_CONF,
        mail: tuple[str, int] = ("127.0.0.1", _SMTP_PORT),
        fax: tuple[str, ...] = _HYLAFAX,
        fax_at: tuple[str, int] = ("127.0.0.1", _FAX_PORT),
    ) -> None:
        self._resolv_conf, self._mail_at, self._fax_files, self._fax_at = resolv_conf, mail, fax, fax_at

    def services(self) -> tuple[Service, ...]:
        """All four, side by side: none waits for another's silence."""
        looks = (self._dns, self._clock, self._mail, self._fax)
        with ThreadPoolExecutor(len(looks)) as pool:
            return tuple(pool.map(lambda look: look(), looks))

    def _dns(self) -> Service:
        try:
            lines = Path(self._resolv_conf).read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        words = [line.split() for line in lines]
        servers = [each[1] for each in words if len(each) > 1 and each[0] == "nameserver"][:_SERVERS_MAX]
        if not servers:
            return Service("dns", False, f"{self._resolv_conf} names no name server")
        answering = next((server for server in servers if asking.answers_dns(server)), None)
        said = f"none of {', '.join(servers)} answers" if answering is None else f"{answering} answers"
        return Service("dns", answering is not None, said)

    @staticmethod
    def _clock() -> Service:
        try:
            done = run(["chronyc", "-c", "tracking"], limit_s=5)
            fields = done.stdout.decode(errors="replace").strip().split(",")
            if done.returncode == 0 and len(fields) > 13:
                good = fields[13] == "Normal" and fields[2] not in ("", "0")
                return Service("clock", good, "chrony is in step" if good else "chrony is not in step with any server")
        except HostFault:
            pass
        try:
            done = run(["timedatectl", "show", "--property=NTPSynchronized", "--value"], limit_s=5)
        except HostFault as error:
            return Service("clock", False, error.message.rstrip("."))
        good = done.stdout.strip() == b"yes"
        return Service("clock", good, "it is in step" if good else "no NTP service keeps it in step")

    def _mail(self) -> Service:
        host, port = self._mail_at
        try:
            with socket.create_connection((host, port), timeout=_LIMIT_S) as wire, wire.makefile("rb") as lines:
                wire.settimeout(_LIMIT_S)
                greeting = lines.readline(1000)
                wire.sendall(b"EHLO localhost\r\n")
                answer = lines.readline(1000)
                wire.sendall(b"QUIT\r\n")
        except OSError as error:
            return Service("mail", False, f"no mail server answers at {host} port {port} ({error.strerror or error})")
        good = greeting.startswith(b"220") and answer.startswith(b"250")
        said = (
            "the mail server takes mail" if good else f"the mail server says {answer[:60].decode(errors='replace')!r}"
        )
        return Service("mail", good, said)

    def _fax(self) -> Service:
        found = next((path for path in self._fax_files if Path(path).exists()), None)
        if found is None:
            return Service("fax", False, "the fax server was never set up")
        host, port = self._fax_at
        try:
            with socket.create_connection((host, port), timeout=_LIMIT_S) as wire, wire.makefile("rb") as lines:
                wire.settimeout(_LIMIT_S)
                greeting = lines.readline(1000)
        except OSError as error:
            why = error.strerror or error
            return Service("fax", False, f"no fax server answers at {host} port {port} ({why})")
        good = greeting.startswith((b"220", b"130"))
        return Service("fax", good, "the fax server answers" if good else "what answers is no fax server")

    def address_of(self, server: str, name: str) -> str | None:
        """By one question over UDP."""
        return asking.address_of(server, name)

    def tells_time(self, server: str) -> bool:
        """By one question over UDP."""
        return asking.tells_time(server)

    def calls(self) -> int | None:
        """As ``core show channels count`` says."""
        return read_calls(_asterisk("core show channels count"))

    def phones(self) -> int | None:
        """As ``pjsip show contacts`` counts them."""
        return read_contacts(_asterisk("pjsip show contacts"))

    def answered_channel(self) -> str:
        """As ``core show channels concise`` says."""
        return read_answered(_asterisk("core show channels concise"))


def _asterisk(command: str) -> str:
    """What Asterisk's console says; empty when it does not answer."""
    try:
        done = run(["asterisk", "-rx", command], limit_s=5)
    except HostFault:
        return ""
    return "" if done.returncode else done.stdout.decode(errors="replace") or words_of(done)


def read_calls(text: str) -> int | None:
    """The number before ``active call(s)``, or None."""
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 3 and words[1] == "active" and words[2].startswith("call") and words[0].isdigit():
            return int(words[0])
    return None


def read_contacts(text: str) -> int | None:
    """The number after ``Objects found:``, 0 for ``No objects found.``, or None."""
    for line in text.splitlines():
        if line.startswith("No objects found"):
            return 0
        name, _, count = line.partition(":")
        if name.strip() == "Objects found" and count.strip().isdigit():
            return int(count)
    return None


def read_answered(text: str) -> str:
    """The first channel to the outside whose state is Up, or ``""``: name!context!extension!priority!state!..."""
    for line in text.splitlines():
        parts = line.split("!")
        if len(parts) > 4 and parts[4] == "Up" and not parts[0].startswith("Local/"):
            return parts[0]
    return ""
