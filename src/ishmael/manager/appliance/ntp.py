"""The time for the telephones and for both nodes: chronyd(8).

It runs on both nodes, for the slave's clock has to be right before the slave serves; telephones ask the cluster IP.
"""

from __future__ import annotations

from ishmael.manager.appliance.shape import ENABLED, About, Field, File, Place, Values, invalid, is_host
from ishmael.words.errors import Finding

CONF = "/etc/chrony/conf.d/ishmael.conf"
DROP_IN = "/etc/systemd/system/chrony.service.d/ishmael-container.conf"
_CONTAINER = """\
# Written by Ishmael: this machine may not set its clock, so chronyd only serves the time that the machine has.
[Unit]
ConditionCapability=

[Service]
ExecStart=
ExecStart=!/usr/sbin/chronyd $DAEMON_OPTS -x
"""


class Ntp:
    """The service."""

    about = About(
        name="ntp",
        title="Time",
        program="/usr/sbin/chronyd",
        package="chrony",
        fields=(
            ENABLED,
            Field("upstream", "time servers to follow, beside those of the system's own configuration", ()),
            Field("stratum", "told to telephones while no time server can be reached", 10, 1, 15),
        ),
        units=("chrony.service",),
        enable=("chrony.service",),
        with_master=False,
        checkers=(("/usr/sbin/chronyd", "-p", "-f", "{dir}/ishmael.conf"),),
    )

    def check(self, values: Values, place: Place) -> list[Finding]:
        """Servers that can be."""
        return [
            invalid("upstream", f"{each!r} is no time server.", "Enter host names or addresses.")
            for each in values["upstream"]
            if not is_host(each) or each == place.address
        ]

    def files(self, values: Values, place: Place, secret: str) -> dict[str, File]:
        """One file beside Debian's own; a drop-in where the clock cannot be set."""
        del secret
        lines = [
            "# Written by Ishmael; change it with `ishmael services set ntp`.",
            *(f"server {each} iburst" for each in values["upstream"]),
            f"allow {place.network}",
            f"local stratum {values['stratum']}",
        ]
        made = {CONF: File(("\n".join(lines) + "\n").encode())}
        if not place.sets_clock:
            made[DROP_IN] = File(_CONTAINER.encode())
        return made
