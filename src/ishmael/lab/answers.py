"""When do the services answer at the cluster IP? Asked from the client, all the time: names, leases, time, mail, and which node.

``python -m ishmael.lab.answers ADDRESS OWN MAC``, on the client: asks until its input ends, then says one JSON object: for
``node``, ``dns``, ``dhcp``, ``ntp`` and ``mail`` the moments of all answers (CLOCK_MONOTONIC, in seconds), each with what was
said.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType

from ishmael.lab import client, plan
from ishmael.lab.plan import LabPlan

CLIENT_MAC = "02:77:00:00:00:50"
_EVERY_S = 0.02
_DHCP_EVERY_S = 0.1
"""Each answer makes the server write its leases."""
_CONNECT_S, _SAID_S = 0.15, 2.0
SETTLE_S = _SAID_S + 1.0
"""So long after a takeover a dialogue that the old master died in was given up, and another one was begun."""
_MAGIC = b"\x63\x82\x53\x63"
_REQUEST, _ACK = 3, 5
_DHCP_SERVER, _DHCP_CLIENT = 67, 68

Answers = dict[str, list[tuple[float, str]]]


class Asking:
    """Asks while a ``with`` block lasts; ``found`` afterwards.

    Args:
        lab: whose client asks, and at whose cluster IP.
    """

    def __init__(self, lab: LabPlan) -> None:
        words = [sys.executable, "-m", "ishmael.lab.answers", plan.CLUSTER_IP, plan.CLIENT_IP, CLIENT_MAC]
        self._command = client.command(lab, words)
        self.found: Answers = {}

    def __enter__(self) -> Asking:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        return self

    def __exit__(self, _kind: type[BaseException] | None, _value: object, _trace: TracebackType | None) -> None:
        said, _ = self._process.communicate(timeout=30)
        self.found = {name: [(at, word) for at, word in rows] for name, rows in json.loads(said).items()}


def after_takeover_ms(found: Answers, old: str, new: str) -> dict[str, float]:
    """From the new master's first answer to each service's, in milliseconds; 0 when that came no later.

    Args:
        found: all answers.
        old, new: names of the nodes.

    Raises:
        ValueError: somebody did not answer again.
    """
    last_s = max((at for at, word in found["node"] if word == old), default=0.0)
    begun_s = min((at for at, word in found["node"] if word == new and at > last_s), default=None)
    if begun_s is None:
        raise ValueError(f"{new} did not answer after {old}")
    times = {"silence": (begun_s - last_s) * 1000}
    for name, rows in found.items():
        first_s = min((at for at, _ in rows if at > last_s + _EVERY_S), default=None)
        if first_s is None:
            raise ValueError(f"{name} did not answer after the takeover")
        if name != "node":
            times[name] = max(0.0, (first_s - begun_s) * 1000)
    return {name: round(value, 1) for name, value in times.items()}


class _Asker:
    """Asks over UDP at a steady pace, whether or not there are answers."""

    def __init__(self, to: tuple[str, int], every_s: float, question: Callable[[int], bytes], own: int = 0) -> None:
        self.rows: list[tuple[float, str]] = []
        self._to, self._every_s, self._question = to, every_s, question
        self._wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._wire.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._wire.bind(("", own))

    def ask(self, stop: threading.Event) -> None:
        """Until told to stop. Nobody there at all is an answer of the kernel (EHOSTUNREACH), and none of a service."""
        number = 0
        while not stop.wait(self._every_s):
            number += 1
            try:
                self._wire.sendto(self._question(number & 0x7FFF), self._to)
            except OSError:
                continue

    def listen(self, word: Callable[[bytes], str]) -> None:
        """Note what is an answer; ``word`` says nothing of what is none."""
        while True:
            try:
                said = self._wire.recv(4096)
            except OSError:
                continue
            at = time.monotonic()
            if found := word(said):
                self.rows.append((at, found))


def _dns(number: int) -> bytes:
    labels = b"".join(bytes([len(label)]) + label for label in (b"pbx", b"phones", b"internal"))
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


def _dns_word(said: bytes) -> str:
    # One address in the answer, which is its last four bytes.
    return socket.inet_ntoa(said[-4:]) if len(said) > 16 and said[6:8] == b"\0\1" else ""


def _dhcp(own: str, mac: str) -> Callable[[int], bytes]:
    """A renewal (RFC 2131, 4.3.2): the address in use stands in ciaddr, and nothing is asked for by option."""
    hardware = bytes.fromhex(mac.replace(":", "")).ljust(16, b"\0")

    def question(number: int) -> bytes:
        head = struct.pack(">BBBBIHH", 1, 1, 6, 0, 0x77000000 | number, 0, 0) + socket.inet_aton(own) + bytes(12)
        return head + hardware + bytes(192) + _MAGIC + bytes([53, 1, _REQUEST, 255])

    return question


def _dhcp_word(said: bytes) -> str:
    return socket.inet_ntoa(said[16:20]) if bytes([53, 1, _ACK]) in said[240:] else ""


def _mail(host: str, stop: threading.Event, rows: list[tuple[float, str]]) -> None:
    """As far as the recipient is taken (RFC 5321, 4.1.1.3), and nothing is sent."""
    while not stop.wait(_EVERY_S):
        try:
            with socket.create_connection((host, 25), timeout=_CONNECT_S) as wire, wire.makefile("rb") as lines:
                wire.settimeout(_SAID_S)
                said = lines.readline()
                for order in ("HELO client", "MAIL FROM:<phone@example.org>", "RCPT TO:<admin@example.org>"):
                    wire.sendall(f"{order}\r\n".encode())
                    said = lines.readline()
                if said.startswith(b"250"):
                    rows.append((time.monotonic(), said[:3].decode()))
                wire.sendall(b"QUIT\r\n")
        except OSError:
            continue


def main() -> int:
    """Ask until the input ends."""
    address, own, mac = sys.argv[1:4]
    askers = {
        "node": (_Asker((address, plan.ECHO_PORT), _EVERY_S, lambda _: b"who"), lambda said: said.decode().split()[-1]),
        "dns": (_Asker((address, 53), _EVERY_S, _dns), _dns_word),
        "dhcp": (_Asker((address, _DHCP_SERVER), _DHCP_EVERY_S, _dhcp(own, mac), _DHCP_CLIENT), _dhcp_word),
        "ntp": (_Asker((address, 123), _EVERY_S, lambda _: b"\x23" + bytes(47)),
                lambda said: str(said[1]) if said[:1] == b"\x24" and said[1] else ""),
    }  # fmt: skip
    stop, mails = threading.Event(), list[tuple[float, str]]()
    for asker, word in askers.values():
        threading.Thread(target=asker.listen, args=(word,), daemon=True).start()
        threading.Thread(target=asker.ask, args=(stop,), daemon=True).start()
    threading.Thread(target=_mail, args=(address, stop, mails), daemon=True).start()
    sys.stdin.read()
    stop.set()
    print(json.dumps({**{name: list(asker.rows) for name, (asker, _) in askers.items()}, "mail": mails}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
