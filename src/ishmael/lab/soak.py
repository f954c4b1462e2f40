"""``script/soak``, which is ``ishmael lab soak``: the same again and again, and nothing that is not allowed may happen."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from ishmael.lab import faults, misfortunes, soak_data, soak_jobs, trial
from ishmael.lab.bench.commands import Listing, lab_at_work
from ishmael.lab.faults import Fault
from ishmael.lab.measure import spread
from ishmael.lab.misfortunes import MISFORTUNES
from ishmael.lab.plan import DEFAULT_NAME, LabPlan
from ishmael.lab.speak import Json, LabName, emit, need_root, say
from ishmael.words.errors import HostFault, RequestRefused

ALL = "all"
EXIT_NOT_ALLOWED = 5

app = typer.Typer(help="Repeat something many times in the lab.", no_args_is_help=True, cls=Listing)


@app.callback()
def soak() -> None:
    """Repeat something many times in the lab."""


@app.command()
def fault(
    name: Annotated[list[str], typer.Option("--fault", help=f"Which; repeatable; or {ALL}.")],
    runs: Annotated[int, typer.Option("--runs", min=1, help="How often each.")] = 5,
    results: Annotated[
        Optional[Path],  # noqa: UP045 - Typer reads it at run time
        typer.Option("--resume", dir_okay=False, help="File of results, one object a run: go on where it ends."),
    ] = None,
    lab_name: LabName = DEFAULT_NAME,
    as_json: Json = False,
) -> None:
    """Cause faults in turn, and judge each outcome by the table of faults.

    With --json one object a run, and a summary as the last line. With --resume runs that stand in the file are not done
    again. Exit code 5 when an outcome was not allowed.
    """
    named = [faults.named(one) for one in name if one != ALL]
    wanted = tuple(dict.fromkeys([*named, *(faults.FAULTS if ALL in name else ())]))
    need_root()
    done = _read(results)
    lab = LabPlan(lab_name)
    with lab_at_work(lab):
        for row, number in _left(wanted, runs, done):
            seen = _try(lab, row, number)
            done.append(seen)
            _write(results, seen, as_json=as_json)
            say(f"{row.name} {number}: {'; '.join(seen['violations']) or 'allowed'} ({seen.get('took_s', 0)} s)")
    summary = _summary([seen for seen in done if seen["fault"] in {row.name for row in wanted}])
    lines = (f"{key}: {of['runs']} runs, {of['not_allowed']} not allowed" for key, of in summary.items())
    emit(as_json, {"summary": summary}, *lines)
    if any(of["not_allowed"] for of in summary.values()):
        raise typer.Exit(EXIT_NOT_ALLOWED)


@app.command()
def data(
    runs: Annotated[int, typer.Option("--runs", min=1, help="How many power cuts.")] = 50,
    results: Annotated[
        Optional[Path],  # noqa: UP045 - Typer reads it at run time
        typer.Option("--resume", dir_okay=False, help="File of results, one object a run: go on where it ends."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Draws the moments of the cuts.")] = 1,
    mixed: Annotated[bool, typer.Option("--mixed", help="Faults of many kinds, not power cuts alone.")] = False,
    lab_name: LabName = DEFAULT_NAME,
    as_json: Json = False,
) -> None:
    """Cut the master's power while rows are written over the cluster IP and voice mails dropped; look for them afterwards.

    Each run says what the master had promised just before. Exit code 5 when an acknowledged row, or a file older than the
    measured lag, is missing.
    """
    need_root()
    done = _read(results)
    lab = LabPlan(lab_name)
    soak_of_data = soak_data.Soak(lab, seed, mixed)
    with lab_at_work(lab):
        for seen in soak_of_data.runs(runs, {int(one["run"]) for one in done}):
            done.append(seen)
            _write(results, seen, as_json=as_json)
            say(soak_data.line(seen))
        gone, rows_gone = soak_of_data.missing_in_the_end()
    in_the_end = {"files_missing_in_the_end": len(gone), "rows_missing_in_the_end": rows_gone}
    summary = {**soak_data.summary(done), **in_the_end}
    emit(as_json, {"summary": summary}, *(f"{key}: {value}" for key, value in summary.items()))
    if summary["lost_acknowledged"]["max"] or summary["files_missing"] or gone or rows_gone or summary["failed"]:
        raise typer.Exit(EXIT_NOT_ALLOWED)


@app.command()
def misfortune(
    name: Annotated[
        Optional[list[str]],  # noqa: UP045 - Typer reads it at run time
        typer.Option("--name", help=f"Which; repeatable; else all: {', '.join(one.name for one in MISFORTUNES)}."),
    ] = None,
    runs: Annotated[int, typer.Option("--runs", min=1, help="How often each.")] = 1,
    results: Annotated[
        Optional[Path],  # noqa: UP045 - Typer reads it at run time
        typer.Option("--resume", dir_okay=False, help="File of results, one object a run: go on where it ends."),
    ] = None,
    lab_name: LabName = DEFAULT_NAME,
    as_json: Json = False,
) -> None:
    """Let misfortunes befall the data: each must be named, leave the telephones alone, and have its way back.

    Exit code 5 when one had not.
    """
    wanted = tuple(misfortunes.named(one) for one in dict.fromkeys(name or ())) or MISFORTUNES
    need_root()
    done = _read(results)
    lab = LabPlan(lab_name)
    with lab_at_work(lab):
        there = {(seen["misfortune"], seen["run"]) for seen in done}
        for number, one in ((number, one) for number in range(1, runs + 1) for one in wanted):
            if (one.name, number) in there:
                continue
            misfortunes.restore(lab)
            seen = {"run": number, **misfortunes.run(lab, one)}
            done.append(seen)
            _write(results, seen, as_json=as_json)
            say(f"{one.name} {number}: {seen['failed'] or 'as it must be'} ({seen['took_s']} s)")
    bad = [f"{seen['misfortune']}: {seen['failed']}" for seen in done if seen["failed"]]
    took_s = round(sum(seen["took_s"] for seen in done), 1)
    emit(
        as_json,
        {"summary": {"runs": len(done), "failed": bad, "took_s": took_s}},
        f"{len(done)} runs, {len(bad)} failed",
    )
    if bad:
        raise typer.Exit(EXIT_NOT_ALLOWED)


@app.command()
def jobs(
    works: Annotated[Optional[list[str]], typer.Option("--work", help="Which; repeatable; all by default.")] = None,  # noqa: UP045
    cuts: Annotated[Optional[list[str]], typer.Option("--cut", help="How; repeatable; all by default.")] = None,  # noqa: UP045
    steps: Annotated[Optional[list[int]], typer.Option("--step", help="In which; repeatable; all by default.")] = None,  # noqa: UP045
    minutes: Annotated[
        float, typer.Option("--minutes", min=0, help="Begin no run after that; 0: until all are done.")
    ] = 0,
    results: Annotated[
        Optional[Path],  # noqa: UP045 - Typer reads it at run time
        typer.Option("--resume", dir_okay=False, help="File of results, one object a run: go on where it ends."),
    ] = None,
    lab_name: LabName = DEFAULT_NAME,
    as_json: Json = False,
) -> None:
    """Cut add-slave and re-add in each of their steps: the manager is killed, a node loses its power, or an admin cancels.

    Each job must end done, or undone with both nodes as before; and the cluster must become complete. Exit code 5 when
    one did not.
    """
    need_root()
    done = _read(results)
    lab = LabPlan(lab_name)
    there = {(seen["work"], seen["step"], seen["cut"]) for seen in done}
    with lab_at_work(lab):
        soak_jobs.restore(lab)
        names = {work: soak_jobs.steps_of(lab, work) for work in _chosen(works, soak_jobs.WORKS)}
        begun_s = time.monotonic()
        for case in soak_jobs.cases(names, _chosen(cuts, soak_jobs.CUTS)):
            if (case.work, case.step, case.cut) in there or (steps and case.step not in steps):
                continue
            if minutes and time.monotonic() - begun_s > minutes * 60:
                break
            seen = soak_jobs.attempt(lab, case, names[case.work][case.step - 1])
            done.append(asdict(seen))
            _write(results, done[-1], as_json=as_json)
            say(soak_jobs.line(seen))
    summary = soak_jobs.summary(done)
    emit(as_json, {"summary": summary}, *(f"{key}: {value}" for key, value in summary.items()))
    if any(of["not_allowed"] for of in summary.values()):
        raise typer.Exit(EXIT_NOT_ALLOWED)


def _chosen(given: Sequence[str] | None, there: Sequence[str]) -> Sequence[str]:
    for name in given or ():
        if name not in there:
            raise RequestRefused("no-such-choice", f"There is no {name!r}.", f"One of: {', '.join(there)}.")
    return given or there


def _left(wanted: Sequence[Fault], runs: int, done: Sequence[dict[str, Any]]) -> Iterator[tuple[Fault, int]]:
    """Runs that are not done: every fault once, then every fault again."""
    there = {(seen["fault"], seen["run"]) for seen in done}
    for number in range(1, runs + 1):
        yield from ((row, number) for row in wanted if (row.name, number) not in there)


def _try(lab: LabPlan, row: Fault, number: int) -> dict[str, Any]:
    """One run; when the cluster cannot be made whole, that is its outcome, and not allowed either."""
    try:
        trial.restore(lab)
        seen = trial.run(lab, row).to_mapping()
    except HostFault as error:
        seen = {"fault": row.name, "violations": [f"{error.code}: {error}"]}
    return {"run": number, **seen}


def _read(path: Path | None) -> list[dict[str, Any]]:
    if path is None or not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            # The last line of a soak that was killed while writing: that run is done again.
            continue
    return found


def _write(path: Path | None, seen: dict[str, Any], *, as_json: bool) -> None:
    line = json.dumps(seen) + "\n"
    if path is not None:
        with path.open("a", encoding="utf-8") as file:
            file.write(line)
    if as_json:
        sys.stdout.write(line)
        sys.stdout.flush()


def _summary(done: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in dict.fromkeys(seen["fault"] for seen in done):
        rows = [seen for seen in done if seen["fault"] == name]
        gaps = [seen["measured"]["gap_ms"] for seen in rows if "measured" in seen]
        both = [seen["measured"]["dual_ms"] for seen in rows if "measured" in seen]
        found[name] = {
            "runs": len(rows),
            "not_allowed": sum(bool(seen["violations"]) for seen in rows),
            "gap_ms": spread(gaps) if gaps else None,
            "dual_ms": spread(both) if both else None,
        }
    return found
