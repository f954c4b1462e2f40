"""All checks, in the order of the table."""

from __future__ import annotations

from ishmael.checks import (
    f1_master_alive,
    f2_cluster,
    f3_raid,
    f4_network,
    n1_ami,
    n2_sip,
    n3_database,
    n4_services,
    n5_disk,
    n6_files,
    n7_time,
    n8_rsync,
    n9_replication,
    x_certificate,
    x_knowing,
    x_links,
)  # fmt: skip
from ishmael.checks.base import Check

CHECKS: tuple[Check, ...] = (
    f1_master_alive.CHECK, f2_cluster.CHECK, f3_raid.CHECK, f4_network.CHECK, n1_ami.CHECK, n2_sip.CHECK,
    n3_database.CHECK, n4_services.CHECK, n5_disk.CHECK, n6_files.CHECK, n7_time.CHECK, n8_rsync.CHECK,
    n9_replication.CHECK, x_links.CHECK, x_knowing.PAUSE, x_certificate.CHECK, x_knowing.GRADE, x_knowing.VERSIONS,
    x_knowing.STANDBY, x_knowing.POSSIBLE, x_knowing.DRIFT,
)  # fmt: skip


def named(word: str) -> Check | None:
    """By id or name, without case."""
    wanted = word.lower()
    return next((check for check in CHECKS if wanted in (check.id.lower(), check.name)), None)
