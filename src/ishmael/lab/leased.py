"""A telephone that gets its address by DHCP: Debian's udhcpc(8) in a namespace of its own on the telephone network."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ishmael.lab import client, network
from ishmael.lab.plan import LabPlan
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault

NIC, MAC = "eth0", "02:77:00:00:00:66"
_PORT = "h-leased"
# What telephones ask for: gateway, DNS, domain, NTP, SIP server (RFC 3361), provisioning by two names.
_ASKED = ("router", "dns", "domain", "ntpsrv", "120", "tftp", "160")
_BOUND_S = 20.0
# udhcpc(8) tells what happened as the first argument, and what it got in the environment.
_SCRIPT = """\
#!/bin/sh
[ "$1" = deconfig ] || [ "$1" = leasefail ] || [ "$1" = nak ] || ip address replace "$ip/$mask" dev "$interface"
{ echo "event=$1"; env; echo "end="; } >>"$(dirname "$0")/told"
"""


@dataclass(frozen=True)
class Told:
    """One thing that the client told.

    Args:
        event: ``bound``, ``renew``, ``nak``, ``leasefail`` or ``deconfig``.
        options: what it got, by udhcpc's names; options it has no name for as ``optN``, in hexadecimal digits.
    """

    event: str
    options: dict[str, str]


class LeasedPhone:
    """The telephone, for a ``with`` block.

    Args:
        lab: on whose telephone network it is.
    """

    def __init__(self, lab: LabPlan) -> None:
        self._lab = lab
        self._process: subprocess.Popen[bytes] | None = None
        self._home = tempfile.TemporaryDirectory(prefix="ishmael-lab-phone-")

    def __enter__(self) -> LeasedPhone:
        network.add_host(self._lab, self._lab.phone_netns, _PORT, NIC, MAC)
        script = Path(self._home.name, "script")
        script.write_text(_SCRIPT)
        script.chmod(0o755)
        asked = [word for name in _ASKED for word in ("-O", name)]
        words = ["udhcpc", "-f", "-i", NIC, "-s", str(script), "-t", "20", "-T", "1", "-A", "1", *asked]
        there = ["ip", "netns", "exec", self._lab.phone_netns, *words]
        with Path(self._home.name, "log").open("wb") as log:
            self._process = subprocess.Popen(
                client.member(self._lab, there), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self

    def __exit__(self, _kind: type[BaseException] | None, _value: object, _trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        network.remove_host(self._lab.phone_netns)
        self._home.cleanup()

    def told(self) -> list[Told]:
        """All that the client told, oldest first."""
        path = Path(self._home.name, "told")
        found, block = list[Told](), dict[str, str]()
        for line in path.read_text().splitlines() if path.exists() else ():
            name, _, value = line.partition("=")
            if name == "end":
                found.append(Told(block.pop("event", ""), block))
                block = {}
            else:
                block[name] = value
        return found

    def wait(self, event: str, count: int = 1) -> Told:
        """Wait until the client has told something so many times; the last of them.

        Raises:
            HostFault: it has not in time.
        """

        def heard() -> list[Told]:
            return [each for each in self.told() if each.event == event]

        if not wait_until(lambda: len(heard()) >= count, _BOUND_S, 0.02):
            log = Path(self._home.name, "log").read_text(errors="replace")
            raise HostFault("no-lease", f"The telephone has no {event!r} after {_BOUND_S:.0f} s: {log[-500:]}")
        return heard()[count - 1]

    def renew(self) -> None:
        """Ask for the same address again, as a telephone does at half its lease."""
        if self._process is not None:
            self._process.send_signal(signal.SIGUSR1)
