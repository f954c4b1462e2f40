"""Tell systemd that the keeper is ready and alive (sd_notify(3))."""

from __future__ import annotations

import contextlib
import os
import socket


class Notifier:
    """Sends to ``NOTIFY_SOCKET``; silent when there is none."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)

    def tell(self, *lines: str) -> None:
        """Send ``lines`` (``READY=1``, ``WATCHDOG=1``, ``STATUS=...``); a full socket loses them, never blocks."""
        if self._address:
            with contextlib.suppress(OSError):
                self._sock.sendto("\n".join(lines).encode(), self._address)


def watchdog_ms() -> int:
    """The unit's watchdog in ms (``WATCHDOG_USEC``), or 0 when it has none."""
    try:
        return int(os.environ.get("WATCHDOG_USEC", "0")) // 1000
    except ValueError:
        return 0
