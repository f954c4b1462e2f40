"""The command line against a real server on a real socket; the machines behind it are in memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from ishmael.cli import client, looking, main
from ishmael.manager.accounts import AccountsBook
from ishmael.manager.api import drift, services
from ishmael.manager.api.app import make_app
from ishmael.manager.drift import Drift
from ishmael.manager.jobs.journal import Journal
from ishmael.manager.jobs.queue import Queue
from ishmael.manager.jobs.runner import Runner
from ishmael.manager.look import Look
from ishmael.manager.main import listen
from ishmael.manager.works.catalogue import catalogue
from ishmael.words import places
from ishmael.words.errors import HostFault
from manager.helpers import stage
from manager.world import CLUSTER_KEY, World

COMMANDS = [
    "status", "events", "jobs", "version", "setup-master", "prepare-slave", "add-slave", "remove-slave", "re-add",
    "failover", "reset",
]  # fmt: skip
SET_UP = ["setup-master", "--cluster-ip", "10.77.0.10", "--phone-nic", "phone0", "--internal-nic", "cable0"]
ADD = ["add-slave", "--name", "node2", "--phone-ip", "10.77.0.12", "--internal-ip", "10.78.0.2"]


class SomeEvents:
    """An event list."""

    def newest(self, limit: int) -> list[dict[str, Any]]:
        event = {"id": 7, "at": "2026-01-01T00:00:00.000Z", "epoch": "1.1", "node": "node1", "kind": "became-master"}
        return [{**event, "rule": "form", "why": "The admin set up the first master.", "facts": {}}]


class Served:
    """The first machine's manager, served on a socket."""

    def __init__(self, where: Path) -> None:
        self.world = World()
        hands = self.world.machines[0].hands
        works = catalogue(hands)
        self.journal = Journal(str(where / "served.sqlite"))
        self.runner = Runner(self.journal, works, nullcontext)
        app = make_app(
            Queue(self.journal, works), self.journal, Look(hands, SomeEvents()), "0.1.0", AccountsBook(hands.files)
        )
        services.add_to(app, hands)
        drift.add_to(app, Drift(hands, nullcontext), hands)
        self.path = str(where / "api.sock")
        self.door = listen(self.path)
        config = uvicorn.Config(app, log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=1)
        self.server = uvicorn.Server(config)
        self.threads = [
            threading.Thread(target=self.server.run, kwargs={"sockets": [self.door]}, daemon=True),
            threading.Thread(target=self.runner.run, daemon=True),
        ]
        for thread in self.threads:
            thread.start()

    def close(self) -> None:
        """Stop serving."""
        self.server.should_exit = True
        self.runner.stop()
        self.journal.stop_waiting()
        for thread in self.threads:
            thread.join(20)
        self.journal.close()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    made = Served(tmp_path)
    monkeypatch.setattr(client.Api.__init__, "__defaults__", (made.path,))
    yield made
    made.close()


@pytest.fixture
def unserved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No manager answers."""
    monkeypatch.setattr(client.Api.__init__, "__defaults__", (str(tmp_path / "none.sock"),))


def ishmael(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    code = main.run(list(words))
    shown = capsys.readouterr()
    return code, shown.out, shown.err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_helps_and_offers_json(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--help works without a manager, tells an example, and names --json."""
    code, out, _ = ishmael(capsys, command, "--help")
    assert code == 0
    assert "--json" in out
    assert f"ishmael {command}" in out
    assert "Example" in out


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """A newcomer finds all commands, and what is plugged in."""
    code, out, _ = ishmael(capsys, "--help")
    assert code == 0
    assert [command for command in [*COMMANDS, "ishmael lab"] if command not in out] == []


