"""Schedules of faults on the core as it is: nothing that must never happen happens, and somebody serves in time."""

from ishmael.core.rules import RULES
from ishmael.sim.faults import FAULTS
from ishmael.sim.main import run_seeds

_SEEDS = 200


def test_schedules_pass() -> None:
    """Each seed keeps every promise; together they strike with every fault and try most rules."""
    passed, failed, seen = run_seeds(50_000, _SEEDS)
    assert failed == [], f"{failed[0].trace}\nseed {failed[0].seed}: {failed[0].failure}"
    assert passed == _SEEDS
    assert [name for name, fault in FAULTS.items() if fault.by_chance and not seen[f"fault {name}"]] == []
    fired = [rule.id for rule in RULES if seen[f"rule {rule.id}"]]
    assert len(fired) > 0.7 * len(RULES)
