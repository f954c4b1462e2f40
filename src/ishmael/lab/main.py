"""``ishmael lab``: two real nodes on one machine."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Annotated, Optional

import typer

from ishmael.lab import base, faults, lifecycle, state
from ishmael.lab import call as call_module
from ishmael.lab.asterisk_files import PHONES
from ishmael.lab.bench.commands import app as bench
from ishmael.lab.client import Phones
from ishmael.lab.cluster import Cluster
from ishmael.lab.node import EXIT_TIMED_OUT, Node
from ishmael.lab.plan import CLUSTER_IP, DEFAULT_NAME, LabPlan
from ishmael.lab.soak import app as soak
from ishmael.lab.speak import CHECKOUT, Json, LabName, emit, need_root, say
from ishmael.lab.status import lab_status
from ishmael.words.errors import RequestRefused

HELP = """Two real nodes on one machine: try the product, rehearse an upgrade, reproduce a fault.

Each node is a whole Debian system with the product's package installed; between them run an internal cable and a
telephone network with a gateway and a client on it. Nothing of it touches this machine's own network.
"""

app = typer.Typer(help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

NodeName = Annotated[str, typer.Argument(metavar="NODE", help="node1 or node2.")]
Timeout = Annotated[Optional[float], typer.Option("--timeout", min=0.1, help="Give up after this many seconds.")]  # noqa: UP045 - Typer reads it at run time


def _lab(name: str) -> LabPlan:
    need_root()
    return LabPlan(name)


def _ready(name: str) -> LabPlan:
    lab = _lab(name)
    lifecycle.require_up(lab)
    return lab


@app.command()
def up(
    package: Annotated[
        Optional[Path],  # noqa: UP045 - Typer reads it at run time
        typer.Option("--package", exists=True, dir_okay=False, help="Package to install; else the newest in dist/."),
    ] = None,
    no_package: Annotated[bool, typer.Option("--no-package", help="Boot plain Debian nodes.")] = False,
    release: Annotated[
        str, typer.Option("--release", envvar="ISHMAEL_LAB_RELEASE", help="Of Debian: 12 or 13.")
    ] = base.DEBIAN,
    lab_name: LabName = DEFAULT_NAME,
    as_json: Json = False,
) -> None:
    """Bring the lab up: two Debian nodes with the package installed, not yet a cluster.

    The first time builds a base in /var/cache/ishmael-lab, which takes one to two minutes. Ctrl-C leaves nothing.
    """
    if release not in base.SUITES:
        raise typer.BadParameter(f"no release {release}: {' or '.join(base.SUITES)}")
    lab = _lab(lab_name)
    chosen = None if no_package else (package.resolve() if package else base.newest_package(CHECKOUT, release))
    begun = time.monotonic()
    warm_s = lifecycle.up(lab, chosen, say, release=release)
    took_s = time.monotonic() - begun
    emit(
        as_json,
        {"lab": lab.name, "took_s": round(took_s, 2), "warm_s": round(warm_s, 2), **lab_status(lab)},
        f"The lab is up after {took_s:.1f} s: node1 and node2 have booted"
        + (f" with {chosen.name}." if chosen else "."),
        "Next:  ishmael lab form            make a cluster of them, as an admin would",
        "       ishmael lab shell node1     look around",
        "       ishmael lab down            take it all away",
    )


@app.command()
def down(lab_name: LabName = DEFAULT_NAME, as_json: Json = False) -> None:
    """Take the lab away: every process, mount, namespace, loop device and control group of it."""
    lab = _lab(lab_name)
    now = state.load(lab)
    if now is not None and now.being_built:
        raise RequestRefused("lab-being-built", f"Process {now.pid} is bringing the lab up.", "End that with Ctrl-C.")
    there = lifecycle.down(lab)
    emit(as_json, {"lab": lab.name, "removed": there}, "The lab is gone." if there else "There was no lab.")


@app.command()
def status(lab_name: LabName = DEFAULT_NAME, as_json: Json = False) -> None:
    """Show the nodes and how to reach them."""
    lab = _ready(lab_name)
    shown = lab_status(lab)
    lines = [f"cluster IP {shown['cluster_ip']}, gateway {shown['gateway']}, client in netns {shown['client_netns']}"]
    for node in shown["nodes"]:
        running = f"running (pid {node['init_pid']})" if node["init_pid"] else "off"
        holds = ", holds the cluster IP" if node["holds_cluster_ip"] else ""
        lines.append(f"{node['name']}: {running}, {node['phone_ip']} / {node['internal_ip']}{holds}")
    if shown["fault"]:
        lines.append(f"fault: {shown['fault']} {shown['fault_node'] or ''}".rstrip())
    emit(as_json, shown, *lines)


@app.command(name="exec", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def execute(
    context: typer.Context,
    node: NodeName,
    timeout: Timeout = None,
    lab_name: LabName = DEFAULT_NAME,
    as_json: Json = False,
) -> None:
    """Run a command in a node: ishmael lab exec node1 -- systemctl status.

    Ends with the command's own exit code; with 124 when --timeout cut it short. With --json the object holds the exit
    code, the output and the errors.
    """
    words = context.args[1:] if context.args[:1] == ["--"] else context.args
    if not words:
        raise typer.BadParameter("which command? ishmael lab exec NODE -- CMD")
    lab = _ready(lab_name)
    machine = Node(lab, lab.node(node))
    if as_json:
        done = machine.exec(words, timeout_s=timeout or 600)
        result = {"node": node, "returncode": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
        emit(True, result)
        raise typer.Exit(done.returncode)
    raise typer.Exit(_pass_through(machine.command(words), timeout))


def _pass_through(command: list[str], timeout_s: float | None) -> int:
    process = subprocess.Popen(command)
    try:
        code = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return EXIT_TIMED_OUT
    except KeyboardInterrupt:
        process.kill()
        return 130
    return 128 - code if code < 0 else code


@app.command()
def shell(node: NodeName, lab_name: LabName = DEFAULT_NAME) -> None:
    """Open a root shell in a node."""
    lab = _ready(lab_name)
    command = Node(lab, lab.node(node)).command(["bash", "-l"])
    raise typer.Exit(subprocess.run(command, check=False).returncode)


@app.command()
def reboot(node: NodeName, lab_name: LabName = DEFAULT_NAME, as_json: Json = False) -> None:
    """Boot a node again: after a power cut, or shut down in order first if it runs."""
    lab = _ready(lab_name)
    machine = Node(lab, lab.node(node))
    begun = time.monotonic()
    faults.before_reboot(lab, machine)
    machine.halt()
    machine.boot()
    machine.wait_running()
    took_s = round(time.monotonic() - begun, 2)
    faults.after_reboot(lab)
    emit(as_json, {"node": node, "took_s": took_s}, f"{node} has booted after {took_s} s.")


@app.command()
def fault(
    name: Annotated[Optional[str], typer.Argument(metavar="NAME", help="Which fault; see --list.")] = None,  # noqa: UP045
    node: Annotated[Optional[str], typer.Argument(metavar="NODE", help="Where; else where it belongs.")] = None,  # noqa: UP045
    show: Annotated[bool, typer.Option("--list", help="List the faults there are.")] = False,
    lab_name: LabName = DEFAULT_NAME,
    as_json: Json = False,
) -> None:
    """Cause a fault: ishmael lab fault power-cut node1. `ishmael lab heal` undoes it."""
    if show:
        rows = [row.to_mapping() for row in faults.FAULTS]
        emit(as_json, {"faults": rows}, *(f"{r['name']}: {r['mechanism']}\n    {r['outcome']}" for r in rows))
        return
    if name is None:
        raise typer.BadParameter("which fault? ishmael lab fault --list")
    row = faults.named(name)
    lab = _ready(lab_name)
    done = faults.inject(lab, row, faults.target(lab, node, row))
    took_ms = round((done.done_s - done.begun_s) * 1000, 1)
    result = {"fault": row.name, "node": done.node, "begun_s": done.begun_s, "took_ms": took_ms, "outcome": row.outcome}
    emit(as_json, result, f"{row.name} on {done.node}, done in {took_ms} ms. Allowed: {row.outcome}.")


@app.command()
def heal(lab_name: LabName = DEFAULT_NAME, as_json: Json = False) -> None:
    """Undo the last fault."""
    lab = _ready(lab_name)
    healed = faults.heal(lab)
    name, node = healed or (None, None)
    emit(as_json, {"fault": name, "node": node}, f"{name} on {node} is undone." if healed else "Nothing to heal.")


@app.command()
def register(
    phones: Annotated[int, typer.Option("--phones", min=1, max=10, help="How many.")] = 2,
    lab_name: LabName = DEFAULT_NAME,
    as_json: Json = False,
) -> None:
    """Register phones at the cluster IP and ask Asterisk whether it knows them."""
    lab = _ready(lab_name)
    with Phones(lab) as box:
        results = call_module.register(lab, box, PHONES[:phones])
    good = all(result["registered"] for result in results)
    lines = (
        f"{r['phone']}: {'registered' if r['registered'] else 'NOT registered'} on {r['node']} in {r['took_ms']} ms"
        for r in results
    )
    emit(as_json, {"registered": good, "phones": results}, *lines)
    raise typer.Exit(0 if good else 5)


@app.command()
def call(
    count: Annotated[int, typer.Option("--count", min=1, help="How many calls; up to five at a time.")] = 1,
    echo: Annotated[bool, typer.Option("--echo", help="Call Asterisk's echo instead of another phone.")] = False,
    lab_name: LabName = DEFAULT_NAME,
    as_json: Json = False,
) -> None:
    """Let phones register and call over the cluster IP: answered, two seconds of audio both ways, seen by Asterisk."""
    lab = _ready(lab_name)
    results = call_module.calls(lab, count, echo=echo)
    good = sum(result["verified"] for result in results)
    lines = (
        f"{r['from']} -> {r['to']}: {'answered' if r['answered'] else 'NOT answered'} by {r['node']} in {r['setup_ms']} ms, "
        f"audio {r['rtp_sent']} packets out, {r['rtp_received']} in; Asterisk saw {r['asterisk_received']} and "
        f"sent {r['asterisk_sent']}"
        for r in results
    )
    emit(as_json, {"calls": results, "verified": good}, *lines, f"{good} of {len(results)} calls verified in Asterisk.")
    raise typer.Exit(0 if good == len(results) else 5)


@app.command()
def form(lab_name: LabName = DEFAULT_NAME, as_json: Json = False) -> None:
    """Make a cluster of the two nodes with the product's own commands: set up master, prepare slave, add slave."""
    lab = _ready(lab_name)
    begun = time.monotonic()
    cluster = Cluster(lab)
    cluster.form(say)
    took_s = round(time.monotonic() - begun, 2)
    emit(
        as_json,
        {"state": "complete", "took_s": took_s, "cluster_ip": CLUSTER_IP},
        f"The cluster is complete after {took_s} s: {CLUSTER_IP} serves.",
        "Next:  ishmael lab call             two phones talk over it",
        "       ishmael lab fault power-cut  the master loses its power",
        "       ishmael lab exec node1 -- ishmael status",
    )


app.add_typer(bench, name="bench")
app.add_typer(soak, name="soak")
