"""The lab's Icinga, on the client: Debian's icinga2 with a CA of its own, to which a cluster pushes its results.

It runs from ``open`` to ``close``, or until the lab goes down. Nothing of the machine's own Icinga is touched.
"""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ishmael.lab import client, plan
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.lab.tools import run, started_at, wait_until
from ishmael.words.errors import HostFault

NAME = "icinga"
"""As which the nodes know it: Icinga's certificates name a host, not an address."""
PORT = 5665
USER = "ishmael"
_READER = "lab"
_RUNS_AS = "nagios"
_CONFIGURATION, _PASSWORD, _CHANGES = "ishmael.conf", "password", "changes"
_ON_NODES = "/etc/ssl/certs/lab-icinga.pem"
_PIDS = "pids"
# The user of the product has what docs/guide/icinga.md gives it, and no more.
_OWN = """\
const PluginDir = "/usr/lib/nagios/plugins"
const NodeName = "{name}"
const ZoneName = NodeName
include <itl>
include <plugins>
object Endpoint NodeName {{ }}
object Zone ZoneName {{ endpoints = [ NodeName ] }}
object CheckerComponent "checker" {{ }}
object ApiListener "api" {{ bind_host = "{address}" }}
object ApiUser "{user}" {{
  password = "{password}"
  permissions = [ {{ permission = "actions/process-check-result", filter = {{{{ host.vars.ishmael }}}} }} ]
}}
object ApiUser "{reader}" {{
  password = "{password}"
  permissions = [ "objects/query/*", "events/StateChange" ]
}}
include "{home}/ishmael.conf"
"""


