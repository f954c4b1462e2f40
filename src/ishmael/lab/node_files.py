"""The files an admin would have put on each node before the product came: names, addresses, keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ishmael.lab import plan
from ishmael.lab.plan import NodePlan

NETWORK = """\
[Match]
Name={nic}

[Network]
Address={address}
{more}LinkLocalAddressing=no
IPv6AcceptRA=no
LLDP=no
"""

# Started first and stopped last: it stands for the machine, not for a service of the cluster.
ECHO_UNIT = f"""\
[Unit]
Description=Tells the lab's probe which node answers
After=network.target

[Service]
ExecStart=/usr/bin/python3 -I -S /usr/local/libexec/lab-echo {plan.ECHO_PORT}
Restart=always
Nice=-10

[Install]
WantedBy=multi-user.target
"""


def system_files(node: NodePlan) -> Mapping[str, str]:
    """Path below ``/`` and content of each file, all in ``/etc`` or ``/var``."""
    phone = f"{node.phone_ip}/{plan.PREFIX_LENGTH}"
    cable = f"{node.internal_ip}/{plan.CABLE_PREFIX_LENGTH}"
    return {
        "etc/hostname": f"{node.name}\n",
        "etc/hosts": f"127.0.0.1\tlocalhost\n127.0.1.1\t{node.name}\n",
        "etc/resolv.conf": "# There is no name server here.\noptions timeout:1 attempts:1\n",
        "etc/machine-id": f"{node.machine_id}\n",
        "etc/systemd/network/10-phone0.network": NETWORK.format(
            nic=plan.PHONE_NIC, address=phone, more=f"Gateway={plan.GATEWAY_IP}\n"
        ),
        "etc/systemd/network/10-cable0.network": NETWORK.format(nic=plan.CABLE_NIC, address=cable, more=""),
        "etc/systemd/system/lab-echo.service": ECHO_UNIT,
    }


def program_files() -> Mapping[str, str]:
    """Path below ``/`` and content of each program outside ``/etc`` and ``/var``."""
    echo = Path(__file__).with_name("echo_service.py").read_text(encoding="utf-8")
    return {"usr/local/libexec/lab-echo": echo}
