"""Jobs on real nodes are cut in their steps: each goes on to its end, or is undone with both nodes as before."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from ishmael.lab import soak_jobs
from ishmael.lab.soak_jobs import CUT_SLAVE, KILL, Case
from ishmael.manager.works.add_slave import AddSlave
from ishmael.manager.works.re_add import ReAdd
from tests.lab.conftest import FULL, Lab

pytestmark = pytest.mark.lab
# Some on every run; ISHMAEL_TEST_FULL=1 tries every step in every way, and so does `script/soak jobs`.
ALWAYS = (Case("add-slave", 6, KILL), Case("re-add", 9, CUT_SLAVE))
STEPS = {AddSlave.name: 14, ReAdd.name: 13}
ALL = tuple(soak_jobs.cases({work: [""] * steps for work, steps in STEPS.items()}, soak_jobs.CUTS))
TRIED = ALL if FULL else ALWAYS


@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", TRIED, ids=lambda case: f"{case.work}-{case.step}-{case.cut}")
def test_a_job_that_is_cut_ends_whole(complete: Lab, case: Case) -> None:
    """The manager is killed, or a node loses its power, in the middle of a step."""
    seen = soak_jobs.run(complete.plan, case)
    print(json.dumps(asdict(seen)))
    assert seen.violations == []


if FULL:  # it goes through both works

    def test_the_steps_are_all_there(complete: Lab) -> None:
        """The table above names as many steps as the works have here."""
        assert {work: len(soak_jobs.steps_of(complete.plan, work)) for work in STEPS} == STEPS
