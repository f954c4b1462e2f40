"""The API over the real application, jobs and machines in memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from ishmael.manager.accounts import AccountsBook
from ishmael.manager.api.app import make_app
from ishmael.manager.jobs.journal import Journal
from ishmael.manager.jobs.queue import Queue
from ishmael.manager.jobs.runner import Runner
from ishmael.manager.look import Look
from ishmael.manager.works.catalogue import NAMES, catalogue
from manager.helpers import SET_UP
from manager.world import CLUSTER_KEY, World


class SomeEvents:
    """An event list."""

    def newest(self, limit: int) -> list[dict[str, Any]]:
        return [{"id": 1, "kind": "became-master", "why": "told to"}][:limit]


class Manager:
    """The application with its runner, on the first machine of a world."""

    def __init__(self, where: Path) -> None:
        self.world = World()
        hands = self.world.machines[0].hands
        works = catalogue(hands)
        book = AccountsBook(hands.files, lambda _path: None)
        self.journal = Journal(str(where / "jobs.sqlite"))
        self.runner = Runner(self.journal, works, nullcontext)
        self.app: FastAPI = make_app(Queue(self.journal, works), self.journal, Look(hands, SomeEvents()), "0.1.0", book)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://ishmael/api/v1") as client:
                return await client.request(method, path, **options)

        return asyncio.run(asked())


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path)
    yield made
    made.journal.close()


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["code"] == code
    assert problem["type"] == f"urn:ishmael:problem:{code}"
    assert {"title", "status", "detail", "whose", "hint", "findings"} <= set(problem)
    return problem


def test_a_job_from_post_to_done(manager: Manager) -> None:
    """A posted job is queued, run, and can be followed; the status shows what came of it."""
    assert manager.ask("GET", "/status").json()["state"] == "alone"
    posted = manager.ask("POST", "/jobs", json={"work": "setup-master", "arguments": SET_UP})
    assert (posted.status_code, posted.json()["state"]) == (202, "queued")
    assert manager.runner.run_next()
    job = manager.ask("GET", f"/jobs/{posted.json()['id']}", params={"after": 1, "wait_s": 5}).json()
    assert (job["state"], job["progress"]) == ("done", "8/8 form the cluster and take the cluster IP")
    assert job["result"]["ssh_public_key"].startswith(CLUSTER_KEY)
    status = manager.ask("GET", "/status").json()
    assert (status["state"], status["master"], status["holds_cluster_ip"]) == ("master-ready", "node1", True)
    kinds = [event["kind"] for event in manager.ask("GET", f"/jobs/{job['id']}/events").json()["events"]]
    assert (kinds[0], kinds[-1], kinds.count("step")) == ("queued", "done", 8)
    assert [job["work"] for job in manager.ask("GET", "/jobs").json()["jobs"]] == ["setup-master"]


def test_a_plan_queues_nothing(manager: Manager) -> None:
    """A dry run answers with the steps and the findings and leaves no job behind."""
    before = manager.world.image()
    wish = {"work": "setup-master", "arguments": {**SET_UP, "cluster_ip": "10.77.0.11"}, "dry_run": True}
    answer = manager.ask("POST", "/jobs", json=wish)
    plan = answer.json()
    assert (answer.status_code, plan["id"], plan["state"], plan["refused"]) == (200, None, "planned", True)
    assert [finding["code"] for finding in plan["findings"]] == ["nodes-own-address"]
    assert manager.ask("GET", "/jobs").json()["jobs"] == []
    assert manager.world.image() == before


def test_refusals_name_every_field(manager: Manager) -> None:
    """Missing, unknown and wrongly typed arguments are findings of one answer."""
    wish = {"work": "setup-master", "arguments": {"cluster_ip": 7, "references": "x", "colour": "red"}}
    problem = assert_problem(manager.ask("POST", "/jobs", json=wish), 422, "not-text")
    found = {(finding["field"], finding["code"]) for finding in problem["findings"]}
    assert found == {
        ("cluster_ip", "not-text"), ("phone_nic", "missing"), ("internal_nic", "missing"),
        ("references", "not-a-list"), ("colour", "unknown-argument"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"),
    [
        ("GET", "/jobs/77", {}, 404, "no-such-job"),
        ("GET", "/jobs/77/events", {}, 404, "no-such-job"),
        ("GET", "/jobs/x", {}, 422, "malformed"),
        ("GET", "/jobs?limit=0", {}, 422, "malformed"),
        ("GET", "/events?limit=-1", {}, 422, "malformed"),
        ("GET", "/nothing", {}, 404, "no-such-route"),
        ("DELETE", "/jobs", {}, 405, "no-such-method"),
        ("POST", "/jobs", {"json": {"work": "fly"}}, 422, "no-such-work"),
        ("POST", "/jobs", {"json": {"work": "reset", "more": 1}}, 422, "malformed"),
        ("POST", "/jobs", {"json": [1]}, 422, "malformed"),
        ("POST", "/jobs", {"content": b"{"}, 422, "malformed"),
        ("POST", "/jobs", {"json": {"work": "reset"}}, 422, "not-set-up"),
        ("POST", "/jobs", {"json": {"work": "prepare-slave", "arguments": {"key": "x" * 9000}}}, 422, "too-long"),
    ],
)
def test_every_error_is_a_problem_document(
    manager: Manager, method: str, path: str, options: dict[str, Any], status: int, code: str
) -> None:
    """Whatever is wrong is told in one form (RFC 9457)."""
    assert_problem(manager.ask(method, path, **options), status, code)


def test_whose_fault_it_is(manager: Manager) -> None:
    """A fault of this machine is told as such, so that the command line ends with its exit code."""
    manager.world.machines[0].corosync.there = False
    problem = assert_problem(
        manager.ask("POST", "/jobs", json={"work": "setup-master", "arguments": SET_UP}), 503, "corosync-missing"
    )
    assert problem["whose"] == "host"


def test_a_bug_is_told_as_one(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot happen ends as a problem document, not as a torn connection."""
    monkeypatch.setattr(SomeEvents, "newest", lambda self, limit: 1 / 0)
    assert assert_problem(manager.ask("GET", "/events"), 500, "bug")["whose"] == "ishmael"


