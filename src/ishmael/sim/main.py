"""``ishmael dev``: the rules as they are, and the simulator."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from ishmael.core.rules import RULES
from ishmael.sim import table
from ishmael.sim.faults import FAULTS
from ishmael.sim.mutants import MUTANTS
from ishmael.sim.rare import PLANS, play_for
from ishmael.sim.replay import replay
from ishmael.sim.schedule import Outcome, Schedule

SEEDS_FOR_EVERY_RULE = 200
"""From so many schedules on a rule that never fired, not even by its own plan, fails the run: it is not proven."""

app = typer.Typer(
    name="dev",
    help="For developers: the failover's rules, and the simulator that plays them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

rules = typer.Typer(no_args_is_help=True, help="The rules of the failover, as the core holds them.")
app.add_typer(rules, name="rules")


def run_seeds(
    first: int, number: int, mutant: str = "", failures_max: int = 10
) -> tuple[int, list[Outcome], Counter[str]]:
    """Play seeds; returns how many passed, the failed ones, and what was seen."""
    passed, failed, seen = 0, [], Counter[str]()
    for seed in range(first, first + number):
        outcome = run_seed(seed, mutant)
        seen.update(outcome.counts)
        seen["longest time of two holders, ms"] = max(seen["longest time of two holders, ms"], round(outcome.dual_ms))
        if outcome.failure:
            failed.append(outcome)
            if len(failed) >= failures_max:
                break
        else:
            passed += 1
    return passed, failed, seen


def run_seed(seed: int, mutant: str = "") -> Outcome:
    """Play one seed, whole or with a mutant."""
    if not mutant:
        return Schedule(seed).run()
    with MUTANTS[mutant].applied() as mutate:
        return Schedule(seed, mutate, MUTANTS[mutant].mix, MUTANTS[mutant].strikes, MUTANTS[mutant].gold).run()


def _still_silent(first: int, failed: list[Outcome], seen: Counter[str]) -> list[str]:
    """Rules that neither chance nor their own plan brought about; what failed in a plan counts as a failed seed."""
    silent = [rule.id for rule in RULES if not seen[f"rule {rule.id}"]]
    played = {rule: play_for(rule, first) for rule in silent if rule in PLANS}
    for rule, outcomes in played.items():
        typer.echo(f"rule {rule} by its own plan: {len(outcomes)} more schedules")
        failed.extend(outcome for outcome in outcomes if outcome.failure)
    fired = {rule for rule, outcomes in played.items() if any(one.counts[f"rule {rule}"] for one in outcomes)}
    return [rule for rule in silent if rule not in fired]


@app.command()
def run(
    seeds: Annotated[int, typer.Option(help="How many schedules to play.", min=1)] = 200,
    first: Annotated[int, typer.Option("--from", help="The first seed.", min=0)] = 0,
    mutant: Annotated[str, typer.Option(help="Break one rule on purpose, to see that it is noticed.")] = "",
) -> None:
    """Play random schedules of faults against two simulated nodes with the real decision core."""
    if mutant and mutant not in MUTANTS:
        typer.echo(f"Unknown mutant {mutant!r}; there are: {', '.join(sorted(MUTANTS))}.", err=True)
        raise typer.Exit(2)
    begun = time.monotonic()
    passed, failed, seen = run_seeds(first, seeds, mutant)
    for group in ("fault", "rule", "takeover"):
        rows = sorted((name, count) for name, count in seen.items() if name.startswith(group + " "))
        typer.echo(f"{group}s: " + ", ".join(f"{name.removeprefix(group + ' ')} {count}" for name, count in rows))
    unseen = [name for name, fault in FAULTS.items() if fault.by_chance and not seen[f"fault {name}"]]
    if unseen:
        typer.echo(f"faults that never struck: {', '.join(unseen)}")
    typer.echo(f"longest time of two holders in reach of each other: {seen['longest time of two holders, ms']} ms")
    silent = [] if mutant else _still_silent(first, failed, seen)
    if silent:
        typer.echo(f"rules that never fired: {', '.join(silent)}")
    for outcome in failed[1:]:
        typer.echo(f"seed {outcome.seed}: {outcome.failure}")
    if failed:
        typer.echo(f"\n{failed[0].trace}\n\nseed {failed[0].seed}: {failed[0].failure}")
        typer.echo(
            f"repeat with: script/sim --seeds 1 --from {failed[0].seed}" + (f" --mutant {mutant}" if mutant else "")
        )
    typer.echo(f"{(passed + len(failed)) / (time.monotonic() - begun):.1f} seeds/s")
    typer.echo(f"{passed} passed, {len(failed)} failed")
    raise typer.Exit(1 if failed or (silent and seeds >= SEEDS_FOR_EVERY_RULE) else 0)


@app.command("replay")
def replay_recording(
    recording: Annotated[Path, typer.Argument(help="What a keeper's flight recorder wrote.", dir_okay=False)],
) -> None:
    """Feed a keeper's flight recorder through the core, and print what happened.

    Exit code 1 when this core would have decided otherwise.
    """
    try:
        seen = replay(recording)
    except (OSError, ValueError) as error:
        typer.echo(f"{recording}: {error}", err=True)
        raise typer.Exit(2) from error
    typer.echo(seen.trace)
    for line in seen.differs:
        typer.echo(f"differs at {line}")
    typer.echo(f"{seen.events} events, {len(seen.differs)} decided otherwise")
    raise typer.Exit(1 if seen.differs else 0)


replay_app = typer.Typer()
"""The same as a command of its own, `ishmael replay`: what one reaches for in the morning after."""
replay_app.command()(replay_recording)


@rules.command("list")
def rules_list() -> None:
    """One line a rule, in the order in which they are tried."""
    typer.echo(table.as_list())


@rules.command("mermaid")
def rules_mermaid() -> None:
    """The roles and the rules between them, as a Mermaid diagram."""
    typer.echo(table.as_mermaid())


@rules.command("dump")
def rules_dump() -> None:
    """All rows as JSON; tests/unit/core/rules.json is compared with it."""
    typer.echo(table.as_json())


def main() -> None:
    """``python -m ishmael.sim.main [run] --seeds N``."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] != "run":
        arguments.insert(0, "run")
    app(args=arguments, prog_name="script/sim")


app.command("sim", help="The same as run: play random schedules of faults.")(run)

if __name__ == "__main__":
    main()
