"""The lab's state file: written before anything is made, so that whatever a crash leaves can be found."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ishmael.lab.plan import LabPlan
from ishmael.lab.tools import started_at

STATE_SCHEMA = 1


@dataclass(frozen=True)
class LabState:
    """What is known about a lab that was begun.

    Args:
        phase: ``building`` while `lab up` works, ``up`` when it is done.
        pid: the process that brings it up.
        pid_started: its start time, in clock ticks since boot.
        package: file name of the package installed in the nodes; empty for none.
        layer: directory of the layer its nodes stand on.
        last_fault: the fault injected last and not healed, and its node; empty for none.
    """

    phase: str
    pid: int
    pid_started: int | None
    package: str = ""
    layer: str = ""
    last_fault: str = ""
    last_fault_node: str = ""
    schema: int = STATE_SCHEMA

    @property
    def being_built(self) -> bool:
        """`lab up` is still at work, in another process."""
        return self.phase == "building" and self.pid_started is not None and started_at(self.pid) == self.pid_started


def begin(lab: LabPlan) -> LabState:
    """Announce that this process makes the lab."""
    state = LabState("building", os.getpid(), started_at(os.getpid()))
    save(lab, state)
    return state


def save(lab: LabPlan, state: LabState) -> None:
    """Write the state file, whole or not at all."""
    lab.run_directory.mkdir(parents=True, exist_ok=True)
    new = lab.state_file.with_suffix(".new")
    new.write_text(json.dumps(asdict(state), indent=1) + "\n", encoding="utf-8")
    new.rename(lab.state_file)


def load(lab: LabPlan) -> LabState | None:
    """The state of the lab; None when there is none."""
    try:
        words = json.loads(lab.state_file.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    known = {name: words[name] for name in LabState.__dataclass_fields__ if name in words}
    return LabState(**known)


def note_fault(lab: LabPlan, fault: str, node: str) -> None:
    """Remember the fault that `lab heal` will undo; empty words for none."""
    state = load(lab)
    if state is not None:
        save(lab, replace(state, last_fault=fault, last_fault_node=node))


def boot_file(lab: LabPlan, node: str) -> Path:
    """Where a node's supervisor notes its process id and start time."""
    return lab.run_directory / node / "supervisor"
