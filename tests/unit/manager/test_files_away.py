"""A slave that is away is objected to until its files have been compared."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ishmael.manager.data import held
from ishmael.manager.data.files import FilesFollow
from ishmael.manager.data.salvage import Salvage
from ishmael.manager.data.sender import Report
from ishmael.manager.data.situation import Situation
from ishmael.manager.drivers.rsyncd import Rsyncd
from ishmael.words import places
from ishmael.words.profile import FileSet, Profile, Unit
from ishmael.words.roles import Role
from manager.helpers import stage
from manager.world import World


def test_a_slave_that_is_not_heard_is_objected_to_before_it_returns(tmp_path: Path, monkeypatch: Any) -> None:
    """Else it would be fit for the moment between its return, or its being re-added, and the first look at its files."""
    world = World()
    stage(world, "complete", tmp_path)
    machine = world.machines[0]
    said: list[str] = []
    monkeypatch.setattr(machine.keeper, "object_to_fitness", lambda _source, reason, _expires_ms: said.append(reason))
    settings = machine.settings()
    assert settings is not None
    follow = FilesFollow(machine.hands, machine.hands.copies, None, None)  # type: ignore[arg-type]
    profile = Profile("pbx", files=(FileSet("/var/spool/voice"),))
    away = Situation(str(Role.MASTER), settings.nodes[0], settings.nodes[1], settings, profile, None)
    follow._serve(away, threading.Event())
    follow._serve(away, threading.Event())
    assert said == ["its files are compared when it is back"]
    standby = Situation(str(Role.MASTER), settings.nodes[0], settings.nodes[1], settings, profile, str(Role.STANDBY))
    follow._said_at_s = 0.0
    follow._serve(standby, threading.Event())
    assert len(said) == 2


@pytest.mark.parametrize(("after", "doubts"), [(7, 0), (8, 1)])
def test_only_one_that_started_anew_is_doubted(after: int, doubts: int, tmp_path: Path, monkeypatch: Any) -> None:
    """A slave that was not heard for a moment, as when the cable is pulled out, has lost nothing of what had arrived."""
    world = World()
    stage(world, "complete", tmp_path)
    machine = world.machines[0]
    settings = machine.settings()
    assert settings is not None
    follow = FilesFollow(machine.hands, machine.hands.copies, None, None)  # type: ignore[arg-type]
    monkeypatch.setattr("ishmael.manager.data.files._LOOK_S", 0.0)
    profile = Profile("pbx", files=(FileSet("/var/spool/voice"),))
    told: list[str] = []

    class _Sender:
        def doubt(self) -> None:
            told.append("doubt")

        def report(self) -> Report:
            return Report(lag_ms=0, in_step=True)

    def seen(role: str | None, incarnation: int | None) -> Situation:
        return Situation(str(Role.MASTER), settings.nodes[0], settings.nodes[1], settings, profile, role, incarnation)

    first = seen(str(Role.SLAVE), 7)
    follow._sender, follow._incarnation, follow._heard_at_s = _Sender(), 7, time.monotonic()  # type: ignore[assignment]
    for now in (first, seen(None, None), seen(str(Role.SLAVE), after)):
        monkeypatch.setattr(follow._looking, "situation", lambda now=now: now)
        assert follow._goes_on(first)
    assert len(told) == doubts
    # A service that was switched on is one more unit of the profile: nothing of it concerns the files.
    more = replace(profile, units=(Unit("dnsmasq.service"),))
    monkeypatch.setattr(follow._looking, "situation", lambda: replace(first, profile=more))
    assert follow._goes_on(first)
    other = replace(profile, files=(FileSet("/var/spool/fax"),))
    monkeypatch.setattr(follow._looking, "situation", lambda: replace(first, profile=other))
    assert not follow._goes_on(first)


def test_doubtful_call_files_are_kept_aside_and_told(tmp_path: Path, monkeypatch: Any) -> None:
    """Left where they wait they would be gone with the next copy of a new master's."""
    world = World()
    stage(world, "complete", tmp_path)
    machine = world.machines[0]
    monkeypatch.setattr(places, "HELD", str(tmp_path / "held"))
    monkeypatch.setattr("ishmael.manager.data.files.Salvage", lambda node: Salvage(node, str(tmp_path / "salvage")))
    told: list[Any] = []
    monkeypatch.setattr(machine.keeper, "tell", lambda kind, why, facts: told.append((kind, why, facts)))
    files = FileSet("/var/spool/asterisk/outgoing", held=True)
    waits = held.place(files)
    waits.mkdir(parents=True)
    (waits / "due.call").write_text("Channel: Local/1@x")
    follow = FilesFollow(machine.hands, machine.hands.copies, Rsyncd(), None)  # type: ignore[arg-type]
    monkeypatch.setattr(follow._server, "stop", lambda: None)
    follow._receiver.stop(Profile("pbx", files=(files,)), master=True)
    ((kind, why, facts),) = told
    assert (kind, facts["count"], facts["kind"]) == ("salvage-kept", 1, "files")
    assert facts["id"] in why
    (kept,) = (tmp_path / "salvage").rglob("due.call")
    assert kept.read_text() == "Channel: Local/1@x"
