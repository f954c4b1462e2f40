"""Every story by the name of its file, and the worlds that differ from the plain one."""

from collections.abc import Callable
from dataclasses import dataclass

from ishmael.sim.world import World
from tests.transcripts import more_stories, stories, withheld_stories

Scenario = Callable[[World], None]


@dataclass(frozen=True)
class Extras:
    """What a world has beyond two nodes, or another policy."""

    witness: bool = False
    fencing: bool = False
    dial_tone_first: bool = True


WORLDS = {
    "witness-lost": Extras(witness=True),
    "nodes-cut-with-a-witness": Extras(witness=True),
    "power-cut-with-fencing": Extras(fencing=True),
    "fence-that-fails": Extras(fencing=True),
    "data-first-until-the-admin-asks": Extras(dial_tone_first=False),
}

SCENARIOS: dict[str, Scenario] = {
    name.replace("_", "-"): thing
    for module in (stories, more_stories, withheld_stories)
    for name, thing in vars(module).items()
    if callable(thing) and getattr(thing, "__module__", "") == module.__name__ and not name.startswith("_")
}
