"""The cluster in the lab, driven through the product's own command line inside the nodes, as an admin would."""

from __future__ import annotations

import http.client
import json
import socket
from datetime import datetime
from http import HTTPStatus
from typing import Any

from ishmael.lab import database, plan, web
from ishmael.lab.build import Say
from ishmael.lab.lifecycle import nodes_of
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.lab.post import Post
from ishmael.lab.tools import wait_until
from ishmael.words import places
from ishmael.words.errors import HostFault

COMPLETE_TIMEOUT_S = 150.0
_STATUS_TIMEOUT_S = 10.0
# The lab's nodes have no name servers, clock, mail or fax of their own unless somebody sets them up.
_UNSERVED = {"setup-master": ("dns-silent", "clock-not-in-step", "mail-not-accepted", "fax-not-set-up")}
_WORK_TIMEOUT_S = 180.0


class Cluster:
    """Both nodes as one.

    Args:
        lab: which one; must be up.
    """

    def __init__(self, lab: LabPlan) -> None:
        self._lab = lab
        self.nodes = nodes_of(lab)

    def status(self, node: Node) -> dict[str, Any] | None:
        """What ``ishmael status --json`` says on a node; none when it is off or gives no answer.

        Asked many times a second while something is waited for, so the node's manager is asked directly where it listens: to
        start the command costs half a second of processor time, which the node under test then lacks.
        """
        pid = node.init_pid
        if pid is None:
            return None
        try:
            return _asked(f"/proc/{pid}/root{places.API_SOCKET}")
        except TimeoutError:
            return None
        except (OSError, ValueError, http.client.HTTPException):
            pass  # no manager there: the command knows what to do without one
        done = node.exec(["ishmael", "status", "--json"], timeout_s=10)
        try:
            found = json.loads(done.stdout)
        except json.JSONDecodeError:
            return None
        return found if isinstance(found, dict) else None

    def master(self) -> Node | None:
        """The node that says it is master."""
        for node in self.nodes:
            status = self.status(node)
            if status is not None and status.get("role") == "master":
                return node
        return None

    def events_since(self, begun: datetime) -> list[dict[str, Any]]:
        """The events of both nodes since a moment, as the master lists them."""
        master = self.master()
        if master is None:
            return []
        events = json.loads(master.say(["ishmael", "events", "--limit", "200", "--json"]))["events"]
        return [dict(event) for event in events if datetime.fromisoformat(event["at"]) >= begun]

    def is_complete(self) -> bool:
        """A master says that the cluster is complete and a failover is possible."""
        for node in self.nodes:
            status = self.status(node)
            if status is not None and status.get("role") == "master":
                possible = status.get("state") == "complete" and bool(status.get("failover_possible"))
                return possible and _files_in_step(status.get("sync") or {})
        return False

    def wait_complete(self, timeout_s: float = COMPLETE_TIMEOUT_S) -> None:
        """Wait until the cluster is complete.

        Raises:
            HostFault: it is not in time; says what each node thinks.
        """
        if not wait_until(self.is_complete, timeout_s, 0.1):
            said = {node.plan.name: _brief(self.status(node)) for node in self.nodes}
            raise HostFault("not-complete", f"The cluster is not complete after {timeout_s:.0f} s: {said}.")

    def wait_role(self, node: Node, role: str, timeout_s: float = COMPLETE_TIMEOUT_S) -> None:
        """Wait until a node has a role.

        Raises:
            HostFault: it has not in time.
        """

        def there() -> bool:
            status = self.status(node)
            return status is not None and status.get("role") == role

        if not wait_until(there, timeout_s, 0.1):
            said = _brief(self.status(node))
            raise HostFault("not-that-role", f"{node.plan.name} is not {role} after {timeout_s:.0f} s: {said}.")

    def ask(self, node: Node, *words: str) -> dict[str, Any]:
        """Run a work on a node, answered with yes, and return its job.

        Raises:
            HostFault: it failed; says why.
        """
        overrides = [word for code in _UNSERVED.get(words[0], ()) for word in ("--override", code)]
        done = node.exec(["ishmael", *words, *overrides, "--yes", "--json"], timeout_s=_WORK_TIMEOUT_S)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise HostFault(
                "work-failed", f"`ishmael {words[0]}` on {node.plan.name} ended with {done.returncode}: {said}"
            )
        found = json.loads(done.stdout)
        return found if isinstance(found, dict) else {}

    def form(self, say: Say) -> None:
        """Set up the master, prepare the slave, add it: three steps of an admin.

        Raises:
            HostFault: one of them failed.
        """
        first, second = self.nodes
        say(f"setting up the master on {first.plan.name}")
        references = ("--reference", plan.GATEWAY_IP, "--reference", plan.REFERENCE_IP)
        nics = ("--phone-nic", plan.PHONE_NIC, "--internal-nic", plan.CABLE_NIC)
        self.ask(
            first, "setup-master", "--cluster-ip", plan.CLUSTER_IP, *nics, "--email", "admin@example.org", *references
        )
        key = json.loads(first.say(["ishmael", "setup-master", "--show-key", "--json"]))["ssh_public_key"]
        say(f"preparing the slave on {second.plan.name}")
        self.ask(second, "prepare-slave", "--key", key)
        say(f"adding {second.plan.name}")
        addresses = ("--phone-ip", second.plan.phone_ip, "--internal-ip", second.plan.internal_ip)
        self.ask(first, "add-slave", "--name", second.plan.name, *addresses)
        self.wait_complete()
        database.make(self.nodes)
        web.make_user(self._lab, first)
        Post(self._lab).use(first, self.nodes)

    def re_add_standby(self) -> dict[str, Any]:
        """Once the former master is back on standby, re-add it on the new one.

        Raises:
            HostFault: there is no master, or it could not be re-added.
        """
        if not wait_until(lambda: self.master() is not None, COMPLETE_TIMEOUT_S, 0.1):
            raise HostFault("no-master", "No node says that it is master.")
        master = self.master()
        other = next(node for node in self.nodes if node is not master)
        if master is None:
            raise HostFault("no-master", "The master has gone again.")
        self.wait_role(other, "standby")
        return self.ask(master, "re-add")


class _OnSocket(http.client.HTTPConnection):
    """HTTP on a Unix socket.

    Args:
        path: of the socket.
    """

    def __init__(self, path: str) -> None:
        super().__init__("ishmael", timeout=_STATUS_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _files_in_step(sync: dict[str, Any]) -> bool:
    """Not about to be compared: the slave would be unfit in a moment, and fit again in the next."""
    return sync.get("file_lag_ms") is None or bool((sync.get("files") or {}).get("in_step"))


def _asked(path: str) -> dict[str, Any]:
    """The manager's status.

    Raises:
        TimeoutError: it takes the question and does not answer.
        OSError, ValueError, HTTPException: there is no manager, or no answer of one.
    """
    connection = _OnSocket(path)
    try:
        connection.request("GET", "/api/v1/status")
        answer = connection.getresponse()
        found = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status != HTTPStatus.OK or not isinstance(found, dict):
        raise ValueError(f"the manager answered {answer.status}")
    return {**found, "manager": True}


def _brief(status: dict[str, Any] | None) -> str:
    if status is None:
        return "no answer"
    return f"{status.get('state')}/{status.get('role')} {status.get('failover_blocked_by')}"