@pytest.mark.parametrize(
    "words",
    [
        [], ["fly"], ["status", "--fly"], ["setup-master"], ["add-slave", "--name", "x"], ["prepare-slave"],
        ["jobs", "x"], ["events", "--limit", "0"], ["reset"], ["reset", "--json"],
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_2(words: list[str], unserved: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong words, missing ones, and nobody there to say yes."""
    assert ishmael(capsys, *words)[0] == 2


def test_an_unknown_plug_in_is_no_bug(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugged-in command whose code is not installed is an unknown command."""

    class Point:
        module = "ishmael.nowhere.main"

        def load(self) -> None:
            raise ModuleNotFoundError("no", name="ishmael.nowhere")

    monkeypatch.setattr(main, "plug_in", lambda name: Point())
    code, _, err = ishmael(capsys, "nowhere")
    assert code == 2
    assert "No such command" in err


@pytest.mark.parametrize("command", ["status", "events", "jobs"])
def test_a_manager_that_is_down(command: str, unserved: None, capsys: pytest.CaptureFixture[str]) -> None:
    """One clear sentence with a hint, this machine's fault; as JSON as well."""
    code, out, err = ishmael(capsys, command)
    assert (code, out) == (5, "")
    assert err.startswith("ishmael: The manager of this node does not answer.\n  hint: ")
    code, out, _ = ishmael(capsys, command, "--json")
    assert code == 5
    assert json.loads(out)["error"]["code"] == "manager-down"


def test_status_without_the_manager(
    unserved: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When only the keeper lives, the status comes from it and says so."""
    seen = {"role": "out", "out_because": "not set up", "version": "0.1.0"}
    monkeypatch.setattr(looking, "ask_keeper", lambda ask: {"ok": True, "status": seen})
    code, out, err = ishmael(capsys, "status", "--json")
    status = json.loads(out)
    assert (code, status["state"], status["manager"], status["keeper"]) == (0, "alone", False, True)
    assert "The manager does not answer; this is what the keeper says." in err


def test_the_life_of_a_cluster(served: Served, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Set up, add, hand over: each shows its steps, ends with 0, and leaves a job; JSON holds what scripts need."""
    code, out, _ = ishmael(capsys, *SET_UP, "--yes", "--json")
    job = json.loads(out)
    assert (code, job["state"], job["steps"], job["findings"]) == (0, "done", 8, [])
    assert job["ssh_public_key"] == job["result"]["ssh_public_key"] == f"{CLUSTER_KEY} ishmael-cluster"
    machine = served.world.machines[1]
    machine.files.write("/root/.ssh/authorized_keys", f"{CLUSTER_KEY} x\n".encode(), 0o600)
    code, out, err = ishmael(capsys, *ADD, "--yes")
    assert code == 0
    assert [line.split(" ")[0] for line in err.splitlines()] == [f"{n}/10" for n in range(1, 11)]
    assert "add-slave done" in out
    code, out, _ = ishmael(capsys, "status", "--json")
    status = json.loads(out)
    assert (status["state"], status["manager"], status["failover_possible"]) == ("complete", True, True)
    assert [node["name"] for node in status["nodes"]] == ["node1", "node2"]
    code, out, _ = ishmael(capsys, "status")
    assert ("cluster complete" in out, "failover possible" in out) == (True, True)
    assert ishmael(capsys, "failover", "--yes")[0] == 0
    code, out, _ = ishmael(capsys, "jobs", "--json")
    jobs = json.loads(out)["jobs"]
    assert [job["work"] for job in jobs] == ["failover", "add-slave", "setup-master"]
    assert {"id", "work", "state", "step", "steps", "progress", "findings"} <= set(jobs[0])
    assert "setup-master" in ishmael(capsys, "jobs")[1]
    assert json.loads(ishmael(capsys, "jobs", "1", "--json")[1])["work"] == "setup-master"


def test_events(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """Each event with its why, or as JSON with the fields of the contract."""
    assert "The admin set up the first master." in ishmael(capsys, "events")[1]
    event = json.loads(ishmael(capsys, "events", "--json")[1])["events"][0]
    assert {"id", "at", "epoch", "node", "kind", "rule", "why", "facts"} <= set(event)


def test_refused_ends_with_3(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """Every finding is a sentence with a hint; nothing was changed, also as JSON."""
    before = served.world.image()
    words = [*SET_UP[:2], "10.77.0.11", *SET_UP[3:], "--policy", "luck"]
    code, _, err = ishmael(capsys, *words, "--yes")
    assert code == 3
    assert err.count("ishmael: ") == 2
    assert err.count("  hint: ") == 2
    code, out, _ = ishmael(capsys, *words, "--yes", "--json")
    assert (code, len(json.loads(out)["error"]["findings"])) == (3, 2)
    assert served.world.image() == before


def test_a_dry_run_changes_nothing(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """It ends with 0 when nothing stands against it and with 3 when something does."""
    before = served.world.image()
    code, out, _ = ishmael(capsys, *SET_UP, "--dry-run")
    assert (code, "8/8 form the cluster" in out) == (0, True)
    code, out, _ = ishmael(capsys, "re-add", "--dry-run", "--json")
    assert (code, json.loads(out)["findings"][0]["code"]) == (3, "not-set-up")
    assert served.world.image() == before


def test_overriding(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """A finding that may be overridden stands until its code is named."""
    del served.world.machines[0].services.units["asterisk.service"]
    assert ishmael(capsys, *SET_UP, "--yes")[0] == 5
    assert ishmael(capsys, *SET_UP, "--yes", "--override", "unit-missing")[0] == 0


def test_the_peers_fault_ends_with_4(served: Served, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A slave that is off is its own fault."""
    stage(served.world, "prepared", tmp_path)
    served.world.machines[1].on = False
    code, _, err = ishmael(capsys, *ADD, "--yes")
    assert (code, "No SSH server answers at 10.78.0.2" in err) == (4, True)


def test_a_failing_job_ends_with_the_hosts_5(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """A disk that is full in the middle: the job says so, undoes, and the exit code says whose fault it was."""
    served.world.machines[0].files.full = True
    code, out, err = ishmael(capsys, *SET_UP, "--yes")
    assert (code, out) == (5, "")
    assert "the disk is full" in err
    code, out, _ = ishmael(capsys, *SET_UP, "--yes", "--json")
    assert (code, json.loads(out)["state"], json.loads(out)["error"]["code"]) == (5, "failed", "disk-full")


def test_a_bug_ends_with_70(
    served: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug here or in the manager is called one."""
    monkeypatch.setattr(SomeEvents, "newest", lambda self, limit: 1 / 0)
    assert ishmael(capsys, "events")[0] == 70
    monkeypatch.setattr(looking, "show", None)
    code, _, err = ishmael(capsys, "status", "--json")
    assert (code, "This is a bug in Ishmael" in err) == (70, True)


def test_show_key(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The key can be had again later, also without the manager; there is none before the set-up."""
    path = tmp_path / "id.pub"
    monkeypatch.setattr(places, "CLUSTER_KEY_PUBLIC", str(path))
    assert ishmael(capsys, "setup-master", "--show-key")[0] == 3
    path.write_text(f"{CLUSTER_KEY} ishmael-cluster\n")
    assert ishmael(capsys, "setup-master", "--show-key")[:2] == (0, f"{CLUSTER_KEY} ishmael-cluster\n")
    out = ishmael(capsys, "setup-master", "--show-key", "--json")[1]
    assert json.loads(out)["ssh_public_key"] == f"{CLUSTER_KEY} ishmael-cluster"


def test_two_managers(served: Served) -> None:
    """A second manager does not take the first one's socket away."""
    with pytest.raises(HostFault) as fault:
        listen(served.path)
    assert fault.value.code == "manager-runs"
