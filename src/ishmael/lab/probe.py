"""The probe: a client on the telephone network that asks the cluster IP all the time and notes when it is answered.

Run inside the client's namespace as ``python -m ishmael.lab.probe``; stopped by the end of its standard input. Its last
line is one JSON object with every answered question, so that gaps can be computed by others as well.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import socket
import sys
import time
from dataclasses import dataclass, field

SECONDS_MAX = 600.0
SIP_PORT = 5060
READY = "ready"
"""The line said when the first answer has come."""


@dataclass
class Track:
    """One kind of question.

    Args:
        name: ``echo`` or ``sip``.
        every_s: seconds between two questions.
        sock: connected to the cluster IP, non-blocking.
    """

    name: str
    every_s: float
    sock: socket.socket
    sent: dict[int, float] = field(default_factory=dict)
    answered: list[tuple[float, float, str]] = field(default_factory=list)
    asked: int = 0
    due_s: float = 0.0
    late_ms: list[float] = field(default_factory=list)


def _socket(server: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    sock.connect((server, port))
    return sock


def options_request(number: int, server: str, client: tuple[str, int]) -> bytes:
    """A SIP OPTIONS request whose Call-ID tells its number (RFC 3261, section 11)."""
    host, port = client
    lines = [
        f"OPTIONS sip:{server} SIP/2.0",
        f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK-probe-{number};rport",
        "Max-Forwards: 70",
        f"From: <sip:probe@{host}>;tag=p{number}",
        f"To: <sip:{server}>",
        f"Call-ID: probe-{number}@{host}",
        "CSeq: 1 OPTIONS",
        f"Contact: <sip:probe@{host}:{port}>",
        "Content-Length: 0",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def sip_number(answer: bytes) -> int | None:
    """The number in the Call-ID of an answer; none when it is not an answer of ours."""
    for line in answer.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() in (b"call-id", b"i"):
            text = value.strip().decode(errors="replace").partition("@")[0]
            return int(text.removeprefix("probe-")) if text.removeprefix("probe-").isdigit() else None
    return None


def _ask(track: Track, server: str, now: float) -> None:
    number = track.asked
    track.asked += 1
    track.late_ms.append((now - track.due_s) * 1000)
    # After a delay of our own the questions missed are not made up for: they would lie about the time between.
    track.due_s = max(track.due_s + track.every_s, now)
    data = b"%d" % number
    if track.name == "sip":
        data = options_request(number, server, track.sock.getsockname())
    track.sent[number] = now
    with contextlib.suppress(OSError):
        track.sock.send(data)


def _hear(track: Track) -> None:
    while True:
        try:
            data = track.sock.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            # "Port unreachable" of an earlier question; an absent answer says the same.
            continue
        if track.name == "sip":
            number, who = sip_number(data), ""
        else:
            text, _, name = data.partition(b" ")
            number, who = (int(text) if text.isdigit() else None), name.decode(errors="replace")
        if number is not None and number in track.sent:
            track.answered.append((track.sent.pop(number), time.monotonic(), who))


def run(server: str, echo_port: int, echo_ms: float, sip_ms: float) -> list[Track]:
    """Ask until standard input ends, or ``SECONDS_MAX``.

    Args:
        server: the cluster IP.
        echo_port: UDP port of the echo service.
        echo_ms: milliseconds between two echo questions.
        sip_ms: milliseconds between two OPTIONS.
    """
    began = time.monotonic()
    tracks = [
        Track("echo", echo_ms / 1000, _socket(server, echo_port), due_s=began),
        Track("sip", sip_ms / 1000, _socket(server, SIP_PORT), due_s=began),
    ]
    poll = select.poll()
    for track in tracks:
        poll.register(track.sock, select.POLLIN)
    poll.register(0, select.POLLIN)
    ready_said = False
    while time.monotonic() - began < SECONDS_MAX:
        now = time.monotonic()
        if not ready_said and tracks[0].answered:
            # Who measures waits for this: a fault before the first answer would go unseen.
            sys.stdout.write(READY + "\n")
            sys.stdout.flush()
            ready_said = True
        for track in tracks:
            if now >= track.due_s:
                _ask(track, server, now)
        wait_s = min(track.due_s for track in tracks) - time.monotonic()
        ready = poll.poll(max(0.0, wait_s * 1000))
        if any(fd == 0 for fd, _ in ready):
            break
        for track in tracks:
            _hear(track)
    return tracks


def main() -> None:
    """The command line of the probe's process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server")
    parser.add_argument("--echo-port", type=int, required=True)
    parser.add_argument("--echo-ms", type=float, default=2.0)
    parser.add_argument("--sip-ms", type=float, default=20.0)
    options = parser.parse_args()
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(5))
    tracks = run(options.server, options.echo_port, options.echo_ms, options.sip_ms)
    result = {
        track.name: {
            "asked": track.asked,
            "answered": track.answered,
            "unanswered": list(track.sent.values()),
            "late_ms": sorted(track.late_ms)[-20:],
            "ended_s": time.monotonic(),
        }
        for track in tracks
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
