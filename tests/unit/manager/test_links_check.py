"""X1 says what a missing link means for the node that has it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ishmael.checks import x_links
from ishmael.checks.base import Seen, State
from manager.helpers import stage
from manager.world import World

_LINES = "nodeid: 2:\tconnected\nnodeid: 2:\tconnected\n"


def _seen(tmp_path: Path, keeper: Mapping[str, Any]) -> Seen:
    world = World()
    stage(world, "complete", tmp_path)
    settings = world.machines[0].settings()
    assert settings is not None
    return Seen(keeper=keeper, settings=settings, own=settings.nodes[0], peer=settings.nodes[1])


@pytest.mark.parametrize(
    ("role", "sees", "dark", "state", "part"),
    [
        ("master", True, (), State.OK, "both links work"),
        ("master", False, (), State.CRITICAL, "no reference answers"),
        ("slave", False, (), State.OK, "both links work"),
        ("master", False, ("phone",), State.CRITICAL, "phones do not reach this master"),
        ("slave", False, ("phone",), State.CRITICAL, "(telephone network)"),
        ("master", True, ("internal",), State.CRITICAL, "(internal network)"),
    ],
)
def test_what_a_missing_link_means(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    role: str,
    sees: bool,
    dark: tuple[str, ...],
    state: State,
    part: str,
) -> None:
    """A master that phones do not reach says so; of a slave only the link is told."""
    seen = _seen(tmp_path, {"role": role, "sees_reference": sees})
    assert seen.own is not None
    nics = {"phone": seen.own.phone_nic, "internal": seen.own.internal_nic}
    monkeypatch.setattr(x_links, "_has_carrier", lambda nic: nic not in {nics[one] for one in dark})
    monkeypatch.setattr(x_links, "program", lambda *_: (0, _LINES))
    result = x_links.probe(seen)
    assert result.state is state
    assert part in result.output
