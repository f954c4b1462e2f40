"""F3: does the RAID controller report a fault? Through check_raid of monitoring-plugins-contrib, which knows them all."""

from __future__ import annotations

import shutil
from pathlib import Path

from ishmael.checks.base import BOTH, Check, Result, Seen, ok, plugin

PLUGIN = "/usr/lib/nagios/plugins/check_raid"
_TOOLS = ("tw_cli", "tw-cli", "megacli", "MegaCli64", "storcli64", "ssacli", "hpacucli", "arcconf")
# Controllers are asked by ioctls, and by device nodes that the tools make: more than the manager itself may do.
_UNIT_OF_ITS_OWN = ("systemd-run", "--quiet", "--collect", "--pipe", "--wait", "--property=RuntimeMaxSec=20", "--")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def _there() -> bool:
    md = Path("/proc/mdstat")
    arrays = md.exists() and "\nmd" in md.read_text()
    return arrays or any(shutil.which(tool, path=_PATH) for tool in _TOOLS)


def probe(seen: Seen) -> Result:
    """Nothing to fear where there is no controller."""
    if not seen.monitoring.raid:
        return ok("switched off")
    return (
        plugin([*_UNIT_OF_ITS_OWN, PLUGIN], 22.0)
        if _there()
        else ok("this machine has no RAID controller and no md array")
    )


CHECK = Check(
    "F3", "raid", ("RAID", "RAID"), BOTH, probe,
    ("Replace the failed disk. A critical fault moves the services to the slave, if that one is fit.",
     "Tauschen Sie die ausgefallene Platte. Ein kritischer Fehler verlegt die Dienste auf den Slave, wenn er bereit ist."),
    interval_s=60, retry_s=5, attempts=1, limit_s=25,
)  # fmt: skip
