"""The simulator itself: repeatable, and sharp enough to notice every defence that is missing."""

from __future__ import annotations

import pytest

from ishmael.sim.main import run_seed, run_seeds
from ishmael.sim.mutants import MUTANTS
from ishmael.sim.rare import PLANS, play_for
from ishmael.sim.schedule import Schedule

_SEEDS_MAX = 400


def test_a_seed_is_the_same_story_every_time() -> None:
    """A failing seed can be looked at again: nothing but the seed decides."""
    first, second = run_seed(7), run_seed(7)
    assert first.counts == second.counts
    assert first.failure == second.failure


@pytest.mark.parametrize("name", sorted(name for name, mutant in MUTANTS.items() if mutant.strikes))
def test_a_written_plan_passes_with_all_defences(name: str) -> None:
    """What a plan shows is the missing defence, and not the plan."""
    mutant = MUTANTS[name]
    for seed in range(5):
        assert Schedule(seed, strikes=mutant.strikes, gold=mutant.gold).run().failure == ""


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_missing_defence_is_noticed(name: str) -> None:
    """With one defence removed, some schedule ends in a broken promise."""
    _, failed, _ = run_seeds(0, _SEEDS_MAX, name, failures_max=1)
    assert failed, f"{_SEEDS_MAX} seeds did not notice: {MUTANTS[name].what}"


@pytest.mark.parametrize("rule", PLANS)
def test_a_rare_rules_plan_leads_to_it(rule: str) -> None:
    """Soon enough that a run can fail for a rule that never fired, and nothing is broken on the way."""
    played = play_for(rule, 70_000)
    assert [outcome.failure for outcome in played if outcome.failure] == []
    assert played[-1].counts[f"rule {rule}"]
