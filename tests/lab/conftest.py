"""Labs for the tests on real nodes: they drive the installed command line, as a person would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ishmael.lab import trial
from ishmael.lab.cluster import Cluster
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan

ISHMAEL = Path(sys.executable).with_name("ishmael")
COMMAND_TIMEOUT_S = 300
ETC_FILES = "find /etc -type f ! -name '*.lock' -exec sha256sum {} + | sort"
"""What must not change when something is refused, file by file."""
FULL = os.environ.get("ISHMAEL_TEST_FULL") == "1"
"""The long tours as well, to their end."""
# A shell's background job ignores Ctrl-C, and so would all that is started here, which tests then interrupt in vain.
signal.signal(signal.SIGINT, signal.default_int_handler)
collect_ignore = [] if FULL else ["test_releases.py"]


@dataclass(frozen=True)
class Lab:
    """A lab by name, driven through the command line."""

    name: str

    @property
    def plan(self) -> LabPlan:
        return LabPlan(self.name)

    @property
    def cluster(self) -> Cluster:
        return Cluster(self.plan)

    def run(self, *words: str, timeout_s: float = COMMAND_TIMEOUT_S) -> subprocess.CompletedProcess[str]:
        """`ishmael lab WORDS` on this lab, whatever it ends with."""
        return subprocess.run(
            [ISHMAEL, "lab", *words],
            env=os.environ | {"ISHMAEL_LAB": self.name},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def json(self, *words: str) -> dict[str, Any]:
        """`ishmael lab WORDS --json`, which must succeed."""
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        found = json.loads(done.stdout)
        assert found["schema"] == 1
        return dict(found)

    def sh(self, node: str, script: str) -> str:
        """A shell script in a node, which must succeed; returns its output."""
        done = Node(self.plan, self.plan.node(node)).exec(["sh", "-c", script])
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def popen(self, *words: str) -> subprocess.Popen[str]:
        """`ishmael lab WORDS`, running; its errors can be read as they come."""
        return subprocess.Popen(
            [ISHMAEL, "lab", *words],
            env=os.environ | {"ISHMAEL_LAB": self.name},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )


def traces(name: str) -> list[str]:
    """What the host has of a lab, looked for with the host's own means."""
    mark = f"ishmael-{name}-"
    found = [f"netns {path.name}" for path in Path("/run/netns").glob(f"{mark}*")]
    found += [
        f"mount {line}" for line in Path("/proc/mounts").read_text().splitlines() if f"/ishmael-lab/{name}/" in line
    ]
    loops = subprocess.run(["losetup", "--list", "--noheadings"], capture_output=True, text=True, check=True).stdout
    found += [f"loop {line}" for line in loops.splitlines() if f"/ishmael-lab/{name}/" in line]
    cgroups = Path("/sys/fs/cgroup")
    found += [
        f"cgroup {path}"
        for depth in ("*", "*/*")
        for path in cgroups.glob(f"{depth}")
        if path.name == f"ishmael-lab-{name}"
    ]
    found += [f"nspawn {path}" for path in Path("/run/systemd/nspawn/propagate").glob(f"{mark}*")]
    found += [f"directory {base}" for base in ("/run", "/var/lib") if Path(base, "ishmael-lab", name).exists()]
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = cmdline.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in words or f"/ishmael-lab/{name}/" in words:
            found.append(f"process {words}")
    return found


def _fresh(name: str) -> Lab:
    lab = Lab(name)
    lab.run("down")
    return lab


def _take_down(lab: Lab) -> None:
    done = lab.run("down")
    assert done.returncode == 0, done.stderr
    assert traces(lab.name) == []


@pytest.fixture
def no_lab() -> Iterator[Lab]:
    """A lab that is not up; whatever a test makes of it is taken away."""
    lab = _fresh("testnone")
    yield lab
    _take_down(lab)


@pytest.fixture(scope="module")
def plain_lab() -> Iterator[Lab]:
    """Two booted Debian nodes without the product, for one file of tests."""
    lab = _fresh("testplain")
    try:
        lab.json("up", "--no-package")
        yield lab
    finally:
        _take_down(lab)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The shared lab: two nodes with the package, formed to a cluster."""
    lab = _fresh(os.environ.get("ISHMAEL_TEST_LAB", "test"))
    try:
        lab.json("up")
        lab.json("form")
        yield lab
    finally:
        _take_down(lab)


@pytest.fixture(scope="session")
def bare() -> Iterator[Lab]:
    """Two nodes with the package, each alone, for the files that need such; the last of them takes it down before the others go on."""
    lab = _fresh(os.environ.get("ISHMAEL_TEST_BARE", "testbare"))
    try:
        lab.json("up")
        yield lab
    finally:
        _take_down(lab)


@pytest.fixture
def complete(lab: Lab) -> Lab:
    """The shared lab with a complete cluster, whatever the test before has done to it."""
    trial.restore(lab.plan)
    return lab
