"""The table of faults: each named by its mechanism, with what the cluster may do about it."""

from __future__ import annotations

from ishmael.lab.faults import machine, programs, wires
from ishmael.lab.faults.row import Fault, Moves, Where
from ishmael.lab.node import Node

_STANDBY = "the old master is standby until it is re-added"

_MACHINES = (
    Fault(
        "power-cut",
        "the node's disk loses what was not synced, every process is killed at once, both links lose their carrier",
        f"of the master: the slave takes over, {_STANDBY}; of the slave: nothing moves",
        Node.power_cut,
        machine.power_on,
        moves=Moves.MUST,
    ),
    Fault(
        "power-both",
        "both nodes lose their power at once, as in power-cut",
        "nobody serves; when both are back, the recorded master resumes",
        machine.cut_both,
        machine.power_on_both,
        serves=False,
        watch_s=2,
    ),
    Fault(
        "userland-frozen",
        "every process of the node is frozen by its control group; its kernel goes on and answers ARP",
        f"the lease of the address ends, the slave takes over; once thawed, {_STANDBY}",
        machine.freeze,
        machine.thaw,
        moves=Moves.MUST,
    ),
    Fault(
        "kernel-hung",
        "every process of the node is frozen, no frame from or to it passes, its address does not run out",
        "the slave takes over; once it goes on, the old master drops the address within 100 ms, or with its lease when the "
        f"watchdog killed its keeper first; {_STANDBY}",
        machine.hang,
        machine.unhang,
        moves=Moves.MUST,
        # The watchdog, late as well, may kill the keeper before it drops the address; then the lease of 1 s decides.
        both_after_ms=1100,
        deaf=True,
    ),
)

_PROGRAMS = (
    Fault(
        "keeper-killed",
        "the keeper's process is killed",
        "systemd restarts it and it keeps the role; nothing moves",
        programs.kill_keeper,
    ),
    Fault(
        "keeper-frozen",
        "the keeper's process is stopped (SIGSTOP); the watchdog kills it after 2 s",
        f"the lease of the address ends, the slave takes over; {_STANDBY}",
        programs.stop_keeper,
        programs.continue_keeper,
        moves=Moves.MUST,
    ),
    Fault(
        "corosync-killed",
        "Corosync's process is killed once",
        "systemd restarts it; nothing moves",
        programs.kill_corosync,
    ),
    Fault(
        "corosync-failing",
        "Corosync's process is killed and its unit fails from then on",
        f"handed over: the master lets go and the slave takes over; {_STANDBY}",
        programs.fail_corosync,
        programs.repair_corosync,
        moves=Moves.MUST,
        watch_s=8,
    ),
    Fault(
        "service-crash",
        f"Asterisk is killed {programs.CRASHES} times, each time once it runs again",
        "systemd restarts it; nothing moves unless the profile says so",
        programs.crash_service,
        watch_s=2,
    ),
    Fault(
        "stop-hangs",
        "Asterisk's unit is made to hang whenever it stops, then `ishmael failover --yes` on the master",
        f"the stop is cut short and the hand-over completes; {_STANDBY}",
        programs.hand_over_hanging,
        programs.unhang_service,
        moves=Moves.MUST,
    ),
    Fault(
        "clock-step",
        "the keeper and the manager see the wall clock jump an hour ahead, then two back (libfaketime)",
        "nothing moves",
        programs.step_clock,
        programs.right_clock,
        watch_s=2,
    ),
    Fault(
        "planned",
        "`ishmael failover --yes` on the master",
        "handed over in order; the former master is standby and can be re-added",
        programs.hand_over,
        moves=Moves.MUST,
        watch_s=2,
    ),
)

_WIRES = (
    Fault(
        "phone-link-down",
        "the node's telephone link is pulled out at the switch: the node sees its carrier go",
        "of the master: handed over; of the slave: nothing moves",
        wires.unplug_phones,
        wires.mend,
        moves=Moves.MUST,
    ),
    Fault(
        "phone-vlan-wrong",
        "the switch drops every frame from and to the node's port; the carrier stays",
        "of the master: handed over; of the slave: nothing moves",
        wires.wrong_vlan,
        wires.mend,
        moves=Moves.MUST,
    ),
    Fault(
        "phone-dead-both",
        "the switch of the telephone network stops; both carriers stay",
        "nothing moves, neither while it is dead nor when it comes back",
        wires.stop_switch,
        wires.mend,
        serves=False,
        after_s=7,
    ),
    Fault(
        "internal-cut",
        "the internal cable is pulled out: the node sees its carrier go",
        "nothing moves; replication goes over the telephone network",
        wires.cut_cable,
        wires.mend,
        watch_s=6,
    ),
    Fault(
        "isolated-master",
        "no frame from or to the master passes on either network; the carriers stay",
        f"the master lets go, the slave takes over; {_STANDBY}",
        wires.isolate,
        wires.mend,
        moves=Moves.MUST,
    ),
    Fault(
        "isolated-slave",
        "no frame from or to the slave passes on either network; the carriers stay",
        "nothing moves; the master works alone",
        wires.isolate,
        wires.mend,
        where=Where.SLAVE,
        watch_s=6,
    ),
    Fault(
        "corosync-blocked",
        "UDP between the nodes is dropped on both networks; ARP and TCP pass",
        "nothing moves; reported",
        wires.block_corosync,
        wires.mend,
        watch_s=6,
    ),
    Fault(
        "flapping",
        f"the node's telephone link goes down and up {wires.FLAPS} times, every second time the cable as well",
        "at most one move, never two holders",
        wires.flap,
        wires.mend,
        moves=Moves.MAY,
    ),
    Fault(
        "loss",
        f"{wires.LOSS_PERCENT} % of the frames on both links of the node are lost by chance, both ways",
        "at most one move, never two holders",
        wires.lose_frames,
        wires.mend,
        moves=Moves.MAY,
        watch_s=8,
    ),
    Fault(
        "one-way",
        "no frame reaches the node on either network; what it sends arrives",
        "at most one move, never two holders; somebody serves after rule 8's delay at the latest",
        wires.deafen,
        wires.mend,
        moves=Moves.MAY,
        watch_s=50,
    ),
)

_DISKS = (
    Fault(
        "disk-full",
        "every block of the node's disk is taken",
        "reported; handed over if the record cannot be written",
        machine.fill_disk,
        machine.empty_disk,
        moves=Moves.MAY,
        watch_s=6,
    ),
    Fault(
        "disk-readonly",
        "the kernel gives up writing to the node's disk, as after an I/O error; healed by a check and a reboot",
        "reported; handed over if the record cannot be written",
        machine.abort_disk,
        machine.repair_disk,
        moves=Moves.MAY,
        reboots=True,
        watch_s=6,
    ),
    Fault(
        "record-damaged",
        "the node loses its power, bytes of its record are flipped, it boots",
        "of the master: the slave takes over; the damaged node stays out, says why, and is re-added",
        machine.damage_record,
        machine.settle_damaged,
        moves=Moves.MUST,
        watch_s=2,
    ),
)

FAULTS: tuple[Fault, ...] = (*_MACHINES, *_PROGRAMS, *_WIRES, *_DISKS)
