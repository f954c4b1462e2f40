"""What `ishmael icinga config` prints: Icinga 2's objects for both nodes and the cluster.

Source: Icinga 2's documentation, "Language Reference" and "Object Types".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

from ishmael.checks.catalogue import CHECKS
from ishmael.words.errors import RequestRefused
from ishmael.words.settings import Settings

Part = Literal["all", "active", "commands"]
TTL_S = 180
CLUSTER_SERVICE = "telephony"
_PLUGIN = "/usr/lib/nagios/plugins/check_ishmael_"
_TEMPLATES = f"""\
template Service "ishmael-passive" {{
  check_command = "dummy"
  enable_active_checks = true
  enable_passive_checks = true
  check_interval = {TTL_S}s
  retry_interval = {TTL_S}s
  max_check_attempts = 1
  vars.dummy_state = 3
  vars.dummy_text = "No result from the cluster for {TTL_S} s."
}}

template Service "ishmael-active" {{
  check_command = "ishmael"
  check_interval = 1m
  retry_interval = 1m
  max_check_attempts = 1
}}
"""
_COMMANDS = f"""\
object CheckCommand "ishmael" {{
  command = [ "sudo", "-n", "{_PLUGIN}$ishmael_check$" ]
  timeout = 45s
}}

/* Belongs to no service, so Icinga never runs it by itself: only by hand, with the API's action execute-command. */
object EventCommand "ishmael-failover" {{
  command = [ "sudo", "-n", "/usr/bin/ishmael", "failover", "--yes" ]
  timeout = 2m
}}
"""


def configuration(settings: Settings | None, part: Part = "all") -> str:
    """Objects in Icinga 2's language: a host for each node and one for the cluster IP, their services, and commands.

    Args:
        settings: of the cluster.
        part: ``all``, with services that wait for pushed results; or for an Icinga with agents on the nodes its two
            files: ``active``, the same without the commands, where agents run the checks, and ``commands``.

    Raises:
        RequestRefused: this node is not set up.
    """
    if settings is None:
        raise RequestRefused("not-set-up", "This node is not part of a cluster.", "ishmael setup-master")
    head, active = f"/* Written by `ishmael icinga config --part {part}`. */\n", part == "active"
    if part == "commands":
        return f"{head}\n{_COMMANDS}"
    parts = [head, _TEMPLATES, *([] if active else [_COMMANDS])]
    for node in settings.nodes:
        parts.append(_host(node.name, node.phone_ip))
        for check in CHECKS:
            by_agent = {"vars.ishmael_check": check.name, "command_endpoint": node.name} if active else {}
            parts.append(_service(node.name, check.name, f"{check.id} {check.title[0]}", by_agent))
    parts.append(_host(settings.cluster_name, settings.cluster_ip))
    parts.append(_service(settings.cluster_name, CLUSTER_SERVICE, "Telephony as a whole", {}))
    return "\n".join(parts)


def _host(name: str, address: str) -> str:
    return (
        f"object Host {_text(name)} {{\n  address = {_text(address)}\n"
        f'  check_command = "hostalive"\n  vars.ishmael = true\n}}\n'
    )


def _service(host: str, name: str, shown: str, by_agent: Mapping[str, str]) -> str:
    template = "ishmael-active" if by_agent else "ishmael-passive"
    values = {"host_name": host, "display_name": shown, **by_agent}
    lines = [f"  {key} = {_text(value)}\n" for key, value in values.items()]
    return f'object Service {_text(name)} {{\n  import "{template}"\n{"".join(lines)}}}\n'


def _text(value: str) -> str:
    # Icinga's strings know JSON's escapes but not \\u.
    return json.dumps(value, ensure_ascii=False)
