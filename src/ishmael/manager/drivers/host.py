"""This machine."""

from __future__ import annotations

import platform
import secrets
import socket
import sys
import time
from importlib.metadata import version

from ishmael.manager.drivers.programs import run, words_of
from ishmael.words.errors import HostFault


class ThisHost:
    """Facts about this machine."""

    def name(self) -> str:
        """Its host name."""
        return socket.gethostname()

    def set_name(self, name: str) -> None:
        """hostnamectl(1)."""
        done = run(["hostnamectl", "set-hostname", "--", name])
        if done.returncode:
            raise HostFault("host-name-refused", f"hostnamectl failed: {words_of(done)}.", "See: hostnamectl status")

    def architecture(self) -> str:
        """Such as ``x86_64``."""
        return platform.machine()

    def version(self) -> str:
        """The installed version of Ishmael."""
        return version("ishmael")

    def wall_s(self) -> float:
        """The wall clock."""
        return time.time()

    def random(self, size_bytes: int) -> bytes:
        """From the kernel."""
        return secrets.token_bytes(size_bytes)

    def door_command(self) -> str:
        """The door, by the very Python that runs this."""
        return f"{sys.executable} -I -m ishmael.manager.door"
