"""Plans for rules that chance hardly ever meets: played after the drawn ones, until each rule has fired."""

from __future__ import annotations

from dataclasses import dataclass

from ishmael.sim.schedule import Outcome, Schedule, Strike

_SEEDS_MAX = 60


@dataclass(frozen=True)
class Plan:
    """What leads to a rule.

    Args:
        strikes: the faults, in order.
        gold: (witness, fencing), where it matters.
    """

    strikes: tuple[Strike, ...]
    gold: tuple[bool, bool] | None = None


_ONLY_NOTIFIED = Strike("only-notified", 1, (0, 100), (8000, 9000))
PLANS: dict[str, Plan] = {
    "5a": Plan((Strike("nodes-cut", 1, (0, 100), (1000, 2500)),), (False, False)),
    "9b": Plan((Strike("vm-stopped", 1, (0, 500), (1500, 4000)),)),
    "10a": Plan((Strike("disk-full", 2, (0, 100), (6000, 7000)), Strike("power-cut", 1, (100, 400), (5000, 6000)))),
    "11a": Plan((Strike("witness-gone", 1, (0, 100), (6000, 7000)),), (True, False)),
    "11b": Plan((Strike("witness-gone", 1, (0, 100), (6000, 7000)),), (True, False)),
    "12a": Plan((Strike("power-cut", 1, (0, 100), (5000, 6000)),), (False, True)),
    "12b": Plan(
        (Strike("fence-fails", 1, (0, 100), (8000, 9000)), Strike("power-cut", 1, (100, 200), (5000, 6000))),
        (False, True),
    ),
    "F1n": Plan((_ONLY_NOTIFIED, Strike("power-cut", 1, (500, 700), (5000, 6000))), (False, False)),
    "F2n": Plan((_ONLY_NOTIFIED, Strike("corosync-failing", 1, (500, 700), (4000, 5000))), (False, False)),
    "F4n": Plan((_ONLY_NOTIFIED, Strike("phone-link-down", 1, (500, 700), (4000, 5000))), (False, False)),
}


def play_for(rule: str, first: int) -> list[Outcome]:
    """Play the rule's plan with different seeds until it has fired, or something failed.

    Args:
        rule: its id; nothing is played for one without a plan.
        first: the first seed.
    """
    played: list[Outcome] = []
    plan = PLANS.get(rule)
    if plan is None:
        return played
    for seed in range(first, first + _SEEDS_MAX):
        played.append(Schedule(seed, strikes=plan.strikes, gold=plan.gold).run())
        if played[-1].failure or played[-1].counts[f"rule {rule}"]:
            break
    return played
