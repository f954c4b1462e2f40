"""Icinga 2: a task of the master that pushes the result of each check of both nodes as a passive one."""

from __future__ import annotations

import base64
import http.client
import json
import logging
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ishmael.checks.base import State
from ishmael.checks.catalogue import CHECKS
from ishmael.manager.watch.cluster import ClusterChecks, Known
from ishmael.manager.watch.icinga_objects import CLUSTER_SERVICE, TTL_S
from ishmael.words.monitoring import Icinga

log = logging.getLogger(__name__)
_EVERY_S = 60.0
_LOOK_S = 2.0
_LIMIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Told:
    """One result, as Icinga gets it.

    Args:
        host, service: whose.
        state: ``ok``, ``warning``, ``critical`` or ``unknown``.
        output: one line for a person.
        perfdata: measured values by name.
    """

    host: str
    service: str
    state: str
    output: str
    perfdata: Mapping[str, str] = field(default_factory=dict)

    @property
    def mark(self) -> tuple[str, str]:
        """What makes it news: while all is well, only that it is."""
        return self.state, self.output if self.state != "ok" else ""


class IcingaPush:
    """A background task: the master pushes everything every minute, and what changed within two seconds.

    Args:
        cluster: all checks.
        known: the monitoring file, and who is what.
    """

    name = "icinga"

    def __init__(self, cluster: ClusterChecks, known: Known) -> None:
        self._cluster, self._known = cluster, known
        self._pushed: dict[tuple[str, str], tuple[str, str]] = {}
        self._trouble = ""
        self._to = Icinga()

    def run(self, stop: threading.Event) -> None:
        """Push until told to stop."""
        waited_s = _EVERY_S
        while not stop.wait(_LOOK_S):
            waited_s += _LOOK_S
            icinga = self._known.monitoring().icinga
            if not icinga.url or self._known.seen().side != "master":
                # The other node may push meanwhile.
                waited_s = _EVERY_S
                continue
            if waited_s >= _EVERY_S:
                waited_s = 0.0
                self._pushed.clear()
            self._push(icinga)

    def _push(self, icinga: Icinga) -> None:
        if icinga != self._to:
            # Another one knows nothing yet.
            self._to, self._trouble = icinga, ""
            self._pushed.clear()
        fresh = [one for one in self.results() if self._pushed.get((one.host, one.service)) != one.mark]
        if not fresh:
            return
        strange, trouble = [], ""
        try:
            with closing(_connection(icinga)) as wire:
                for one in fresh:
                    if not push(wire, icinga, one):
                        strange.append(f"{one.host}!{one.service}")
                    self._pushed[one.host, one.service] = one.mark
        except (OSError, ValueError, http.client.HTTPException) as error:
            trouble = f"takes no results: {error}"
        if strange:
            trouble = f"does not know {', '.join(strange)}: see ishmael icinga config"
        if trouble and trouble != self._trouble:
            log.warning("Icinga at %s %s", icinga.url, trouble)
        self._trouble = trouble

    def results(self) -> list[Told]:
        """Of every check on both nodes, and of telephony as a whole."""
        seen, lamp, found = self._known.seen(), self._cluster.lamp(), self._cluster.all()
        settings, own = seen.settings, seen.own
        if settings is None or own is None:
            return []
        rows = {(row["node"], row["name"]): row for row in found["checks"]}
        results = []
        for node in settings.nodes:
            role = "master" if node == own else self._known.role_of_peer()
            # A keeper that restarts hears nobody for a moment, so what its door said meanwhile counts.
            asked = any(name == node.name for name, _ in rows) and not found["unreached"]
            results += list(_of_node(node.name, role, rows, own.name if not role and not asked else ""))
        why = "; ".join(f"{reason['title']} on {reason['node']}: {reason['output']}" for reason in lamp["reasons"][:3])
        return [*results, Told(settings.cluster_name, CLUSTER_SERVICE, lamp["state"], why or "all is well")]


def _of_node(node: str, role: str, rows: Mapping[tuple[str, str], Mapping[str, Any]], lost_by: str) -> Iterator[Told]:
    """Results of one node; also where nobody looks, so that it is seen why, and nothing stays as it once was.

    Args:
        node: its name.
        role: what it is, as far as it is heard.
        rows: results by node and check.
        lost_by: name of the master that does not reach it; empty when it does.
    """
    for check in CHECKS:
        row = rows.get((node, check.name))
        if lost_by:
            was = f"; was {row['state'].upper()}: {row['output']}" if row else ""
            yield Told(node, check.name, "unknown", f"{lost_by} does not reach {node}{was}")
        elif row is not None and not row["since"]:
            # Its first look, which a move of the role has just made necessary, has not come to a result that counts.
            continue
        elif row is not None:
            yield Told(node, check.name, row["state"], row["output"], row["perfdata"])
        elif role in ("master", "slave") and role not in check.sides:
            yield Told(node, check.name, "ok", f"not looked at while {node} is {role}")
        elif role not in ("", "master", "slave"):
            # Nobody knows, and nobody is about to look.
            yield Told(node, check.name, "unknown", f"not looked at while {node} is {role}")


def _connection(icinga: Icinga) -> http.client.HTTPSConnection:
    """One for a whole round.

    Raises:
        ValueError: the url names no host.
        OSError: the certificate to trust cannot be read.
    """
    found = urlsplit(icinga.url)
    if not found.hostname:
        raise ValueError(f"{icinga.url!r} names no host")
    context = ssl.create_default_context(cafile=icinga.ca_file or None)
    # Python 3.13 asks for key identifiers (RFC 5280, 4.2.1.1), which certificates made by Icinga 2.13 do not have.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return http.client.HTTPSConnection(found.hostname, found.port, timeout=_LIMIT_S, context=context)


def push(wire: http.client.HTTPSConnection, icinga: Icinga, one: Told) -> bool:
    """One passive result (Icinga 2 API, process-check-result).

    Returns:
        False when Icinga does not know the service, or this user may not touch it.

    Raises:
        OSError: it cannot be reached, or refuses.
    """
    body: dict[str, Any] = {
        "type": "Service", "service": f"{one.host}!{one.service}", "exit_status": int(State[one.state.upper()]),
        "plugin_output": one.output, "check_source": "ishmael", "ttl": TTL_S,
        "performance_data": [f"{name}={value}" for name, value in one.perfdata.items()],
    }  # fmt: skip
    login = base64.b64encode(f"{icinga.user}:{icinga.password}".encode()).decode()
    headers = {"Accept": "application/json", "Content-Type": "application/json", "Authorization": f"Basic {login}"}
    path = f"{urlsplit(icinga.url).path.rstrip('/')}/v1/actions/process-check-result"
    wire.request("POST", path, json.dumps(body).encode(), headers)
    answer = wire.getresponse()
    said = answer.read()
    if answer.status not in (http.client.OK, http.client.NOT_FOUND):
        raise OSError(f"{answer.status} {answer.reason}: {said[:200].decode(errors='replace')}")
    return answer.status == http.client.OK
