"""``script/bench``, which is ``ishmael lab bench``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from typer.core import TyperGroup

from ishmael.lab import base, idle, lifecycle, state, stress
from ishmael.lab.bench import data as data_bench
from ishmael.lab.bench import failover as failover_bench
from ishmael.lab.bench import figures, life
from ishmael.lab.bench import services as services_bench
from ishmael.lab.bench import web as web_bench
from ishmael.lab.bench.systems import PEER_LAB, PeerSystem, Product, System
from ishmael.lab.cluster import Cluster
from ishmael.lab.peers import table as peers
from ishmael.lab.peers.pair import PeerPair
from ishmael.lab.plan import DEFAULT_NAME, LabPlan
from ishmael.lab.speak import CHECKOUT, Json, LabName, emit, need_root, say

FAULTS = ("power-cut", "phone-link-down", "planned")
"""Measured when none is named."""


class Listing(TyperGroup):
    """A group that lists what it has when asked for what it has not."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command (click's method; its types have no stable public name in Typer).

        Raises:
            typer.BadParameter: there is none of that name.
        """
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise typer.BadParameter(f"There is no benchmark '{args[0]}'. There are: {', '.join(self.commands)}.")
        return super().resolve_command(ctx, args)


app = typer.Typer(help="Measure the product in the lab, and others beside it.", no_args_is_help=True, cls=Listing)

Keep = Annotated[
    Optional[Path],  # noqa: UP045 - Typer reads it at run time
    typer.Option("--keep", file_okay=False, help="Directory for the raw samples."),
]
Peers = Annotated[
    Optional[list[str]],  # noqa: UP045 - Typer reads it at run time
    typer.Option("--peer", help=f"Measure this beside the product; repeatable. {', '.join(peers.NAMES)}."),
]


def _known(kind: str, names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"There is no {kind} '{name}'. There are: {', '.join(known)}.")
    return tuple(dict.fromkeys(names))


@app.command()
def failover(
    runs: Annotated[int, typer.Option("--runs", min=1, help="How often each fault.")] = 10,
    fault: Annotated[
        Optional[list[str]],  # noqa: UP045 - Typer reads it at run time
        typer.Option("--fault", help=f"Which; repeatable. Else {', '.join(FAULTS)}."),
    ] = None,
    peer: Peers = None,
    keep: Keep = None,
    lab_name: LabName = DEFAULT_NAME,
    as_json: Json = False,
) -> None:
    """Cause faults on the serving node and measure how long a client waits, with --peer on others by turns.

    With --json one object a run, and a summary as the last line. Brings a lab up and forms the cluster when there is
    none, and takes it down again afterwards.
    """
    names = _known("peer", peer or (), peers.NAMES)
    known = failover_bench.PEER_FAULTS if names else failover_bench.known_faults()
    known = tuple(name for name in known if name in failover_bench.known_faults())
    wanted = _known("fault for all of these" if names else "fault", fault or FAULTS, known)
    need_root()
    with _systems(LabPlan(lab_name), names) as systems:
        summary = failover_bench.many(systems, wanted, runs, keep, say, print_runs=as_json)
    emit(as_json, {"summary": summary}, *failover_bench.table(summary))


@app.command(name="data")
def data_command(
    runs: Annotated[int, typer.Option("--runs", min=1, help="How often around.")] = 5,
    size_mb: Annotated[int, typer.Option("--size-mb", min=1, max=2500, help="Size of the database.")] = 2000,
    files_mb: Annotated[int, typer.Option("--files-mb", min=1, max=500, help="Size of the recordings.")] = 200,
    many: Annotated[int, typer.Option("--many", min=0, max=300000, help="Files for the watcher; 0: none.")] = 100_000,
    seconds: Annotated[float, typer.Option("--seconds", min=2, help="For each measurement of commits.")] = 5,
    beside: Annotated[bool, typer.Option("--beside/--not-beside", help="Measure lsyncd, too.")] = True,
    cable_mbit: Annotated[
        int,
        typer.Option(
            "--cable-mbit", min=0, max=100_000, help="What the cable carries, megabits a second; 0: no limit."
        ),
    ] = 0,
    keep: Keep = None,
    lab_name: LabName = DEFAULT_NAME,
    as_json: Json = False,
) -> None:
    """Measure the data: lag of files beside lsyncd, the watcher, promotion, rejoin and first copy beside the plain tools.

    With --json the last line is the summary. Brings a lab up when there is none. Acknowledged rows over many power cuts
    are counted by `ishmael lab soak data`.
    """
    need_root()
    sizes = data_bench.Sizes(runs, size_mb, files_mb, many, seconds, beside, cable_mbit)
    with _systems(LabPlan(lab_name), ()) as systems:
        summary = data_bench.many(systems[0].lab, sizes, keep, say)
    emit(as_json, {"summary": summary}, *data_bench.table(summary))


@app.command(name="idle")
def idle_command(
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="How long to watch.")] = 60,
    runs: Annotated[int, typer.Option("--runs", min=1, help="How often.")] = 1,
    peer: Peers = None,
    keep: Keep = None,
    lab_name: LabName = DEFAULT_NAME,
    as_json: Json = False,
) -> None:
    """Measure what the cluster costs while nothing happens: CPU, memory and packets of each process, on both nodes.

    With --json one object a run, and a summary as the last line. Brings a lab up when there is none.
    """
    names = _known("peer", peer or (), peers.NAMES)
    need_root()
    with _systems(LabPlan(lab_name), names) as systems:
        summary = idle.many(systems, runs, seconds, keep, say, print_runs=as_json)
    emit(as_json, {"summary": summary}, *idle.table(summary))


@app.command(name="stress")
def stress_command(
    loops: Annotated[int, typer.Option("--loops", min=1, max=64, help="Busy loops inside each node.")] = 8,
    seconds: Annotated[float, typer.Option("--seconds", min=1, max=3600, help="How long.")] = 600,
    runs: Annotated[int, typer.Option("--runs", min=1, help="How often.")] = 1,
    keep: Keep = None,
    lab_name: LabName = DEFAULT_NAME,
    as_json: Json = False,
) -> None:
    """Keep both nodes busy and count what moves: there must be no change of roles.

    With --json one object a run, and a summary as the last line. Ends with 5 when a role changed. Brings a lab up when
    there is none.
    """
    need_root()
    with _systems(LabPlan(lab_name), ()) as systems:
        summary = stress.many(systems[0].lab, runs, loops, seconds, keep, say, print_runs=as_json)
    emit(as_json, {"summary": summary}, *stress.table(summary))
    if summary["ishmael"]["stress"]["false_failovers"]:
        raise typer.Exit(5)


@app.command(name="life")
def life_command(
    runs: Annotated[int, typer.Option("--runs", min=1, help="How often.")] = 3,
    lab_name: LabName = DEFAULT_NAME,
    as_json: Json = False,
) -> None:
    """Measure each work of a cluster's life, the manager's answers, and its memory.

    With --json one object a run, and a summary as the last line. A lab that is up is used and its cluster taken apart; else
    one is brought up.
    """
    need_root()
    lab = LabPlan(lab_name)
    with _systems(lab, ()):
        summary = life.many(lab, runs, say, print_runs=as_json)
    emit(as_json, {"summary": {"ishmael": {"life": summary}}}, *figures.table(summary))


@app.command(name="services")
def services_command(
    runs: Annotated[int, typer.Option("--runs", min=1, help="How many power cuts.")] = 3,
    lab_name: LabName = DEFAULT_NAME,
    as_json: Json = False,
) -> None:
    """Measure DNS, DHCP, NTP, e-mail and fax: how long changes take, and how soon each answers after a power cut.

    With --json one object a run, and a summary as the last line. Brings a lab up when there is none.
    """
    need_root()
    lab = LabPlan(lab_name)
    with _systems(lab, ()):
        summary = services_bench.many(lab, runs, say, print_runs=as_json)
    emit(as_json, {"summary": {"ishmael": {"services": summary}}}, *figures.table(summary))


@app.command(name="web")
def web_command(
    runs: Annotated[int, typer.Option("--runs", min=1, help="How often.")] = 3,
    lab_name: LabName = DEFAULT_NAME,
    as_json: Json = False,
) -> None:
    """Measure the web interface: size and time of pages, memory, and how soon a page shows a new master.

    With --json one object a run, and a summary as the last line. Brings a lab up when there is none.
    """
    need_root()
    lab = LabPlan(lab_name)
    with _systems(lab, ()):
        summary = web_bench.many(Product(lab), runs, say, print_runs=as_json)
    lines = [f"{name:20} {value}" for name, value in summary.items()]
    emit(as_json, {"summary": {"ishmael": {"web": summary}}}, *lines)


@contextmanager
def _systems(lab: LabPlan, peer_names: Sequence[str]) -> Iterator[list[System]]:
    """The product and the peers wanted, each on a lab that is up."""
    with lifecycle.interruptible(), lab_at_work(lab):
        if not peer_names:
            yield [Product(lab)]
            return
        with _peers_at_work() as pair:
            yield [Product(lab), *(PeerSystem(pair, peers.named(name)) for name in peer_names)]


def _is_up(lab: LabPlan) -> bool:
    now = state.load(lab)
    return now is not None and now.phase == "up"


@contextmanager
def lab_at_work(lab: LabPlan) -> Iterator[None]:
    """A lab with a complete cluster: the one that is up, or one of our own for the time being."""
    if _is_up(lab):
        yield
        return
    lifecycle.up(lab, base.newest_package(CHECKOUT), say)
    try:
        Cluster(lab).form(say)
        yield
    finally:
        lifecycle.down(lab)


@contextmanager
def _peers_at_work() -> Iterator[PeerPair]:
    """The peers' nodes: a lab of our own for the time being."""
    lab = LabPlan(PEER_LAB)
    if _is_up(lab):
        yield PeerPair(lab, say)
        return
    lifecycle.up(lab, None, say, peers.PACKAGES)
    try:
        yield PeerPair(lab, say)
    finally:
        lifecycle.down(lab)
