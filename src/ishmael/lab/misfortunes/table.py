"""All misfortunes, and running one from a complete cluster to a complete cluster."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ishmael.lab import faults, trial
from ishmael.lab.cluster import Cluster
from ishmael.lab.lifecycle import nodes_of
from ishmael.lab.misfortunes import database, files
from ishmael.lab.misfortunes.scene import Misfortune, Scene
from ishmael.lab.plan import LabPlan
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault, RequestRefused

_REPAIR = """\
rm -f /var/full*
chattr -R -i /var/spool/asterisk/voicemail 2>/dev/null || true
systemctl unmask --runtime postgresql@15-main 2>/dev/null
pkill -CONT -f '[p]ostgres: .*walsender' || true
"""
_RETURN_S = 60.0

MISFORTUNES: tuple[Misfortune, ...] = (
    Misfortune(
        "wrong-password", "the slave's replication password is another one",
        "the master works alone and names it; a re-add brings the right one", database.wrong_password, ("follow",),
    ),
    Misfortune(
        "slot-lost", "the slave's replication slot is dropped while its database is down",
        "the slot is made again, and the slave follows by itself", database.slot_lost,
    ),
    Misfortune(
        "log-gone", "more log is written than is kept for a slave that is away",
        "named on the master; a re-add copies", database.log_gone, ("copy",),
    ),
    Misfortune(
        "other-history", "the slave's database is promoted by hand: another timeline",
        "it is stopped and named on the slave; a re-add rewinds or copies", database.other_history, ("rewind", "copy"),
    ),
    Misfortune(
        "slave-disk-full", "every block of the slave's disk is taken under write load",
        "the master works alone; with room the slave comes back by itself", database.slave_disk_full,
    ),
    Misfortune(
        "master-disk-full", "every block of the master's disk is taken under write load",
        "handed over, nothing acknowledged is lost; re-added when there is room", database.master_disk_full,
        ("follow", "rewind", "copy"),
    ),
    Misfortune(
        "database-down", "the slave's PostgreSQL is killed and does not start",
        "the master works alone; the slave comes back by itself", database.database_down,
    ),
    Misfortune(
        "written-alone", "a commit is on the master alone when its power goes",
        "its rows are kept aside, listed, shown, exported and mailed; then it is rewound", database.written_alone, ("rewind",),
    ),
    Misfortune(
        "rewind-cut", "the power of the former master goes while pg_rewind works on its data",
        "the job names it, nothing starts the half data; the next re-add copies", database.rewind_cut, ("copy",),
    ),
    Misfortune(
        "copy-cut", "the power of the joining node goes in the middle of the first copy",
        "the job names it; the next re-add copies what is not there yet, and the data is equal", database.copy_cut, ("copy",),
    ),
    Misfortune(
        "promotion-cut", "the power goes while the slave promotes",
        "when both are back one serves, with everything acknowledged", database.promotion_cut, ("", "follow", "rewind"),
    ),
    Misfortune(
        "files-disk-full", "the slave's disk is full when a recording is to be copied there",
        "named with the file; copied when there is room", files.peer_disk_full,
    ),
    Misfortune(
        "files-cut", "the slave's rsync server is killed in the middle of a file",
        "the comparison that follows finds the half file; it is copied", files.cut_mid_file,
    ),
    Misfortune(
        "files-changing", "a file changes all the time while it is copied",
        "its lag is shown; the last state is there in the end", files.changing,
    ),
    Misfortune(
        "clock-skew", "the wall clock of each node in turn jumps an hour ahead and two back",
        "nothing moves, files and rows follow", files.clock_skew,
    ),
    Misfortune(
        "directory-closed", "a directory of the slave takes nothing, not even from root",
        "its file is named, others follow; copied when it is open again", files.closed_directory,
    ),
    Misfortune(
        "cable-cut", "the internal cable is pulled out",
        "the database goes over the telephone network and the slave stays fit; files wait, are named, and follow when it is back",
        files.cable_cut,
    ),
    Misfortune(
        "loss", "30 % of all frames of both links are lost",
        "files and rows get there, more slowly; at most one move", files.loss, ("", "follow", "rewind"),
    ),
)  # fmt: skip


def named(name: str) -> Misfortune:
    """The misfortune of this name.

    Raises:
        RequestRefused: there is none.
    """
    for one in MISFORTUNES:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in MISFORTUNES)
    raise RequestRefused("no-such-misfortune", f"There is no misfortune '{name}'.", f"Misfortunes: {known}.")


def run(lab: LabPlan, misfortune: Misfortune) -> dict[str, Any]:
    """Let one happen, from a complete cluster to a complete cluster.

    Returns:
        What came of it; ``failed`` says what was not as it must be.
    """
    begun_s = time.monotonic()
    failed, seen = "", {}
    try:
        scene = Scene(lab)
        seen = asdict(scene.seen)
        try:
            misfortune.cause(scene)
            if misfortune.name == "loss":
                trial.restore(lab)
            scene.whole()
        finally:
            seen = asdict(scene.seen)
        failed = _judge(misfortune, seen)
    except HostFault as error:
        failed = f"{error.code}: {error.message}"
    return {
        "misfortune": misfortune.name, **seen, "failed": failed, "took_s": round(time.monotonic() - begun_s, 1),
    }  # fmt: skip


def _judge(misfortune: Misfortune, seen: dict[str, Any]) -> str:
    if not seen["said"]:
        return "It was named nowhere."
    allowed: Sequence[str] = misfortune.rungs or ("",)
    if seen["rung"] not in allowed:
        return f"The rung was {seen['rung'] or 'none'}, not {' or '.join(one or 'none' for one in allowed)}."
    return ""


def restore(lab: LabPlan) -> None:
    """Make the cluster complete again after one that failed, as an admin would: undo, switch on, re-add.

    Raises:
        HostFault: it does not become complete.
    """
    cluster = Cluster(lab)
    if cluster.is_complete():
        return
    for node in nodes_of(lab):
        if node.supervisor_pid is None:
            node.boot()
            node.wait_running()
        node.exec(["sh", "-c", _REPAIR], timeout_s=20)
    faults.heal(lab)
    if wait_until(cluster.is_complete, _RETURN_S / 3, 0.2):
        return
    if not wait_until(lambda: cluster.master() is not None, _RETURN_S, 0.2):
        raise HostFault("misfortune", "No node says that it is master.")
    master = cluster.master()
    if master is not None and not cluster.is_complete():
        cluster.ask(master, "re-add")
    cluster.wait_complete()