def test_the_document_describes_every_route(manager: Manager) -> None:
    """The OpenAPI document names all routes and the form of errors."""
    document = manager.ask("GET", "/openapi.json").json()
    routes = {f"/api/v1{path}" for path in ("/status", "/events", "/jobs", "/jobs/{job_id}", "/jobs/{job_id}/events")}
    assert routes <= set(document["paths"])
    assert "application/problem+json" in document["paths"]["/api/v1/jobs"]["post"]["responses"]["422"]["content"]


def test_status_without_a_keeper(manager: Manager) -> None:
    """The status is answered when the keeper is down, and says so."""
    manager.world.machines[0].services.stop("ishmael-keeper.service")
    status = manager.ask("GET", "/status").json()
    assert (status["keeper"], status["failover_possible"]) == (False, False)
    assert status["failover_blocked_by"] == ["the keeper of this node does not answer"]


def test_every_work_is_in_the_catalogue() -> None:
    """The names that clients use are the works' own."""
    assert set(NAMES) == set(catalogue(World().machines[0].hands))


def _reset_wish(manager: Manager, **more: Any) -> httpx.Response:
    return manager.ask("POST", "/jobs", json={"work": "prepare-slave", "arguments": {"key": CLUSTER_KEY}, **more})


def test_pending_changes_are_applied_together_or_not_at_all(manager: Manager) -> None:
    """Pending jobs wait; a wrong number applies none of them; applied ones run in their order; a dropped one never."""
    numbers = [_reset_wish(manager, pending=True).json()["id"] for _ in range(3)]
    assert not manager.runner.run_next()
    assert_problem(manager.ask("POST", "/jobs/apply", json={"ids": [numbers[0], 99]}), 422, "not-pending")
    assert not manager.runner.run_next()
    assert manager.ask("DELETE", f"/jobs/{numbers[1]}").json()["state"] == "dropped"
    applied = manager.ask("POST", "/jobs/apply", json={}).json()["jobs"]
    assert [(job["id"], job["state"]) for job in applied] == [(numbers[0], "queued"), (numbers[2], "queued")]
    assert manager.runner.run_next()
    assert manager.runner.run_next()
    assert not manager.runner.run_next()
    states = {job["id"]: job["state"] for job in manager.ask("GET", "/jobs").json()["jobs"]}
    assert [states[number] for number in numbers] == ["done", "dropped", "done"]
    assert_problem(manager.ask("DELETE", f"/jobs/{numbers[0]}"), 422, "job-ended")
    assert_problem(manager.ask("DELETE", "/jobs/77"), 404, "no-such-job")


