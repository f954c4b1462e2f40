"""N7: is the clock right? Through check_ntp_time of the Monitoring Plugins, at the servers this machine uses."""

from __future__ import annotations

import re
from pathlib import Path

from ishmael.checks.base import BOTH, Check, Result, Seen, State, plugin, unknown

PLUGIN = "/usr/lib/nagios/plugins/check_ntp_time"
_PLACES = ("/etc/chrony/chrony.conf", "/etc/chrony/sources.d", "/etc/ntpsec/ntp.conf", "/etc/systemd/timesyncd.conf")
_LINE = re.compile(r"^\s*(?:server|pool|peer)\s+(\S+)|^\s*NTP=(.*)$", re.MULTILINE)


def _servers() -> list[str]:
    found: list[str] = []
    for place in map(Path, _PLACES):
        for path in sorted(place.glob("*.sources")) if place.is_dir() else [place] if place.exists() else []:
            for one, several in _LINE.findall(path.read_text(errors="replace")):
                found += [one] if one else several.split()
    return found


def probe(seen: Seen) -> Result:
    """The first server that answers decides."""
    servers = list(seen.monitoring.ntp_servers) or _servers()
    if not servers:
        return unknown("no time server is known: name one in ntp_servers of the monitoring file")
    result = unknown("no time server was asked")
    for server in servers[:3]:
        result = plugin([PLUGIN, "-H", server, "-w", "0.5", "-c", "5", "-t", "3"], 5.0)
        if "offset" in result.perfdata and result.state is not State.UNKNOWN:
            return result
    return Result(State.WARNING, f"no time server answers ({', '.join(servers[:3])}): {result.output}"[:300])


CHECK = Check(
    "N7", "time", ("Time", "Uhrzeit"), BOTH, probe,
    ("See: chronyc sources (or timedatectl timesync-status); is the time server reachable and right?",
     "Siehe: chronyc sources (oder timedatectl timesync-status); ist der Zeitserver erreichbar und richtig?"),
    interval_s=60, retry_s=5, limit_s=18,
)  # fmt: skip
