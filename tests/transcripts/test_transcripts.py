"""The protocol's behaviour as prose-named transcripts; ``pytest tests/transcripts --rewrite`` writes them anew."""

from pathlib import Path

import pytest

from ishmael.sim.world import World
from tests.transcripts.scenarios import SCENARIOS

HERE = Path(__file__).parent


def _played(name: str) -> str:
    world = World(seed=1)
    SCENARIOS[name](world)
    return f"# {SCENARIOS[name].__doc__}\n#\n#     ms   node   rules        what, why, commands\n{world.trace.text()}\n"


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
