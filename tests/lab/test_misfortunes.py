"""Misfortunes of the data on two real nodes: each is named, leaves the telephones alone, and has its way back.

The cheapest are part of every run; all of them with ``ISHMAEL_TEST_FULL=1``, or by ``script/soak misfortune``.
"""

from __future__ import annotations

import pytest

from ishmael.lab import misfortunes
from ishmael.lab.misfortunes import MISFORTUNES
from tests.lab.conftest import FULL, Lab

pytestmark = pytest.mark.lab
CHEAP = ("written-alone",)
"""By the rung rewind; the planned switch follows, and a slave that is added is copied."""


@pytest.mark.parametrize("name", [one.name for one in MISFORTUNES if FULL or one.name in CHEAP])
def test_a_misfortune_is_named_and_has_a_way_back(lab: Lab, name: str) -> None:
    """Each begins and ends with a complete cluster."""
    misfortunes.restore(lab.plan)
    seen = misfortunes.run(lab.plan, misfortunes.named(name))
    assert seen["failed"] == "", seen
    assert seen["said"]
