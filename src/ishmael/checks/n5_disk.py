"""N5: is there enough free disk space? Through check_disk of the Monitoring Plugins, space and inodes."""

from __future__ import annotations

from pathlib import Path

from ishmael.checks.base import BOTH, Check, Result, Seen, plugin

PLUGIN = "/usr/lib/nagios/plugins/check_disk"


def probe(seen: Seen) -> Result:
    """The file systems of the system and of what the profile names."""
    paths = ["/", "/var", "/etc", "/var/lib/ishmael", "/var/lib/postgresql", "/var/log"]
    paths += [each.path for each in seen.profile.files] if seen.profile is not None else []
    words = [PLUGIN, "-e", "-w", "10%", "-c", "5%", "-W", "10%", "-K", "5%"]
    for path in dict.fromkeys(paths):
        if Path(path).exists():
            words += ["-p", path]
    return plugin(words)


CHECK = Check(
    "N5", "disk", ("Disk usage", "Plattenplatz"), BOTH, probe,
    ("Delete or move recordings and logs: du -xh / | sort -h | tail",
     "Löschen oder verschieben Sie Aufnahmen und Logs: du -xh / | sort -h | tail"),
    interval_s=30, retry_s=2,
)  # fmt: skip
