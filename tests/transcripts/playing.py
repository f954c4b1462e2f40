"""What the stories have in common."""

from ishmael.sim.faults import FAULTS, Undo
from ishmael.sim.world import World


def fault(world: World, name: str, node: int) -> Undo:
    world.trace.remark(world.agenda.now_ms, f"FAULT {name} on node{node}")
    return FAULTS[name].begin(world, world.nodes[node], world.draw)


def complete(world: World) -> None:
    """A complete cluster, node1 master; the transcript begins here."""
    world.boot_pair()
    assert world.run_until_complete()
    world.agenda.run_for(1000)
    world.trace.begin(world.agenda.now_ms)


def heal(world: World, undo: Undo) -> None:
    world.trace.remark(world.agenda.now_ms, "healed")
    undo()


def returns(world: World, node: int) -> None:
    """A former master comes back and is re-added."""
    world.nodes[node].boot()
    world.agenda.run_for(4000)
    world.re_add(node)
    world.agenda.run_for(1500)
    assert world.complete()
