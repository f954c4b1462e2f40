"""The protocol's behaviour as prose-named transcripts; ``pytest tests/transcripts --rewrite`` writes them anew."""

from pathlib import Path

import pytest

from ishmael.core.rules import RULES
from ishmael.sim.world import World
from tests.transcripts.scenarios import SCENARIOS, WORLDS, Extras

HERE = Path(__file__).parent


def _played(name: str) -> str:
    extras = WORLDS.get(name, Extras())
    world = World(seed=1, dial_tone_first=extras.dial_tone_first, witness=extras.witness, fencing=extras.fencing)
    SCENARIOS[name](world)
    heading = (SCENARIOS[name].__doc__ or "").splitlines()[0]
    return f"# {heading}\n#\n#     ms   node   rules        what, why, commands\n{world.trace.text()}\n"


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_transcript(name: str, request: pytest.FixtureRequest) -> None:
    """The scenario ends as it must, and goes the way that is written down."""
    text = _played(name)
    path = HERE / f"{name}.txt"
    if request.config.getoption("--rewrite", default=False):
        path.write_text(text)
    assert path.read_text() == text


def test_no_transcript_is_left_over() -> None:
    """Every file belongs to a scenario."""
    assert {path.stem for path in HERE.glob("*.txt")} == set(SCENARIOS)


def test_every_rule_is_in_a_transcript() -> None:
    """A rule that no story needs is not understood."""
    fired = {
        rule
        for path in HERE.glob("*.txt")
        for line in path.read_text().splitlines()
        if not line.startswith("#")
        for rule in line[19:].split(" ", 1)[0].split(",")
    }
    assert [rule.id for rule in RULES if rule.id not in fired] == []
