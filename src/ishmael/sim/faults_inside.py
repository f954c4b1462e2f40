"""Faults inside a node: its disk and record, its wall clock, its services. See ``faults`` for the whole vocabulary."""

from __future__ import annotations

import random
from collections.abc import Callable

from ishmael.sim.node import Node
from ishmael.sim.world import World

Undo = Callable[[], None]


def disk_full(_world: World, node: Node, _draw: random.Random) -> Undo:
    node.machine.disk.full = True

    def undo() -> None:
        node.machine.disk.full = False

    return undo


def fsync_fails(_world: World, node: Node, _draw: random.Random) -> Undo:
    """What is written can be read, and never surely survives."""
    node.machine.disk.fsync_fails = True

    def undo() -> None:
        node.machine.disk.fsync_fails = False

    return undo


def slow_disk(_world: World, node: Node, draw: random.Random) -> Undo:
    node.machine.disk.slow = draw.choice([5.0, 30.0, 200.0, 1000.0])

    def undo() -> None:
        node.machine.disk.slow = 1.0

    return undo


def record_damaged(world: World, node: Node, draw: random.Random) -> Undo:
    """The record is damaged while the machine is off."""
    node.power_off()
    node.machine.disk.damaged = "its checksum does not match"
    world.agenda.after(draw.uniform(100, 1000), node.boot)
    return node.boot


def record_lost(world: World, node: Node, draw: random.Random) -> Undo:
    """The machine comes back with an empty disk of records."""
    node.power_off()
    node.machine.disk.visible = node.machine.disk.durable = None
    world.monitors.written_off = True  # who was master last, and with which data, is lost as well
    world.agenda.after(draw.uniform(100, 1000), node.boot)
    return node.boot


def record_future(world: World, node: Node, draw: random.Random) -> Undo:
    """The machine comes back with a record that a newer version wrote."""
    node.power_off()
    node.machine.disk.damaged = "record has schema 9, this version reads 1"
    world.agenda.after(draw.uniform(100, 1000), node.boot)
    return node.boot


def record_older(world: World, node: Node, draw: random.Random) -> Undo:
    """The machine comes back with a record it once had, as from a backup or a snapshot of it."""
    node.power_off()
    disk = node.machine.disk
    earlier = disk.past[:-1]
    if earlier:
        disk.visible = disk.durable = draw.choice(earlier)
        world.monitors.written_off = True  # who was master last is lost, as with a record that is gone
        world.monitors.set_back.add(node.id)
    world.agenda.after(draw.uniform(100, 1000), node.boot)
    return node.boot


def clock_step(_world: World, node: Node, draw: random.Random) -> Undo:
    """The wall clock jumps, ahead or back, by up to two hours; the next life of the keeper begins in another time."""
    step_ms = draw.choice([-1, 1]) * draw.uniform(1, 7_200_000)
    node.machine.wall_offset_ms += step_ms
    if draw.random() < 0.3:
        node.kill_keeper()

    def undo() -> None:
        node.machine.wall_offset_ms -= step_ms

    return undo


def service_crash(world: World, node: Node, draw: random.Random) -> Undo:
    """The database dies; systemd starts it again. What it had acknowledged is still there."""

    def run(crashed: bool) -> None:
        world.database.crash(node.id, crashed=crashed)

    run(True)
    world.agenda.after(draw.uniform(100, 3000), lambda: run(False))
    return lambda: run(False)


def service_failing(world: World, node: Node, draw: random.Random) -> Undo:
    """A service does not stay up, and the profile says that this is worth a move: the manager asks the keeper, again."""
    failing = [True]

    def ask() -> None:
        if failing[0] and node.machine.runs:
            world.ask(node.id, "switch", why="asterisk.service keeps failing")
            world.agenda.after(draw.uniform(2000, 4000), ask)

    ask()

    def undo() -> None:
        failing[0] = False

    return undo