@dataclass(frozen=True)
class Icinga:
    """The Icinga of a lab.

    Args:
        lab: whose.
    """

    lab: LabPlan

    @property
    def home(self) -> Path:
        """Everything of it: configuration, CA, password, state, log."""
        return self.lab.run_directory / "icinga"

    def open(self, configuration: str) -> None:
        """Run with these objects of the product's, and note each change of a state.

        Raises:
            HostFault: Icinga does not accept them, or does not come up.
        """
        self._make()
        self.check(configuration)
        (self.home / _CONFIGURATION).write_text(configuration)
        # Results of the last time would be taken for new ones.
        (self.home / "data/icinga2.state").unlink(missing_ok=True)
        self._spawn(["icinga2", "daemon", *self._places(), "-c", str(self.home / "icinga2.conf")], "log")
        if not wait_until(lambda: self._ask("/v1/objects/hosts") is not None, 20, 0.1):
            raise HostFault("no-icinga", f"Nothing answers at {plan.CLIENT_IP}:{PORT}: see {self.home / 'log'}.")
        types = json.dumps({"types": ["StateChange"], "queue": "lab"})
        self._spawn([*self._curl("/v1/events"), "-N", "-X", "POST", "-d", types], _CHANGES)

    def check(self, configuration: str) -> None:
        """Let `icinga2 daemon -C` look at them.

        Raises:
            HostFault: it does not accept them; says why.
        """
        tried = self.home / "tried"
        tried.mkdir(exist_ok=True)
        (tried / _CONFIGURATION).write_text(configuration)
        own = (self.home / "icinga2.conf").read_text().replace(f'"{self.home}/ishmael', f'"{tried}/ishmael')
        (tried / "icinga2.conf").write_text(own)
        self._give(tried)
        done = run(["icinga2", "daemon", "-C", *self._places(), "-c", str(tried / "icinga2.conf")], check=False)
        if done.returncode != 0:
            raise HostFault("icinga-refuses", f"icinga2 daemon -C: {done.stdout[-2000:]}")

    def use(self, master: Node, nodes: Iterable[Node]) -> None:
        """Let the cluster push its results here, by the product's own command.

        Raises:
            HostFault: it refuses.
        """
        authority = (self.home / "data/certs/ca.crt").read_text()
        known = f"grep -q ' {NAME}$' /etc/hosts || echo '{plan.CLIENT_IP} {NAME}' >>/etc/hosts"
        for node in nodes:
            node.say(["sh", "-euc", f"cat >{_ON_NODES}; {known}; sync {_ON_NODES} /etc/hosts"], stdin=authority)
        there = "/root/lab-icinga"
        master.say(["sh", "-euc", f"umask 077; cat >{there}"], stdin=(self.home / _PASSWORD).read_text())
        master.say(
            ["ishmael", "icinga", "set", "--url", f"https://{NAME}:{PORT}", "--user", USER, "--password-file", there,
             "--ca-file", _ON_NODES]
        )  # fmt: skip
        master.say(["rm", there])

    def services(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What its API says of each service, by host and name: ``state``, ``last_check_result``."""
        found = self._ask("/v1/objects/services?attrs=state&attrs=last_check_result&attrs=host_name&attrs=name")
        rows = [one["attrs"] for one in (found or {"results": []})["results"]]
        return {(row["host_name"], row["name"]): row for row in rows}

    def changes(self, host: str, service: str) -> list[int]:
        """Each state that its API has told a service to have changed to since ``open``, oldest first."""
        # A line that is still being written is not whole, and a complaint of curl is none.
        whole = (self.home / _CHANGES).read_text().rpartition("\n")[0].splitlines()
        told = [json.loads(line) for line in whole if line.startswith("{")]
        return [int(one["state"]) for one in told if (one["host"], one.get("service")) == (host, service)]

    def close(self) -> None:
        """End it; ``open`` goes on with the same CA."""
        pids = self.home / _PIDS
        if not pids.exists():
            return
        for pid in map(int, pids.read_text().split()):
            run(["kill", str(pid)], check=False)
            wait_until(partial(_is_dead, pid), 15, 0.05)
        pids.unlink()

    def _make(self) -> None:
        """Directories, CA and certificate, where they are not there yet; a new password."""
        if not self.home.exists():
            self._make_certificates()
        password = secrets.token_urlsafe(18)
        values = {"name": NAME, "address": plan.CLIENT_IP, "user": USER, "reader": _READER, "home": self.home}
        (self.home / "icinga2.conf").write_text(_OWN.format(password=password, **values))
        (self.home / _PASSWORD).write_text(password)
        self._give(self.home)

    def _make_certificates(self) -> None:
        self.home.mkdir(0o700)
        for name in ("data/certs", "cache", "log.d", "spool", "run"):
            (self.home / name).mkdir(parents=True)
        self._give(self.home)
        certs = self.home / "data/certs"
        request = str(self.home / "request")
        for words in (
            ["new-ca"],
            ["new-cert", "--cn", NAME, "--key", str(certs / f"{NAME}.key"), "--csr", request],
            ["sign-csr", "--csr", request, "--cert", str(certs / f"{NAME}.crt")],
        ):
            run(["icinga2", "pki", *words, *self._places()])
        shutil.copyfile(self.home / "data/ca/ca.crt", certs / "ca.crt")

    def _give(self, place: Path) -> None:
        """Icinga runs as a user of its own."""
        for path in (place, *place.rglob("*")):
            shutil.chown(path, _RUNS_AS, _RUNS_AS)

    def _places(self) -> list[str]:
        names = {"DataDir": "data", "CacheDir": "cache", "LogDir": "log.d", "SpoolDir": "spool", "InitRunDir": "run"}
        return [f"-D{name}={self.home / place}" for name, place in names.items()]

    def _spawn(self, words: list[str], log: str) -> None:
        with (self.home / log).open("wb") as out, (self.home / _PIDS).open("a") as pids:
            process = subprocess.Popen(
                client.command(self.lab, words),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
            pids.write(f"{process.pid}\n")

    def _curl(self, path: str) -> list[str]:
        login = f"{_READER}:{(self.home / _PASSWORD).read_text()}"
        return [
            "curl", "-sS", "--fail", "--cacert", str(self.home / "data/certs/ca.crt"), "-H", "Accept: application/json",
            "--resolve", f"{NAME}:{PORT}:{plan.CLIENT_IP}", "-u", login, f"https://{NAME}:{PORT}{quote(path, '/?&=')}",
        ]  # fmt: skip

    def _ask(self, path: str) -> dict[str, Any] | None:
        done = run(client.command(self.lab, self._curl(path)), check=False)
        return dict(json.loads(done.stdout)) if done.returncode == 0 else None


def _is_dead(pid: int) -> bool:
    return started_at(pid) is None
