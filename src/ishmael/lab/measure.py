"""Measuring one fault: the probe on the telephone network and the sampler of both kernels, from before it to after it."""

from __future__ import annotations

import json
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

from ishmael.lab import client, plan
from ishmael.lab.holders import both_ms
from ishmael.lab.lifecycle import nodes_of
from ishmael.lab.plan import LabPlan
from ishmael.lab.probe import READY
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault

_STOP_TIMEOUT_S = 20.0
_READY_TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Measured:
    """What a client saw of one fault. All times in milliseconds.

    Args:
        gap_ms: longest silence of the echo service, asked every 2 ms.
        sip_gap_ms: the same for SIP OPTIONS, asked every 20 ms; none when SIP was never answered.
        dual_ms: time in which both nodes held the cluster IP, sampled every 5 ms.
        changes: how often another node answered than before.
        late_ms: the longest delay of the probe itself.
        gap_from_s: when the gap began, on the host's monotonic clock.
        answered: echo questions that were answered.
        first_node: who answered first.
        last_node: who answered last.
    """

    gap_ms: float
    sip_gap_ms: float | None
    dual_ms: float
    changes: int
    late_ms: float
    gap_from_s: float
    answered: int
    first_node: str
    last_node: str


class Measurement:
    """Runs both for the time of a ``with`` block; ``result()`` afterwards.

    Args:
        lab: which one.
        keep: file for the raw samples, or none.
    """

    def __init__(self, lab: LabPlan, keep: Path | None = None) -> None:
        self._lab = lab
        self._keep = keep
        self._processes: list[subprocess.Popen[str]] = []
        self._raw: list[dict[str, Any]] = []

    def __enter__(self) -> Measurement:
        python = [sys.executable, "-m"]
        nodes = [f"{n.plan.name}={n.plan.netns}={n.init_pid or 0}" for n in nodes_of(self._lab)]
        probe = [*python, "ishmael.lab.probe", plan.CLUSTER_IP, "--echo-port", str(plan.ECHO_PORT)]
        commands = [
            client.command(self._lab, probe),
            client.member(self._lab, [*python, "ishmael.lab.holders", plan.CLUSTER_IP, *nodes]),
        ]
        for command in commands:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self._processes.append(process)
        try:
            for process in self._processes:
                _await_ready(process)
        except HostFault:
            self.__exit__(HostFault, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, _value: object, _trace: TracebackType | None) -> None:
        for process in self._processes:
            try:
                out, _ = process.communicate(timeout=_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                out, _ = process.communicate()
            if kind is None and process.returncode == 0:
                self._raw.append(json.loads(out.splitlines()[-1]))
        if kind is None and len(self._raw) != len(self._processes):
            raise HostFault("probe-failed", "The probe or the sampler ended with an error.", "See its output above.")

    def result(self) -> Measured:
        """What was seen; call it after the block."""
        probed, held = self._raw
        if self._keep is not None:
            self._keep.parent.mkdir(parents=True, exist_ok=True)
            self._keep.write_text(json.dumps({"probe": probed, "holders": held}), encoding="utf-8")
        echo = sorted(probed["echo"]["answered"])
        if len(echo) < 2:
            raise HostFault("cluster-ip-silent", "The cluster IP did not answer the probe.", "ishmael lab status")
        gap_s, from_s = longest_gap(probed["echo"])
        sip = probed["sip"]["answered"]
        who = [name for _, _, name in echo]
        return Measured(
            gap_ms=round(gap_s * 1000, 1),
            sip_gap_ms=round(longest_gap(probed["sip"])[0] * 1000, 1) if len(sip) > 1 else None,
            dual_ms=round(both_ms(list(held.values())), 1),
            changes=sum(a != b for a, b in pairwise(who)),
            late_ms=round(max(probed["echo"]["late_ms"], default=0.0), 1),
            gap_from_s=from_s,
            answered=len(echo),
            first_node=who[0],
            last_node=who[-1],
        )


def _await_ready(process: subprocess.Popen[str]) -> None:
    """Wait until a process says that it measures.

    Raises:
        HostFault: it does not: nobody answers on the cluster IP, or it died.
    """
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], _READY_TIMEOUT_S)[0] or process.stdout.readline() != f"{READY}\n":
        raise HostFault("cluster-ip-silent", "The cluster IP did not answer the probe.", "ishmael lab status")


def longest_gap(track: Mapping[str, Any]) -> tuple[float, float]:
    """The longest silence a client saw, and where it began, in seconds.

    Silence runs between the sending of two answered questions, or the coming of two answers, whichever is longer: a
    question that waited in a queue and was answered late does not shorten it. It lasts to the end if nothing came since.
    """
    sent = sorted(at for at, _, _ in track["answered"])
    came = sorted(at for _, at, _ in track["answered"])
    spans = [span for times in (sent, [*came, track["ended_s"]]) for span in pairwise(times)]
    return max((later - earlier, earlier) for earlier, later in spans)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile (nearest rank) and maximum."""
    ordered = sorted(values)
    rank = max(0, -(-95 * len(ordered) // 100) - 1)
    return {
        "median": round(statistics.median(ordered), 1),
        "p95": round(ordered[rank], 1),
        "max": round(ordered[-1], 1),
    }


def settle(seconds: float) -> None:
    """Let the probe run for a while; measuring takes time and nothing else is waited for."""
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= until, seconds + 1, 0.05)


def as_json(measured: Measured) -> dict[str, Any]:
    """The figures of one run."""
    return asdict(measured)
