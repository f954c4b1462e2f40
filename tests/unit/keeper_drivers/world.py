"""Hosts on a wire, made of unnamed namespaces: each lives as long as its holder process, and that no longer than the test."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

T = TypeVar("T")
SOURCE = Path(__file__).resolve().parents[3] / "src"
_DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL", "--"]


def until(look: Callable[[], T], deadline_s: float = 5.0, step_s: float = 0.002) -> T:
    """Look again and again until it is true, or fail at the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < end, f"not within {deadline_s} s"
        select.select([], [], [], step_s)


@dataclass
class Host:
    """A network and mount namespace of its own, with private /run, /dev/shm and /var/lib/corosync."""

    holder: subprocess.Popen[str]
    children: list[subprocess.Popen[Any]] = field(default_factory=list)

    @property
    def enter(self) -> list[str]:
        """What to put before a command so that it runs in this host."""
        return ["nsenter", "-t", str(self.holder.pid), "-n", "-m", "--"]

    def run(self, *command: str) -> str:
        """Run a command to its end; its output."""
        return subprocess.run([*self.enter, *command], check=True, capture_output=True, text=True, timeout=20).stdout

    def start(self, *command: str, **options: Any) -> subprocess.Popen[Any]:
        """Start a command that dies with the test."""
        child: subprocess.Popen[Any] = subprocess.Popen(
            [*_DIE_WITH_PARENT, *self.enter, *command], start_new_session=True, **options
        )
        self.children.append(child)
        return child

    def puppet(self, script: str, *arguments: str) -> Puppet:
        """Run one of this directory's scripts in the host and talk to it in JSON lines."""
        return Puppet(
            self.start(
                *(sys.executable, str(Path(__file__).with_name(script)), *arguments),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
                env={**os.environ, "PYTHONPATH": f"{SOURCE}:{Path(__file__).parents[1]}"},
            )
        )

    def close(self) -> None:
        """End everything in it, by process id."""
        for child in [*self.children, self.holder]:
            if child.poll() is None:
                child.send_signal(signal.SIGCONT)
                child.kill()
            child.wait(10)
            for stream in (child.stdin, child.stdout, child.stderr):
                if stream is not None:
                    stream.close()


class Puppet:
    """A process in a host that obeys: one JSON line a question, one JSON line an answer."""

    def __init__(self, process: subprocess.Popen[Any]) -> None:
        self.process = process

    def ask(self, name: str, *arguments: Any, deadline_s: float = 10.0) -> Any:
        """Call a function of the puppet."""
        to: IO[str] | None = self.process.stdin
        back: IO[str] | None = self.process.stdout
        assert to is not None
        assert back is not None
        to.write(json.dumps([name, *arguments]) + "\n")
        to.flush()
        ready, _, _ = select.select([back], [], [], deadline_s)
        assert ready, f"puppet did not answer {name} within {deadline_s} s"
        line = back.readline()
        assert line, f"puppet died at {name}"
        return json.loads(line)

    def freeze(self) -> None:
        """SIGSTOP it."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT it."""
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def host() -> Iterator[Host]:
    """A host without NICs other than loopback."""
    script = (
        "mount --make-rprivate / && for d in /run /dev/shm /var/lib/corosync; do mount -t tmpfs tmpfs $d; done"
        " && ip link set lo up && echo ready && exec sleep infinity"
    )
    holder = subprocess.Popen(
        [*_DIE_WITH_PARENT, "unshare", "--net", "--mount", "sh", "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    made = Host(holder)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        yield made
    finally:
        made.close()


def cable(one: Host, other: Host, nic: str, one_ip: str = "", other_ip: str = "") -> None:
    """Join two hosts by a veth pair with the same NIC name on both ends.

    Args:
        one: gets ``one_ip``.
        other: gets ``other_ip``.
        nic: name on both sides.
        one_ip: with prefix length, or empty.
        other_ip: with prefix length, or empty.
    """
    one.run("ip", "link", "add", nic, "type", "veth", "peer", "name", nic, "netns", str(other.holder.pid))
    for end, address in ((one, one_ip), (other, other_ip)):
        if address:
            end.run("ip", "addr", "add", address, "dev", nic)
        end.run("ip", "link", "set", nic, "up")


def serve(functions: dict[str, Callable[..., Any]]) -> None:
    """The puppet's side: answer questions until the input ends."""
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(functions[name](*arguments)), flush=True)