def test_a_cluster_is_not_set_up_beside_pending_changes(manager: Manager) -> None:
    """Pending changes are a finding of set up master, which names them and can be overridden."""
    _reset_wish(manager, pending=True)
    wish = {"work": "setup-master", "arguments": SET_UP}
    problem = assert_problem(manager.ask("POST", "/jobs", json=wish), 422, "jobs-pending")
    assert "1 (prepare-slave)" in problem["findings"][0]["message"]
    assert manager.ask("POST", "/jobs", json={**wish, "override": ["jobs-pending"]}).status_code == 202


def test_one_key_makes_one_job(manager: Manager) -> None:
    """A wish sent twice under one idempotency key is one job; another wish under that key is refused."""
    wish = {"work": "setup-master", "arguments": SET_UP}
    headers = {"Idempotency-Key": "abc"}
    first = manager.ask("POST", "/jobs", json=wish, headers=headers)
    assert manager.runner.run_next()
    # Without the key a second set-up would be refused by now.
    again = manager.ask("POST", "/jobs", json=wish, headers=headers)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    other = manager.ask("POST", "/jobs", json={"work": "reset"}, headers=headers)
    assert_problem(other, 422, "key-reused")
    assert len(manager.ask("GET", "/jobs").json()["jobs"]) == 1


@pytest.mark.parametrize("rounds", range(5))
def test_wishes_that_overlap_under_one_key_are_one_job(manager: Manager, rounds: int) -> None:
    """Two that are checked side by side, as after a double click or an impatient retry, are answered with the same job."""
    machine, both = manager.world.machines[0], threading.Barrier(2, timeout=30)
    looked = machine.network.nics

    def nics() -> Any:
        both.wait()
        return looked()

    machine.network.nics = nics  # type: ignore[method-assign]
    wish, headers = {"work": "setup-master", "arguments": SET_UP}, {"Idempotency-Key": f"k{rounds}"}
    with ThreadPoolExecutor(2) as pool:
        sent = [pool.submit(manager.ask, "POST", "/jobs", json=wish, headers=headers) for _ in range(2)]
        answers = [each.result() for each in sent]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert {answer.json()["id"] for answer in answers} == {manager.journal.jobs(10)[0].id}
    assert len(manager.journal.jobs(10)) == 1


def test_a_wish_that_its_own_job_overtook_is_that_job(manager: Manager) -> None:
    """The first of two was done while the second was looked at: the second is no refusal."""
    machine = manager.world.machines[0]
    wish, headers = {"work": "setup-master", "arguments": SET_UP}, {"Idempotency-Key": "abc"}
    looked, first = machine.network.nics, list[int]()

    def nics() -> Any:
        machine.network.nics = looked  # type: ignore[method-assign]
        first.append(manager.ask("POST", "/jobs", json=wish, headers=headers).json()["id"])
        assert manager.runner.run_next()
        return looked()

    machine.network.nics = nics  # type: ignore[method-assign]
    second = manager.ask("POST", "/jobs", json=wish, headers=headers)
    assert (second.status_code, second.json().get("id")) == (202, first[0])


def test_cancelling_takes_back_what_was_done(manager: Manager) -> None:
    """A running set-up that is cancelled leaves the machine as before; a reset cannot be cancelled half-way."""
    before = manager.world.image()
    number = manager.ask("POST", "/jobs", json={"work": "setup-master", "arguments": SET_UP}).json()["id"]
    machine = manager.world.machines[0]
    real = machine.keys.generate

    def generate(comment: str) -> Any:
        assert manager.ask("DELETE", f"/jobs/{number}").status_code == 200
        return real(comment)

    machine.keys.generate = generate  # type: ignore[method-assign]
    assert manager.runner.run_next()
    job = manager.ask("GET", f"/jobs/{number}").json()
    assert (job["state"], job["error"]["code"]) == ("failed", "cancelled")
    assert len(job["undone"]) == 2
    assert manager.world.image() == before
    job_id = manager.journal.add("reset", {}, ()).id
    manager.journal.change(job_id, "started", state="running")
    assert_problem(manager.ask("DELETE", f"/jobs/{job_id}"), 422, "cancel-unsafe")
