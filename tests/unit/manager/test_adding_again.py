"""Adding a slave that was removed, and two admins who add one at once."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from ishmael.manager.jobs.journal import Journal
from ishmael.manager.jobs.queue import Queue
from ishmael.manager.jobs.runner import Runner
from ishmael.manager.works.catalogue import catalogue
from ishmael.manager.works.remembered import last_slave
from manager.helpers import SLAVE, done, findings, stage
from manager.world import World


def test_a_removed_slave_is_added_again_with_nothing_typed(tmp_path: Path) -> None:
    """Name and addresses are remembered and proposed; what is typed goes before; a reset forgets them."""
    world = World()
    stage(world, "complete", tmp_path)
    first = world.machines[0]
    done(first, "remove-slave", {}, tmp_path)
    assert last_slave(first.hands)["name"] == "node2"
    (refused,) = Queue(Journal(str(tmp_path / "look.sqlite")), catalogue(first.hands)).plan("re-add", {}, ())[
        "findings"
    ]
    assert (refused["code"], "node2" in refused["hint"]) == ("has-no-slave", True)
    assert findings(first, "add-slave", {"name": "node3"}, tmp_path) == ["other-host-name"]
    job = done(first, "add-slave", {}, tmp_path)
    assert job.result["slave"] == "node2"
    done(first, "remove-slave", {}, tmp_path)
    done(first, "reset", {}, tmp_path)
    assert last_slave(first.hands) == {}


def test_two_admins_at_once(tmp_path: Path) -> None:
    """Both jobs were fine when they were queued; the second is looked at again when its turn comes, and touches nothing."""
    world = World()
    stage(world, "prepared", tmp_path)
    machine = world.machines[0]
    works = catalogue(machine.hands)
    journal = Journal(str(tmp_path / "both.sqlite"))
    queue, runner = Queue(journal, works), Runner(journal, works, nullcontext)
    first, second = (queue.submit("add-slave", SLAVE, ()) for _ in range(2))
    assert runner.run_next()
    image = world.image()
    assert runner.run_next()
    ended = [journal.job(job.id) for job in (first, second)]
    journal.close()
    assert [str(job.state) for job in ended] == ["done", "refused"]
    assert ended[1].error is not None
    assert ended[1].error["code"] == "has-a-slave"
    assert world.image() == image
