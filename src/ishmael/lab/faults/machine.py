"""Faults of whole machines: without power, frozen, hung; and of their disks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from ishmael.lab import cgroups
from ishmael.lab.faults import wires
from ishmael.lab.node import Node
from ishmael.lab.plan import CLUSTER_IP
from ishmael.lab.tools import run, wait_until
from ishmael.words.errors import HostFault

RECORD = "var/lib/ishmael/record"
_FILL = "var/lab-fault-fill"
_FREEZE_TIMEOUT_S = 5.0


def switch_on(node: Node) -> None:
    """Boot a node that is off."""
    if node.supervisor_pid is None:
        node.boot()
    node.wait_running()


def power_on(node: Node) -> None:
    """Give a node its power back. One that runs with its links down came out of a power cut that was broken off."""
    if node.init_pid is not None and not wires.link_is_up(node):
        node.wait_off()
    switch_on(node)


def cut_both(node: Node) -> None:
    """Take the power from both nodes at once."""
    for each in (node, wires.peer_of(node)):
        each.stand_still()
    with ThreadPoolExecutor(2) as both:
        list(both.map(Node.power_cut, (node, wires.peer_of(node))))


def power_on_both(node: Node) -> None:
    """Give both nodes their power back at once."""
    with ThreadPoolExecutor(2) as both:
        list(both.map(power_on, (node, wires.peer_of(node))))


def _payload(node: Node) -> str:
    return f"{node.cgroup}/payload"


def freeze(node: Node) -> None:
    """Freeze every process of a node (cgroups(7)); its kernel goes on.

    Raises:
        HostFault: they do not freeze.
    """
    cgroups.freeze(_payload(node), frozen=True)
    events = cgroups.directories(_payload(node))[0] / "cgroup.events"
    if not wait_until(lambda: "frozen 1" in events.read_text(encoding="ascii"), _FREEZE_TIMEOUT_S, 0.005):
        raise HostFault("not-frozen", f"The processes of {node.plan.name} do not freeze.")


def thaw(node: Node) -> None:
    """Let every process of a node go on."""
    with suppress(FileNotFoundError):
        cgroups.freeze(_payload(node), frozen=False)


def hang(node: Node) -> None:
    """Let a machine stand still with all it has: no frame passes, and its address does not run out."""
    freeze(node)
    wires.keep_address(node, CLUSTER_IP, "forever")
    wires.isolate(node)


def unhang(node: Node) -> None:
    """Let it go on where it stood: the address it held runs out in a second, as it would have."""
    wires.keep_address(node, CLUSTER_IP, "1")
    wires.mend_switch(node.lab)
    thaw(node)
    wires.mend(node)


def _inside(node: Node, path: str) -> Path:
    return Path(f"/proc/{node.init_pid}/root", path)


def fill_disk(node: Node) -> None:
    """Take every block of the node's disk."""
    with _inside(node, _FILL).open("wb") as file:
        size, step = 0, 1 << 34
        while step >= 4096:
            try:
                os.posix_fallocate(file.fileno(), size, step)
                size += step
            except OSError:
                step //= 2
        with suppress(OSError):
            while os.write(file.fileno(), b"\0" * 4096):
                pass


def empty_disk(node: Node) -> None:
    """Give the blocks back."""
    if node.init_pid is None:
        switch_on(node)
    _inside(node, _FILL).unlink(missing_ok=True)


def abort_disk(node: Node) -> None:
    """Make the kernel give up writing to the node's disk, as after an I/O error (ext4(5), option abort): read-only."""
    run(["nsenter", "--mount", f"--target={node.init_pid}", "mount", "-o", "remount,abort", "/var"])


def repair_disk(node: Node) -> None:
    """Only a reboot makes such a disk writable again; it is checked before."""
    node.wait_off()
    # Exit codes 1 and 2 of e2fsck(8): errors were corrected.
    run(["e2fsck", "-y", str(node.plan.image)], check=False)
    switch_on(node)


@contextmanager
def _disk_of(node: Node) -> Iterator[Path]:
    """The disk of a node that is off, mounted."""
    place = node.plan.run_directory / "disk"
    place.mkdir(exist_ok=True)
    run(["mount", "-o", "loop", str(node.plan.image), str(place)])
    try:
        yield place
    finally:
        run(["umount", str(place)])
        place.rmdir()


def damage_record(node: Node) -> None:
    """Take the power from a node, flip bytes in the middle of its record, and let it boot.

    Raises:
        HostFault: it has no record.
    """
    node.power_cut()
    with _disk_of(node) as disk:
        record = disk / RECORD
        if not record.exists():
            raise HostFault("no-record", f"{node.plan.name} has no record to damage.")
        raw = bytearray(record.read_bytes())
        for at in range(len(raw) // 2, min(len(raw), len(raw) // 2 + 4)):
            raw[at] ^= 0xFF
        record.write_bytes(bytes(raw))
    switch_on(node)


def settle_damaged(node: Node) -> None:
    """Nobody can put lost bytes back: the node is booted, and the admin re-adds it."""
    place = node.plan.run_directory / "disk"
    if place.is_mount():
        run(["umount", str(place)])
    switch_on(node)
