"""Every field of every work: of the wrong type, too long, empty, unknown. The answer names the field, and nothing is touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ishmael.manager.jobs.journal import Journal
from ishmael.manager.jobs.queue import Queue
from ishmael.manager.works.catalogue import NAMES, catalogue
from ishmael.words.errors import RequestRefused
from manager.helpers import SET_UP, SLAVE, stage
from manager.world import CLUSTER_KEY, World

TEXTS: dict[str, tuple[str, ...]] = {
    "setup-master": (
        "cluster_ip", "phone_nic", "internal_nic", "email", "cluster_name", "policy", "profile", "phone_ip", "internal_ip",
    ),
    "prepare-slave": ("key", "join"),
    "add-slave": ("name", "phone_ip", "internal_ip"),
    "remove-slave": (),
    "re-add": ("name", "phone_ip", "internal_ip"),
    "failover": (),
    "reset": (),
    "apply-service": ("service", "password_file"),
    "apply-network": ("phone_nic", "phone_address", "internal_nic", "internal_address", "gateway", "host_name"),
}  # fmt: skip
LISTS: dict[str, tuple[str, ...]] = {
    "setup-master": ("references",),
    "apply-service": ("set",),
    "apply-network": ("dns",),
}
FLAGS: dict[str, tuple[str, ...]] = {"reset": ("take_cluster_ip",)}
GOOD: dict[str, Mapping[str, Any]] = {
    "setup-master": SET_UP, "prepare-slave": {"key": CLUSTER_KEY}, "add-slave": SLAVE, "apply-service": {"service": "ntp"},
    "apply-network": {
        "phone_nic": "phone0", "phone_address": "192.168.5.11/24", "internal_nic": "cable0",
        "internal_address": "10.255.0.1/30",
    },
}  # fmt: skip
BAD_TEXTS: tuple[tuple[Any, str], ...] = (
    (7, "not-text"),
    (["x"], "not-text"),
    ({"x": 1}, "not-text"),
    ("x" * 5000, "too-long"),
)
BAD_LISTS: tuple[tuple[Any, str], ...] = (
    ("x", "not-a-list"),
    (["x"] * 33, "not-a-list"),
    ([7], "not-text"),
    (["x" * 5000], "too-long"),
)
BAD_FLAGS: tuple[tuple[Any, str], ...] = (("yes", "not-a-flag"), (1, "not-a-flag"), ([], "not-a-flag"))
CASES = [
    *(
        (work, field, bad, code)
        for table, faults in ((TEXTS, BAD_TEXTS), (LISTS, BAD_LISTS), (FLAGS, BAD_FLAGS))
        for work, fields in table.items()
        for field in fields
        for bad, code in faults
    ),
    *((work, "colour", "red", "unknown-argument") for work in NAMES),
]


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Queue:
    """Of a master without a slave; nothing is ever queued."""
    where, world = tmp_path_factory.mktemp("fields"), World()
    stage(world, "prepared", where)
    return Queue(Journal(str(where / "jobs.sqlite")), catalogue(world.machines[0].hands))


@pytest.mark.parametrize(("work", "field", "bad", "code"), CASES, ids=lambda value: str(value)[:16])
def test_what_is_wrong_with_a_field_is_said_of_that_field(
    queue: Queue, work: str, field: str, bad: Any, code: str
) -> None:
    """One clear answer: the field, the reason, the way out."""
    with pytest.raises(RequestRefused) as refused:
        queue.submit(work, {**GOOD.get(work, {}), field: bad}, ())
    (found,) = [finding for finding in refused.value.findings if finding.field == field]
    assert (found.code, bool(found.message), bool(found.hint)) == (code, True, True)


def test_all_that_is_wrong_is_said_at_once(queue: Queue) -> None:
    """Five faults of five kinds in one form."""
    wish = {"cluster_ip": 7, "phone_nic": "x" * 5000, "internal_nic": "  ", "references": "x", "colour": "red"}
    with pytest.raises(RequestRefused) as refused:
        queue.submit("setup-master", wish, ())
    assert sorted((each.field, each.code) for each in refused.value.findings) == [
        ("cluster_ip", "not-text"), ("colour", "unknown-argument"), ("internal_nic", "missing"), ("phone_nic", "too-long"),
        ("references", "not-a-list"),
    ]  # fmt: skip


def test_no_work_is_forgotten() -> None:
    """The table has them all."""
    assert set(TEXTS) == set(NAMES)
