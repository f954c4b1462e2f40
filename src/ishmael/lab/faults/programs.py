"""Faults of programs: killed, stopped, failing for good, hanging; and of the clock they see."""

from __future__ import annotations

from ishmael.lab.faults.machine import switch_on
from ishmael.lab.node import Node
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault

KEEPER = "ishmael-keeper.service"
MANAGER = "ishmael-manager.service"
COROSYNC = "corosync.service"
ASTERISK = "asterisk.service"
CRASHES = 3
_RESTART_TIMEOUT_S = 20.0
_PLANNED_TIMEOUT_S = 60.0
_CLOCK_FILE = "/run/lab-clock"
_FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"

FAILING = "[Service]\nExecStart=\nExecStart=/bin/false\n"
# Whatever way the workload's profile chooses: an orderly stop hangs, and so does the unit of a killed program.
HANGING = "[Service]\nExecStop=/bin/sleep 600\nExecStopPost=/bin/sleep 600\nTimeoutStopSec=600\n"
FAKED = f"""\
[Service]
Environment=LD_PRELOAD={_FAKETIME} FAKETIME_TIMESTAMP_FILE={_CLOCK_FILE} FAKETIME_CACHE_DURATION=1
Environment=FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_DONT_RESET=1
"""


def _signal(node: Node, unit: str, signal: str) -> None:
    node.say(["systemctl", "kill", "--kill-whom=main", f"--signal={signal}", unit])


def _drop_in(unit: str) -> str:
    return f"/run/systemd/system/{unit}.d/lab-fault.conf"


def _plant(node: Node, unit: str, text: str) -> None:
    """Change a unit until the next boot (systemd.unit(5), drop-ins)."""
    path = _drop_in(unit)
    script = 'mkdir -p "${1%/*}" && printf %s "$2" >"$1" && systemctl daemon-reload'
    node.say(["sh", "-c", script, "sh", path, text])


def _uproot(node: Node, *units: str) -> None:
    if node.init_pid is None:
        switch_on(node)
    node.say(["rm", "-f", *(_drop_in(unit) for unit in units)])
    node.say(["systemctl", "daemon-reload"])


def _main_pid(node: Node, unit: str) -> int:
    said = node.exec(["systemctl", "show", "--property=MainPID,ActiveState", unit]).stdout
    entry = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    return int(entry.get("MainPID", "0")) if entry.get("ActiveState") == "active" else 0


def _wait_restarted(node: Node, unit: str, old: int) -> None:
    if not wait_until(lambda: _main_pid(node, unit) not in (0, old), _RESTART_TIMEOUT_S, 0.1):
        raise HostFault("not-restarted", f"{unit} on {node.plan.name} was not restarted.")


def kill_keeper(node: Node) -> None:
    _signal(node, KEEPER, "KILL")


def stop_keeper(node: Node) -> None:
    _signal(node, KEEPER, "STOP")


def continue_keeper(node: Node) -> None:
    """Let it go on; the watchdog may have killed it long before."""
    if node.init_pid is not None:
        node.exec(["systemctl", "kill", "--kill-whom=main", "--signal=CONT", KEEPER])


def kill_corosync(node: Node) -> None:
    _signal(node, COROSYNC, "KILL")


def fail_corosync(node: Node) -> None:
    """Kill it, and let it fail whenever it is started again."""
    _plant(node, COROSYNC, FAILING)
    _signal(node, COROSYNC, "KILL")


def repair_corosync(node: Node) -> None:
    _uproot(node, COROSYNC)
    node.exec(["systemctl", "reset-failed", COROSYNC])
    node.say(["systemctl", "start", COROSYNC])


def crash_service(node: Node) -> None:
    """Kill the phone system several times, each time once it runs again."""
    for _ in range(CRASHES):
        pid = _main_pid(node, ASTERISK)
        _signal(node, ASTERISK, "KILL")
        _wait_restarted(node, ASTERISK, pid)


def hand_over(node: Node) -> None:
    """What an admin does before working on a machine."""
    node.say(["ishmael", "failover", "--yes", "--json"], timeout_s=_PLANNED_TIMEOUT_S)


def hand_over_hanging(node: Node) -> None:
    """Hand over a phone system that does not stop."""
    _plant(node, ASTERISK, HANGING)
    hand_over(node)


def unhang_service(node: Node) -> None:
    _uproot(node, ASTERISK)
    # What hangs in its stop is cut short; the phone system is started as on a slave, where it runs as well.
    node.exec(["systemctl", "kill", "--signal=KILL", ASTERISK])
    node.exec(["systemctl", "reset-failed", ASTERISK])
    node.exec(["systemctl", "start", ASTERISK], timeout_s=_RESTART_TIMEOUT_S)


def _set_clock(node: Node, offset: str) -> None:
    # Renamed into place: nobody reads half a time.
    node.say(["sh", "-c", f"echo '{offset}' >{_CLOCK_FILE}.new && mv {_CLOCK_FILE}.new {_CLOCK_FILE}"])


def _restart_at_once(node: Node) -> None:
    """Restart both our programs without their noticing: an orderly stop of the keeper would hand over."""
    for unit in (KEEPER, MANAGER):
        pid = _main_pid(node, unit)
        _signal(node, unit, "KILL")
        _wait_restarted(node, unit, pid)


def step_clock(node: Node) -> None:
    """Let our programs see the wall clock jump an hour ahead, then two hours back (faketime(1)).

    The machine's clock is not touched; the programs are restarted under the library first.
    """
    _set_clock(node, "+0")
    for unit in (KEEPER, MANAGER):
        _plant(node, unit, FAKED)
    _restart_at_once(node)
    for offset in ("+3600", "-3600"):
        _set_clock(node, offset)
        # The library reads the file once a second.
        wait_until(lambda: False, 2.5, 0.5)


def right_clock(node: Node) -> None:
    """Let them see the machine's clock again."""
    if node.init_pid is None:
        switch_on(node)
    _set_clock(node, "+0")
    _uproot(node, KEEPER, MANAGER)
    _restart_at_once(node)
    node.say(["rm", "-f", _CLOCK_FILE])
