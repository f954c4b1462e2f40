"""What may befall the database and its slave."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from ishmael.lab import acknowledged, database, faults
from ishmael.lab.faults.machine import power_on_both, switch_on
from ishmael.lab.faults.wires import mend, narrow_database
from ishmael.lab.misfortunes.scene import DATA, Scene, finished_jobs, inside, sh, write_commits
from ishmael.lab.node import Node
from ishmael.lab.post import Post
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault

_UNIT = "postgresql@15-main"
# A commit that is never sent: no client was told that it had ended. It waits, and so does psql.
_UNSENT = """\
kill -STOP $(pgrep -f '[p]ostgres: .*walsender')
PGOPTIONS='-c synchronous_commit=local' psql -h /var/run/postgresql -U ishmael -d lab -qc \
  "INSERT INTO kept (t) VALUES ('only here')"
"""
_NOTED_BYTES = 4_000_000
_FULL = "fallocate -l $(($(df --output=avail -B1 /var | tail -n 1) - 1000000)) /var/full"


def wrong_password(scene: Scene) -> None:
    """The slave has another replication password."""
    master, slave = scene.master, scene.slave
    with scene.quiet():
        sh(
            slave,
            f"sed -i 's/:[0-9a-f]*$/:wrong/' /var/lib/postgresql/.ishmael-pgpass; sync; systemctl kill -s KILL {_UNIT}",
        )
        scene.works_alone()
        scene.shown(master, "the replication password is refused")
        scene.shown(slave, "the replication password is refused")
        scene.re_add()


def slot_lost(scene: Scene) -> None:
    """Somebody drops the slave's slot while its database is down; the log is still there."""
    master, slave = scene.master, scene.slave
    with scene.quiet():
        sh(slave, f"systemctl mask --runtime {_UNIT}; systemctl kill -s KILL {_UNIT}")
        try:
            scene.works_alone()
            scene.shown(master, "the slave does not stream")
            drop = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active"
            database.psql(master, drop)
            slots = "SELECT count(*) FROM pg_replication_slots"
            if not wait_until(lambda: database.psql(master, slots) == "1", 30, 0.2):
                raise HostFault("misfortune", "The slave's slot was not made again.")
        finally:
            sh(slave, f"systemctl unmask --runtime {_UNIT}")
        scene.whole()


def log_gone(scene: Scene) -> None:
    """While the slave is away more log is written than is kept for it."""
    master, slave = scene.master, scene.slave
    with scene.quiet():
        slave.power_cut()
        scene.works_alone()
        sh(master, "sed -i '/^wal_keep_size/d;/^max_slot/d' /etc/postgresql/15/main/conf.d/zz-ishmael.conf")
        database.psql(master, "ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'")
        database.psql(master, "ALTER SYSTEM SET wal_keep_size = 0")
        database.psql(master, "SELECT pg_reload_conf()")
        for _ in range(6):
            write_commits(master, 20000)
            database.psql(master, "SELECT pg_switch_wal()")
        for _ in range(2):
            database.psql(master, "CHECKPOINT")
            database.psql(master, "SELECT pg_switch_wal()")
        for name in ("max_slot_wal_keep_size", "wal_keep_size"):
            database.psql(master, f"ALTER SYSTEM RESET {name}")
        switch_on(slave)
        scene.shown(master, "the log that the slave needs is gone")
        scene.re_add()


def other_history(scene: Scene) -> None:
    """Somebody promotes the slave's database by hand: its timeline is not the master's any more."""
    master, slave = scene.master, scene.slave
    with scene.quiet():
        sh(slave, f"runuser -u postgres -- /usr/lib/postgresql/15/bin/pg_ctl promote -W -D {DATA}")
        scene.works_alone()
        scene.shown(slave, "has not been joined to the master's: re-add this node")
        write_commits(master, 100)
        scene.re_add()


def slave_disk_full(scene: Scene) -> None:
    """Every block of the slave's disk is taken while the master writes."""
    master, slave = scene.master, scene.slave
    with scene.quiet():
        sh(slave, _FULL)
        try:
            for _ in range(8):
                write_commits(master, 40000)
            scene.works_alone()
            scene.shown(slave, "the disk is full")
        finally:
            sh(slave, "rm -f /var/full")
        scene.whole()


