"""What the flight recorder writes can be read again, and decides the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ishmael.core.machine import Step, step
from ishmael.core.recording import from_plain, to_plain
from ishmael.core.state import State
from ishmael.keeper.recorder import FlightRecorder
from ishmael.sim import keeper
from ishmael.sim.faults import FAULTS
from ishmael.sim.replay import replay
from ishmael.sim.world import World


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A slave that takes over, as its keeper would have noted it."""
    recorder, world = FlightRecorder(), World(seed=3)

    def noting(state: State, now_ms: int, event: Any) -> Step:
        result = step(state, now_ms, event)
        if state.config.me == 2:
            recorder.note(state, now_ms, event, result.rules)
        return result

    monkeypatch.setattr(keeper, "step", noting)
    world.boot_pair()
    assert world.run_until_complete()
    FAULTS["power-cut"].begin(world, world.nodes[1], world.draw)
    world.agenda.run_for(2000)
    assert [node.id for node in world.monitors.masters()] == [2]
    path = tmp_path / "flight.json"
    path.write_text(json.dumps(recorder.dump()))
    return path


def test_a_recording_decides_the_same(recording: Path) -> None:
    """Every event leads to the same rules, and the takeover is in the trace."""
    seen = replay(recording)
    assert seen.differs == ()
    assert "became-master: The master is silent on both networks." in seen.trace


def test_another_decision_is_noticed(recording: Path) -> None:
    """A recording whose rules were others than this core's says where."""
    raw = json.loads(recording.read_text())
    entry = next(entry for entry in raw["events"] if entry[2] == ["3a"])
    entry[2] = []
    recording.write_text(json.dumps(raw))
    assert len(replay(recording).differs) == 1


def test_values_come_back_as_they_were() -> None:
    """A state after a whole night, through JSON."""
    world = World(seed=5)
    world.boot_pair()
    assert world.run_until_complete()
    for node in world.nodes.values():
        assert node.keeper is not None
        state = node.keeper.state
        assert from_plain(json.loads(json.dumps(to_plain(state)))) == state


@pytest.mark.parametrize(
    "raw", [{"is": "Nothing", "of": {}}, {"is": "Ticked", "of": {}}, {"of": 1}, {"is": "Role", "of": "x"}]
)
def test_noise_is_no_recording(raw: Any) -> None:
    """What this version did not write is refused in words."""
    with pytest.raises(ValueError, match="not a recording"):
        from_plain(raw)


def test_the_command_says_whether_it_would_do_the_same(recording: Path, tmp_path: Path) -> None:
    """`ishmael replay FILE`: 0 the same, 1 something else, 2 no recording."""

    def played(path: Path) -> tuple[int, str]:
        argv = [str(Path(sys.executable).with_name("ishmael")), "replay", str(path)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    code, said = played(recording)
    assert code == 0 and "0 decided otherwise" in said and "became-master" in said
    other = json.loads(recording.read_text())
    at = next(index for index, (_, _, rules) in enumerate(other["events"]) if "3a" in rules)
    other["events"][at][2] = []
    (tmp_path / "other.json").write_text(json.dumps(other))
    assert played(tmp_path / "other.json")[0] == 1
    (tmp_path / "none.json").write_text("[]")
    assert played(tmp_path / "none.json")[0] == 2
