"""``services``: how long a change of a service takes, and how soon each one answers at the cluster IP after a power cut.

Each run switches the services on, changes each while it runs, gives a telephone its lease and the fax server a fax, cuts the
master's power while a client asks for everything, lets the telephone renew, and brings the old master back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ishmael.lab import plan
from ishmael.lab.acknowledged import master_of
from ishmael.lab.answers import CLIENT_MAC, SETTLE_S, Asking, after_takeover_ms
from ishmael.lab.bench import figures
from ishmael.lab.build import Say
from ishmael.lab.cluster import Cluster
from ishmael.lab.faults.machine import switch_on
from ishmael.lab.leased import MAC, LeasedPhone
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.lab.post import USER, Post
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault

LIMITS = {
    "applied_s": 3.0, "dns_ms": 1000.0, "dhcp_ms": 1000.0, "ntp_ms": 2000.0, "mail_ms": 2000.0,
}  # fmt: skip
"""What a figure's longest value shall not exceed; all but the first count from the new master's first answer."""
LEASES, FAXES = "/var/lib/ishmael-leases/dnsmasq.leases", "/var/spool/hylafax/recvq"
SETTINGS = {
    "dns": ("dhcp=true", "range_from=10.77.0.100", "range_to=10.77.0.199", "lease_minutes=2",
            f"reservations={CLIENT_MAC}={plan.CLIENT_IP}"),
    "ntp": (),
    "mail": (f"smarthost={plan.CLIENT_IP}", "verify=false", f"user={USER}", "--password-file", "/root/smarthost"),
    "fax": ("number=+49 30 1234567", "country_code=49", "area_code=30"),
}  # fmt: skip
"""What each service is switched on with."""
_CHANGES = {"dns": "name=sip", "ntp": "stratum=9", "mail": "domain=example.org", "fax": "area_code=40"}
_BACK = {"dns": "name=pbx", "ntp": "stratum=8", "mail": "domain=", "fax": "area_code=30"}
_FOLLOWED_S, _FAX_BYTES = 20.0, 60_000


def change(node: Node, *words: str) -> float:
    """Change a service with ``ishmael services WORDS``; how long its job took, in seconds.

    Raises:
        HostFault: it was refused or failed.
    """
    done = node.exec(["ishmael", "services", *words, "--yes", "--json"], timeout_s=60)
    if done.returncode:
        raise HostFault("work-failed", f"ishmael services {' '.join(words)}: {done.stdout}{done.stderr}")
    job = json.loads(done.stdout)
    took = datetime.fromisoformat(job["ended_at"]) - datetime.fromisoformat(job["created_at"])
    return round(took.total_seconds(), 2)


def switch_all_on(lab: LabPlan, master: Node) -> dict[str, float]:
    """Switch each on, and change each while it runs; what each job took, in seconds."""
    master.say(["sh", "-euc", "umask 077; cat >/root/smarthost"], stdin=Post(lab).password_file.read_text())
    times = {f"{name} on": change(master, "set", name, "enabled=true", *more) for name, more in SETTINGS.items()}
    for name, setting in _CHANGES.items():
        times[name] = change(master, "set", name, setting)
        change(master, "set", name, _BACK[name])
    return times


def switch_all_off(master: Node) -> None:
    """None of them runs."""
    for name in SETTINGS:
        change(master, "set", name, "enabled=false")


def receive_fax(node: Node, name: str) -> None:
    """A fax comes in, as the fax server leaves it (hylafax-server(5f))."""
    made = (
        f"head -c {_FAX_BYTES} /dev/urandom >{FAXES}/.new; chown uucp:uucp {FAXES}/.new; mv {FAXES}/.new {FAXES}/{name}"
    )
    node.say(["sh", "-euc", made])


def once(lab: LabPlan) -> dict[str, Any]:
    """One power cut; begins and ends with a complete cluster.

    Args:
        lab: with it.

    Raises:
        HostFault: something did not follow, or a telephone lost its address.
    """
    cluster = Cluster(lab)
    cluster.wait_complete()
    old = master_of(cluster)
    new = next(node for node in cluster.nodes if node is not old)
    row: dict[str, Any] = {"applied_s": list(switch_all_on(lab, old).values())}
    with LeasedPhone(lab) as phone:
        address = phone.wait("bound").options["ip"]
        _wait("the lease", lambda: f"{MAC} {address}" in new.exec(["cat", LEASES]).stdout)
        fax, begun_s = f"fax{time.time_ns()}.tif", time.monotonic()
        receive_fax(old, fax)
        _wait("the fax", lambda: new.exec(["test", "-e", f"{FAXES}/{fax}"]).returncode == 0)
        row["fax_followed_ms"] = round((time.monotonic() - begun_s) * 1000, 1)
        cluster.wait_complete()
        with Asking(lab) as asking:
            time.sleep(1)
            old.power_cut()
            cluster.wait_role(new, "master")
            begun_s = time.monotonic()
            phone.renew()
            renewed = phone.wait("renew").options["ip"]
            row["renewed_ms"] = round((time.monotonic() - begun_s) * 1000, 1)
            time.sleep(SETTLE_S)
    if renewed != address:
        raise HostFault("no-lease", f"The telephone had {address} and has {renewed} after the power cut.")
    row |= {
        f"{name}_ms": value for name, value in after_takeover_ms(asking.found, old.plan.name, new.plan.name).items()
    }
    switch_on(old)
    cluster.wait_role(old, "standby")
    cluster.ask(new, "re-add")
    cluster.wait_complete()
    switch_all_off(new)
    return row


def _wait(what: str, there: Callable[[], bool]) -> None:
    if not wait_until(there, _FOLLOWED_S, 0.02):
        raise HostFault("file-not-there", f"The slave has not got {what} within {_FOLLOWED_S:.0f} s.")


def many(lab: LabPlan, runs: int, say: Say, *, print_runs: bool) -> dict[str, Any]:
    """Run it several times; the summary by figure, with what it shall not exceed."""
    rows = []
    for run in range(1, runs + 1):
        row = once(lab)
        rows.append(row)
        say(f"services {run}: " + ", ".join(f"{name} {value}" for name, value in row.items()))
        if print_runs:
            print(json.dumps({"run": run, **row}), flush=True)
    return figures.summary(rows, LIMITS, dict.fromkeys(LIMITS, "max"))