def master_disk_full(scene: Scene) -> None:
    """Every block of the master's disk is taken under write load: it cannot serve on with that, and the slave can."""
    master, slave = scene.master, scene.slave
    with acknowledged.writing(scene.lab, master) as book:
        faults.inject(scene.lab, faults.named("disk-full"), master)
        scene.cluster.wait_role(slave, "master")
        scene.told(slave, "record")
        before = book.count()
        if not wait_until(lambda: book.count() > before + 20, 60, 0.1):
            raise HostFault("misfortune", "The new master acknowledges nothing.")
        book.stop()
        if lost := acknowledged.lost(slave, book):
            raise HostFault("misfortune", f"Acknowledged and lost: {lost[:10]}.")
        scene.seen.more["acknowledged"] = book.count()
    faults.heal(scene.lab)
    scene.cluster.wait_role(master, "standby")
    scene.master, scene.slave = slave, master
    with scene.quiet():
        scene.re_add()


def database_down(scene: Scene) -> None:
    """The slave's PostgreSQL is gone and does not start."""
    master, slave = scene.master, scene.slave
    with scene.quiet():
        sh(slave, f"systemctl mask --runtime {_UNIT}; systemctl kill -s KILL {_UNIT}")
        try:
            scene.works_alone()
            scene.shown(master, "the slave does not stream")
        finally:
            sh(slave, f"systemctl unmask --runtime {_UNIT}")
        scene.whole()


def _diverge(scene: Scene) -> None:
    """A commit that only the master has, then its power goes."""
    write_commits(scene.master, 5)
    done = scene.master.exec(["sh", "-euc", _UNSENT], timeout_s=20)
    scene.take_over()
    if done.returncode:
        raise HostFault("misfortune", f"No commit could be made that only the master has: {done.stderr}")


def written_alone(scene: Scene) -> None:
    """A row that only the former master has: kept aside, listed, shown, exported, told and mailed."""
    _diverge(scene)
    with scene.quiet():
        found = scene.re_add()
    name, master, former = str(found["salvage"]), scene.master, scene.slave
    scene.told(master, name)
    finds = json.loads(master.say(["ishmael", "salvage", "list", "--json"]))["finds"]
    (find,) = [find for find in finds if find["id"] == name]
    scene.seen.said["ishmael salvage list"] = str(find["why"])
    if find["node"] != former.plan.name or find["count"] < 1:
        raise HostFault("misfortune", f"What was kept aside is listed as {find}.")
    scene.named("ishmael salvage show", lambda: former.say(["ishmael", "salvage", "show", name]), "rows.jsonl")
    former.say(["ishmael", "salvage", "export", name, f"/root/{name}"])
    rows = [json.loads(row) for row in former.say(["cat", f"/root/{name}/rows.jsonl"]).splitlines()]
    if not any(row["row"].get("t") == "only here" for row in rows):
        raise HostFault("misfortune", f"The row that only the former master had is not among {rows[:5]}.")
    scene.shown(master, "kept aside from nodes that joined")
    scene.named("mail", Post(scene.lab).text, name, 60)


def rewind_cut(scene: Scene) -> None:
    """The power goes while pg_rewind is at work on the former master's directory."""
    _diverge(scene)
    master, former = scene.master, scene.slave
    with scene.quiet():
        _in_the_background(master)
        marker = f"/proc/{former.init_pid}/root{DATA}/ishmael-rewinding"
        if not wait_until(Path(marker).exists, 60, 0.001):
            raise HostFault("misfortune", "pg_rewind did not begin.")
        former.power_cut()
        _failed_and_named(scene)
        switch_on(former)
        scene.cluster.wait_role(former, "standby")
        scene.re_add()


