"""Icinga 2: its objects for both nodes and the cluster, and a task that pushes each result as a passive one."""

from __future__ import annotations

import base64
import json
import logging
import ssl
import threading
import urllib.error
import urllib.request
from typing import Any

from ishmael.checks.base import State
from ishmael.checks.catalogue import CHECKS
from ishmael.manager.watch.cluster import ClusterChecks, Known
from ishmael.words.errors import RequestRefused
from ishmael.words.monitoring import Icinga
from ishmael.words.settings import Settings

log = logging.getLogger(__name__)
_EVERY_S = 60.0
_LOOK_S = 2.0
_LIMIT_S = 5.0
_TTL_S = 180
CLUSTER_SERVICE = "telephony"


def configuration(settings: Settings | None) -> str:
    """Objects in Icinga 2's language: a host for each node and one for the cluster IP, and services that wait for results.

    Raises:
        RequestRefused: this node is not set up.
    """
    if settings is None:
        raise RequestRefused("not-set-up", "This node is not part of a cluster.", "ishmael setup-master")
    parts = [
        "/* Written by `ishmael icinga config`. Results are pushed; what is not pushed for 3 minutes turns UNKNOWN. */",
        _template(),
    ]
    for node in settings.nodes:
        parts.append(_host(node.name, node.phone_ip))
        parts += [_service(node.name, check.name, f"{check.id} {check.title[0]}") for check in CHECKS]
    parts.append(_host(settings.cluster_name, settings.cluster_ip))
    parts.append(_service(settings.cluster_name, CLUSTER_SERVICE, "Telephony as a whole"))
    return "\n".join(parts)


def _template() -> str:
    return f"""\
template Service "ishmael-passive" {{
  check_command = "dummy"
  enable_active_checks = true
  enable_passive_checks = true
  check_interval = {_TTL_S}s
  retry_interval = {_TTL_S}s
  max_check_attempts = 1
  vars.dummy_state = 3
  vars.dummy_text = "No result from the cluster for {_TTL_S} s."
}}
"""


def _host(name: str, address: str) -> str:
    quoted = json.dumps(name)
    return f'object Host {quoted} {{\n  address = {json.dumps(address)}\n  check_command = "hostalive"\n  vars.ishmael = true\n}}\n'


def _service(host: str, name: str, shown: str) -> str:
    return (
        f'object Service {json.dumps(name)} {{\n  import "ishmael-passive"\n  host_name = {json.dumps(host)}\n'
        f"  display_name = {json.dumps(shown)}\n}}\n"
    )


class IcingaPush:
    """A background task: the master pushes everything every minute, and what changed within two seconds.

    Args:
        cluster: all checks.
        known: the monitoring file.
    """

    name = "icinga"

    def __init__(self, cluster: ClusterChecks, known: Known) -> None:
        self._cluster, self._known = cluster, known
        self._pushed: dict[tuple[str, str], tuple[str, str]] = {}

    def run(self, stop: threading.Event) -> None:
        """Push until told to stop."""
        waited_s = _EVERY_S
        while not stop.wait(_LOOK_S):
            waited_s += _LOOK_S
            icinga = self._known.monitoring().icinga
            if not icinga.url or self._known.seen().side != "master":
                continue
            if waited_s >= _EVERY_S:
                waited_s = 0.0
                self._pushed.clear()
            self._push(icinga)

    def _push(self, icinga: Icinga) -> None:
        for host, service, state, output, perf in self._results():
            key, mark = (host, service), (state, output if state != "ok" else "")
            if self._pushed.get(key) == mark:
                continue
            try:
                push(icinga, host, service, state, output, perf)
            except (OSError, ValueError) as error:
                log.warning("Icinga at %s does not take a result: %s", icinga.url, error)
                return
            self._pushed[key] = mark

    def _results(self) -> list[tuple[str, str, str, str, dict[str, str]]]:
        results = [
            (row["node"], row["name"], row["state"], row["output"], row["perfdata"])
            for row in self._cluster.all()["checks"]
        ]
        settings, lamp = self._known.seen().settings, self._cluster.lamp()
        if settings is not None:
            told = (
                "; ".join(f"{r['title']} on {r['node']}: {r['output']}" for r in lamp["reasons"][:3]) or "all is well"
            )
            results.append((settings.cluster_name, CLUSTER_SERVICE, lamp["state"], told, {}))
        return results


def push(icinga: Icinga, host: str, service: str, state: str, output: str, perf: dict[str, str]) -> None:
    """One passive result (Icinga 2 API, process-check-result).

    Raises:
        OSError: it cannot be reached, or refuses.
    """
    body: dict[str, Any] = {
        "type": "Service", "filter": "host.name==h && service.name==s", "filter_vars": {"h": host, "s": service},
        "exit_status": int(State[state.upper()]), "plugin_output": output, "check_source": "ishmael", "ttl": _TTL_S,
        "performance_data": [f"{name}={value}" for name, value in perf.items()],
    }  # fmt: skip
    context = ssl.create_default_context()
    if icinga.ca_file:
        context.load_verify_locations(icinga.ca_file)
    login = base64.b64encode(f"{icinga.user}:{icinga.password}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - https only, by the monitoring file's own check
        f"{icinga.url.rstrip('/')}/v1/actions/process-check-result", json.dumps(body).encode(),
        {"Accept": "application/json", "Content-Type": "application/json", "Authorization": f"Basic {login}"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=_LIMIT_S, context=context) as answer:  # noqa: S310
        answer.read()
