"""Bringing a lab up and taking it down, so that whatever happens nothing is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

from ishmael.lab import base, cgroups, network, state
from ishmael.lab.build import Say
from ishmael.lab.node import Node, loop_devices
from ishmael.lab.plan import CACHE, RUN, LabPlan
from ishmael.lab.post import Post
from ishmael.lab.tools import run, wait_until
from ishmael.words.errors import HostFault, RequestRefused

LAYERS_KEPT = 3


def nodes_of(lab: LabPlan) -> tuple[Node, ...]:
    return tuple(Node(lab, plan) for plan in lab.nodes)


def up(lab: LabPlan, package: Path | None, say: Say, more: tuple[str, ...] = (), release: str = base.DEBIAN) -> float:
    """Bring the lab up and wait until both nodes have booted.

    Args:
        lab: which one.
        package: what is installed in the nodes; None for plain nodes.
        say: gets a line of progress now and then.
        more: see ``base.prepare``.
        release: see ``base.prepare``.

    Returns:
        Seconds from the ready base to two booted nodes.

    Raises:
        RequestRefused: it is up, or another process brings it up.
        HostFault: something failed; everything made was taken away again.
    """
    refuse_if_up(lab)
    if leftovers(lab):
        say("cleaning up what a lab that crashed has left")
        down(lab)
    with interruptible():
        now = state.begin(lab)
        try:
            parts = base.prepare(package, say, more, release)
            begun = time.monotonic()
            now = replace(now, package=package.name if package else "", layer=str(parts.layer))
            state.save(lab, now)
            say("wiring the networks")
            cgroups.create(lab.cgroup)
            network.create(lab)
            Post(lab).open()
            say("booting two nodes")
            _boot_nodes(lab, parts)
            state.save(lab, replace(now, phase="up"))
        except BaseException:
            # Ctrl-C included; a second one must not stop the cleaning.
            with _uninterrupted():
                down(lab)
            raise
    _prune(parts)
    return time.monotonic() - begun


def _boot_nodes(lab: LabPlan, parts: base.Base) -> None:
    nodes = nodes_of(lab)
    with ThreadPoolExecutor(len(nodes)) as pool:
        list(pool.map(lambda node: node.make(parts, base.ASTERISK_UID), nodes))
        # Namespaces are renamed and moved while a node boots; one after the other keeps the order plain.
        for node in nodes:
            node.boot()
        list(pool.map(Node.wait_running, nodes))


def refuse_if_up(lab: LabPlan) -> None:
    """Raise ``RequestRefused`` when the lab is up, or another process brings it up."""
    now = state.load(lab)
    if now is None:
        return
    if now.being_built:
        raise RequestRefused("lab-being-built", f"Process {now.pid} is bringing the lab up.", "Wait for it.")
    if now.phase == "up" and any(node.supervisor_pid is not None for node in nodes_of(lab)):
        raise RequestRefused("lab-up", "The lab is up already.", "ishmael lab status, or ishmael lab down.")


def require_up(lab: LabPlan) -> state.LabState:
    """The state of a lab that is up.

    Raises:
        RequestRefused: it is not.
    """
    now = state.load(lab)
    if now is None or now.phase != "up":
        raise RequestRefused("lab-down", "The lab is not up.", "sudo ishmael lab up")
    return now


def leftovers(lab: LabPlan) -> list[str]:
    """What exists of the lab: words for a person, one for each thing."""
    found = [f"network namespace {name}" for name in network.left(lab)]
    found += [f"control group {path}" for path in cgroups.directories(lab.cgroup) if path.exists()]
    found += [f"process {pid}" for pid in cgroups.processes(lab.cgroup)]
    found += [f"loop device {device}" for node in lab.nodes for device in loop_devices(node.image)]
    found += [f"directory {path}" for path in (lab.run_directory, lab.store) if path.exists()]
    propagated = Path("/run/systemd/nspawn/propagate")
    found += [str(propagated / node.machine) for node in lab.nodes if (propagated / node.machine).exists()]
    return found


def down(lab: LabPlan) -> list[str]:
    """Take everything of the lab away, whatever state it is in.

    Returns:
        What there was.

    Raises:
        HostFault: something could not be taken away.
    """
    there = leftovers(lab)
    # A frozen process dies only when thawed on kernels without cgroup.kill.
    for node in nodes_of(lab):
        with suppress(OSError):
            cgroups.freeze(f"{node.cgroup}/payload", frozen=False)
    cgroups.remove(lab.cgroup)
    for node in nodes_of(lab):
        _release(node)
    network.remove(lab)
    for directory in (lab.store, lab.run_directory):
        if directory.exists():
            shutil.rmtree(directory)
    for parent in (RUN, lab.store.parent):
        with suppress(OSError):
            parent.rmdir()
    return there


def _release(node: Node) -> None:
    image = node.plan.image
    if image.exists() and not wait_until(lambda: not loop_devices(image), 5, 0.02):
        for device in loop_devices(image):
            run(["losetup", "--detach", device], check=False)
    with suppress(HostFault):
        node.wait_off()


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the work as Ctrl-C does: in order."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    old = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    old = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _prune(parts: base.Base) -> None:
    """Keep the newest layers, each some hundred megabytes, and no roots of this release that no lab stands on."""
    used = {now.layer for name in RUN.glob("*/state.json") if (now := state.load(LabPlan(name.parent.name)))}
    doomed = []
    for kind, kept in (("layer", LAYERS_KEPT), ("more", 1)):
        layers = sorted(CACHE.glob(f"{kind}-*[0-9a-f]"), key=lambda path: path.stat().st_mtime, reverse=True)
        doomed += [layer for layer in layers[kept:] if str(layer) not in used]
    if used == {str(parts.layer)}:
        roots = (*CACHE.glob(f"{parts.node_root.name.partition('-')[0]}-*[0-9a-f]"), *CACHE.glob("asterisk-*[0-9a-f]"))
        doomed += [root for root in roots if root not in (parts.node_root, parts.asterisk_root)]
    for directory in doomed:
        # Taken out of sight first: another lab that comes up at the same time may be about to do the same.
        gone = directory.with_name(f"gone-{os.getpid()}-{directory.name}")
        with suppress(FileNotFoundError):
            directory.rename(gone)
    for gone in CACHE.glob("gone-*"):
        shutil.rmtree(gone, ignore_errors=True)