def copy_cut(scene: Scene) -> None:
    """The power of the node that joins goes in the middle of the first copy of everything; the next one goes on there."""
    write_commits(scene.master, 400_000)
    scene.take_over()
    master, former = scene.master, scene.slave
    # A directory that a rewind left half done is copied anew.
    sh(former, f"echo cut >{DATA}/ishmael-rewinding; sync")
    database.psql(master, "CHECKPOINT")
    with scene.quiet():
        narrow_database(master)
        try:
            _in_the_background(master)
            if not wait_until(lambda: _noted(former) > _NOTED_BYTES, 60, 0.02):
                raise HostFault("misfortune", f"Of the copy {_noted(former)} bytes are on the disk.")
            former.power_cut()
        finally:
            mend(master)
        _failed_and_named(scene)
        switch_on(former)
        scene.cluster.wait_role(former, "standby")
        found = scene.re_add()["database"]
    scene.seen.more |= {"bytes_kept": found["bytes_kept"], "database_bytes_moved": found["bytes_moved"]}
    if found["rung"] == "copy" and found["bytes_kept"] < _NOTED_BYTES / 2:
        raise HostFault("misfortune", f"The copy began anew: {found}.")
    _must_be_equal(scene)


def _noted(node: Node) -> int:
    """Bytes of a copy under way that a node has on its disk and knows of."""
    with suppress(OSError, ValueError, KeyError, IndexError):
        note = inside(node, f"{DATA}.ishmael-new/ishmael-manifest").read_bytes()
        return sum(row[-1] for row in json.loads(note.split(b"\n", 1)[1])["files"].values())
    return 0


def _must_be_equal(scene: Scene) -> None:
    """The slave has every row and every table that the master has."""
    database.psql(scene.master, "CHECKPOINT")
    end = database.psql(scene.master, "SELECT pg_current_wal_lsn()")
    there = f"SELECT pg_last_wal_replay_lsn() >= '{end}'"
    if not wait_until(lambda: database.psql(scene.slave, there) == "t", 30, 0.2):
        raise HostFault("misfortune", "The slave does not get to where the master was.")
    sums = "SELECT md5(string_agg(k::text, '' ORDER BY id)) FROM kept k"
    tables = "SELECT md5(string_agg(c::text, '' ORDER BY oid)) FROM pg_class c"
    for what in (sums, tables):
        said = [database.psql(node, what, database.ROLE) for node in (scene.master, scene.slave)]
        if said[0] != said[1]:
            raise HostFault("misfortune", f"The data is not equal: {what} gives {said}.")
    scene.seen.more["equal"] = True


def _in_the_background(master: Node) -> None:
    sh(master, "setsid ishmael re-add --yes >/dev/null 2>&1 </dev/null &")


def _failed_and_named(scene: Scene) -> None:
    """The job ends by itself, and says what was cut."""
    master = scene.master
    if not wait_until(lambda: finished_jobs(master), 300, 1.0):
        raise HostFault("misfortune", "The job does not end.")
    jobs = json.loads(master.say(["ishmael", "jobs", "--json"]))["jobs"]
    newest = max(jobs, key=lambda job: int(job["id"]))
    if newest["state"] != "failed":
        raise HostFault("misfortune", f"The job ended as {newest['state']}, though the power was cut.")
    scene.seen.said["ishmael jobs"] = str(newest["error"]["message"])
    scene.shown(master, "failover not possible")


def promotion_cut(scene: Scene) -> None:
    """The power goes while the slave promotes: when both are back, one serves with everything acknowledged."""
    master, slave = scene.master, scene.slave
    write_commits(master, 100)
    count = int(database.psql(master, "SELECT count(*) FROM kept", database.ROLE))
    master.power_cut()
    if not wait_until(lambda: scene.status(slave).get("role") in ("taking", "master"), 20, 0.005):
        raise HostFault("misfortune", "The slave did not begin to take over.")
    slave.power_cut()
    power_on_both(slave)
    if not wait_until(lambda: scene.cluster.master() is not None, 90, 0.5):
        raise HostFault("misfortune", "Nobody serves after the power came back.")
    served = acknowledged.master_of(scene.cluster)

    def there() -> int:
        with suppress(HostFault, ValueError):
            return int(database.psql(served, "SELECT count(*) FROM kept", database.ROLE, timeout_s=10))
        return -1

    if not wait_until(lambda: there() >= count, 60, 0.5):
        raise HostFault("misfortune", f"{there()} of {count} rows are there.")
    scene.told(served, "became-master")
    other = next(node for node in scene.cluster.nodes if node is not served)
    scene.master, scene.slave = served, other
    wait_until(lambda: scene.cluster.is_complete() or scene.status(other).get("role") == "standby", 60, 0.2)
    if scene.cluster.is_complete():
        return
    with scene.quiet():
        scene.re_add()
