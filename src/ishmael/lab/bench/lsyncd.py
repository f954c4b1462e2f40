"""lsyncd(1) of Debian beside the product: nodes and wires of the same kind, the same files, an rsync server on the other end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ishmael.lab import lifecycle
from ishmael.lab.bench import files
from ishmael.lab.lifecycle import nodes_of
from ishmael.lab.measure import spread
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault

LAB = "lsyncd"
PACKAGES = ("lsyncd", "rsync")
BOX = "var/spool/bench"
RSYNCD = """\
uid = 0
gid = 0
use chroot = no
[bench]
path = /var/spool/bench
read only = no
"""
DEFAULT = """\
settings { nodaemon = true }
sync {
    default.rsync,
    source = "/var/spool/bench",
    target = "rsync://10.78.0.2:8731/bench/",
}
"""
AT_ONCE = DEFAULT.replace("default.rsync,", "default.rsync,\n    delay = 0,")
CONFIGURATIONS = {"lsyncd-default": (DEFAULT, 5), "lsyncd-delay-0": (AT_ONCE, 40)}
"""Configuration, and how many files are measured: the default waits up to 15 s for each."""
_STARTED_S, _LIMIT_S = 30.0, 60.0


def measure(say: Callable[[str], None]) -> dict[str, Any]:
    """The lag of voice mails with each configuration, in a lab of its own that is taken down again.

    Args:
        say: gets a line of progress.

    Raises:
        HostFault: lsyncd does not work.
    """
    lab = LabPlan(LAB)
    lifecycle.up(lab, None, say, PACKAGES)
    try:
        source, target = nodes_of(lab)
        for node in (source, target):
            node.say(["mkdir", "-p", f"/{BOX}"])
        _start(
            target,
            "bench-rsyncd",
            RSYNCD,
            ["rsync", "--daemon", "--no-detach", "--port=8731", "--config=/run/bench.conf"],
        )
        return {name: _one(source, target, name, *how, say) for name, how in CONFIGURATIONS.items()}
    finally:
        lifecycle.down(lab)


def _start(node: Node, unit: str, text: str, argv: list[str]) -> None:
    done = node.exec(["sh", "-euc", "cat >/run/bench.conf"], stdin=text)
    if done.returncode:
        raise HostFault("peer-failed", f"/run/bench.conf cannot be written: {done.stderr}")
    node.say(["systemd-run", "--quiet", "--collect", f"--unit={unit}", "--", *argv])


def _one(source: Node, target: Node, name: str, text: str, count: int, say: Callable[[str], None]) -> dict[str, Any]:
    _start(source, "bench-lsyncd", text, ["lsyncd", "/run/bench.conf"])
    try:
        # Its first pass over everything is not what is measured.
        first = files.lags_ms(source, target, 1, BOX, _STARTED_S)
        lags = files.lags_ms(source, target, count, BOX, _LIMIT_S)
    finally:
        source.exec(["systemctl", "stop", "bench-lsyncd"], timeout_s=20)
        wait_until(lambda: source.exec(["systemctl", "is-active", "bench-lsyncd"]).returncode != 0, 10, 0.2)
    say(f"{name}: {len(lags)} files, {spread(lags)} ms (the first {first[0]:.0f} ms)")
    return {**spread(lags), "runs": len(lags)}
