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
    "1b": Plan(
        (Strike("corosync-failing", 1, (0, 50), (6000, 7000)), Strike("power-cut", 2, (1500, 1560), (6000, 7000)))
    ),
    "3d": Plan((Strike("one-way", 1, (0, 100), (5000, 6000)),), (False, False)),
    "4d": Plan((Strike("disk-slow", 2, (0, 50), (7000, 8000)), Strike("planned", 1, (50, 100), (3000, 4000)))),
    "4j": Plan(
        (Strike("planned", 1, (0, 50), (500, 900)), Strike("power-cut", 2, (10, 150), (6000, 7000))), (False, False)
    ),
    "6c": Plan(
        (Strike("isolated-master", 1, (0, 100), (300, 500)), Strike("keeper-killed", 1, (100, 300), (500, 900)))
    ),
    "7c": Plan(
        (Strike("nodes-cut", 1, (0, 50), (4000, 5000)), Strike("power-cut", 2, (3000, 3500), (3000, 4000))),
        (False, False),
    ),
    "10d": Plan((Strike("disk-full", 1, (0, 100), (7000, 8000)),)),
    "5a": Plan((Strike("nodes-cut", 1, (0, 100), (1000, 2500)),), (False, False)),
    "9b": Plan((Strike("vm-stopped", 1, (0, 500), (1500, 4000)),)),
    "10a": Plan((Strike("disk-full", 2, (0, 100), (6000, 7000)), Strike("power-cut", 1, (100, 400), (5000, 6000)))),
    "10e": Plan((Strike("disk-full", 2, (0, 100), (6000, 7000)), Strike("power-cut", 1, (100, 400), (5000, 6000)))),
    "11a": Plan((Strike("witness-gone", 1, (0, 100), (6000, 7000)),), (True, False)),
    "11b": Plan((Strike("witness-gone", 1, (0, 100), (6000, 7000)),), (True, False)),
    "6b": Plan((Strike("nodes-cut", 1, (0, 100), (1000, 2500)),), (False, False)),
    "7d": Plan((Strike("keeper-killed", 1, (0, 100), (500, 900)),)),
    "9a": Plan((Strike("keeper-frozen", 1, (0, 100), (2000, 3000)),)),
    "9c": Plan((Strike("userland-frozen", 1, (0, 100), (160, 250)),)),
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
