"""Schedules of faults on the core as it is: nothing that must never happen happens, and somebody serves in time."""

import pytest

from ishmael.core.rules import RULES
from ishmael.sim.faults import FAULTS
from ishmael.sim.main import run_seeds
from ishmael.sim.schedule import Schedule, Strike

_SEEDS = 200

# What once failed, as plans with the seeds that showed it: a seed's own story changes with every fault that joins the mix.
_PLAIN, _WITNESS = (False, False), (True, False)
ONCE_FAILED = {
    "both serve in a split and then meet": (_PLAIN, (Strike("nodes-cut", 1, (0, 1000), (60000, 60001)),), (0, 1, 2)),
    "the old master outlives its successor in a split": (
        _PLAIN,
        (Strike("nodes-cut", 1, (0, 500), (60000, 60001)), Strike("flapping", 1, (3500, 4000), (9000, 10000))),
        (33, 66),
    ),
    "a crash that was armed and did not come": (
        _PLAIN,
        (Strike("record-damaged", 1, (0, 100), (500, 1000)), Strike("crash-at-command", 2, (100, 400), (1000, 2000))),
        (0, 1, 16),
    ),
    "with a witness Corosync dies once on the slave": (
        _WITNESS,
        (Strike("corosync-killed", 2, (0, 500), (0, 1)),),
        (0, 22),
    ),
    "with a witness the nodes are cut while the master's Corosync starts": (
        _WITNESS,
        (Strike("corosync-killed", 1, (0, 300), (0, 1)), Strike("nodes-cut", 1, (1300, 1900), (6000, 7000))),
        (18, 23, 31, 47),
    ),
    "with a witness the nodes are cut in the middle of a hand-over": (
        _WITNESS,
        (Strike("planned", 1, (0, 5), (0, 1)), Strike("nodes-cut", 1, (20, 50), (8000, 9000))),
        (0, 1, 2),
    ),
    "and the new Corosync does not find the other": (
        _WITNESS,
        (
            Strike("corosync-killed", 1, (0, 10), (0, 1)),
            Strike("corosync-blocked", 2, (0, 10), (8000, 9000)),
            Strike("nodes-cut", 1, (1300, 1900), (6000, 7000)),
        ),
        (0, 19, 32),
    ),
    "a record that could not be written, of a node that is re-added": (
        _PLAIN,
        (Strike("disk-full", 1, (0, 500), (4500, 5500)),),
        (0, 1, 2, 3),
    ),
}


def test_schedules_pass() -> None:
    """Each seed keeps every promise; together they strike with every fault and try most rules."""
    passed, failed, seen = run_seeds(50_000, _SEEDS)
    assert failed == [], f"{failed[0].trace}\nseed {failed[0].seed}: {failed[0].failure}"
    assert passed == _SEEDS
    assert [name for name, fault in FAULTS.items() if fault.by_chance and not seen[f"fault {name}"]] == []
    fired = [rule.id for rule in RULES if seen[f"rule {rule.id}"]]
    assert len(fired) > 0.7 * len(RULES)


@pytest.mark.parametrize("name", sorted(ONCE_FAILED))
def test_what_once_failed_passes(name: str) -> None:
    """Each plan, with the times and chances that broke it, keeps every promise."""
    gold, strikes, seeds = ONCE_FAILED[name]
    for seed in seeds:
        outcome = Schedule(seed, strikes=strikes, gold=gold).run()
        assert outcome.failure == "", f"{outcome.trace}\nseed {seed}: {outcome.failure}"
