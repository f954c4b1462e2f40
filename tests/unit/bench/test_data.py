"""Which files count in a soak of the data, and what the benchmark shows of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from ishmael.lab import mails
from ishmael.lab.bench.data import table
from ishmael.lab.bench.lsyncd import AT_ONCE, CONFIGURATIONS, DEFAULT
from ishmael.lab.mails import Box, missing
from ishmael.lab.misfortunes import MISFORTUNES, named
from ishmael.lab.node import Node
from ishmael.lab.soak_data import summary
from ishmael.words.errors import RequestRefused

PAGE = (Path(__file__).parents[3] / "docs/reference/lab.md").read_text()


@dataclass
class _Node:
    init_pid: int = 1


def test_only_files_older_than_the_measured_lag_are_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Older than the longest lag there was and than half a second; half of a file does not count as there."""
    monkeypatch.setattr(mails, "BOX", str(tmp_path))
    node = cast(Node, _Node())
    box = Box(node, node, "a")
    box._closed_s = {"old": 10.0, "torn": 10.1, "lost": 10.2, "young": 19.4}
    box.lag_ms = 700.0
    (tmp_path / "old").write_bytes(b"x" * 30_000)
    (tmp_path / "torn").write_bytes(b"x" * 100)
    assert box.judge(node, 20.0) == (3, ["torn", "lost"])
    assert missing(node, ["old", "young"]) == ["young"]


def test_a_soak_sums_up_what_is_missing() -> None:
    """Rows, files and failed runs; a run that failed counts for nothing else."""
    run = {
        "lost": 0,
        "acknowledged": 10,
        "files_due": 4,
        "files_missing": ["a"],
        "promotion_ms": 90,
        "write_gap_s": 0.5,
        "rung": "follow",
    }
    found = summary([run, {**run, "lost": 2, "files_missing": []}, {"failed": "no-master: x"}])
    assert (found["lost_acknowledged"]["max"], found["lost_acknowledged"]["runs"]) == (2.0, 2)
    assert (found["files_due"], found["files_missing"], found["failed"]) == (8, 1, ["no-master: x"])


def test_the_table_shows_every_figure() -> None:
    """Ours, lsyncd's, and the watcher's."""
    figure = {"median": 1.0, "p95": 2.0, "max": 3.0, "runs": 4}
    lines = table({"file_lag_ms": figure, "file_lag_ms_beside": {"lsyncd-default": figure}, "watcher": {"files": 5}})
    assert [line.split()[0] for line in lines] == ["file_lag_ms", "lsyncd-default", "watcher"]


def test_lsyncd_is_measured_as_it_comes_and_at_its_fastest() -> None:
    """The default is what one gets; the other one waits for nothing."""
    assert "delay" not in DEFAULT and "delay = 0" in AT_ONCE
    assert set(CONFIGURATIONS) == {"lsyncd-default", "lsyncd-delay-0"}


def test_every_misfortune_is_documented_once() -> None:
    """By name, in the page of the lab; an unknown one says which there are."""
    for one in MISFORTUNES:
        assert PAGE.count(f"| `{one.name}` | {one.mechanism} | {one.ends} |") == 1
    with pytest.raises(RequestRefused) as refused:
        named("rain")
    assert "wrong-password" in refused.value.hint
