"""A slave that is away is objected to until its files have been compared."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from ishmael.manager.data.files import FilesFollow
from ishmael.manager.data.situation import Situation
from ishmael.words.profile import FileSet, Profile
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
