"""N8: is the rsync server for the files running on the slave? It must greet; one that is stopped takes connections too."""

from __future__ import annotations

import socket

from ishmael.checks.base import SLAVE, Check, Result, Seen, critical, ok, unknown

PORT = 8730


def probe(seen: Seen) -> Result:
    """Connect at the internal address and wait for ``@RSYNCD:``."""
    if seen.own is None:
        return unknown("this node is not part of a cluster")
    if seen.profile is None or not seen.profile.files:
        return ok("no files are to be kept in step")
    try:
        with socket.create_connection((seen.own.internal_ip, PORT), 2.0, (seen.own.internal_ip, 0)) as wire:
            wire.settimeout(2.0)
            said = wire.recv(64)
    except TimeoutError:
        return critical(f"the rsync server at {seen.own.internal_ip}:{PORT} takes connections, but does not greet")
    except OSError as error:
        return critical(f"no rsync server at {seen.own.internal_ip}:{PORT}: {error.strerror or error}")
    if not said.startswith(b"@RSYNCD:"):
        return critical(f"what answers at {seen.own.internal_ip}:{PORT} is no rsync server")
    return ok("the rsync server greets")


CHECK = Check(
    "N8", "rsync", ("Rsync server", "Rsync-Server"), SLAVE, probe,
    ("See: systemctl status ishmael-rsyncd; journalctl -u ishmael-rsyncd",
     "Siehe: systemctl status ishmael-rsyncd; journalctl -u ishmael-rsyncd"),
    interval_s=10, retry_s=2,
)  # fmt: skip
