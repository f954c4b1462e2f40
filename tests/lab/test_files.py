"""Files follow on real nodes: what a caller left is on the other machine when the first one dies, and nothing acts twice."""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ishmael.lab import faults
from ishmael.lab.call import register
from ishmael.lab.client import Phones
from ishmael.lab.node import Node
from ishmael.lab.tools import wait_until
from tests.lab.conftest import Lab

pytestmark = pytest.mark.lab
SPOOL = "/var/spool/asterisk"
VOICE = f"{SPOOL}/voicemail/default/101/INBOX"
P50_MS_MAX, P95_MS_MAX = 1000, 3000
ARRIVES_S = 30.0
_LOSSY_S = 180
"""With three frames of ten lost: 5 to 50 s were seen."""


def _pair(lab: Lab) -> tuple[Node, Node]:
    master = lab.cluster.master()
    assert master is not None
    return master, next(node for node in lab.cluster.nodes if node.plan.name != master.plan.name)


def _root(node: Node) -> Path:
    return Path(f"/proc/{node.init_pid}/root")


def _sync(node: Node) -> dict[str, Any]:
    return dict(json.loads(node.say(["ishmael", "status", "--json"]))["sync"])


def _sh(node: Node, script: str) -> str:
    return node.say(["sh", "-c", script])


def _until(what: Callable[[], bool], limit_s: float = ARRIVES_S) -> None:
    assert wait_until(what, limit_s, 0.05)


def _in_step(master: Node) -> bool:
    seen = _sync(master)
    return bool(seen["files"]["in_step"]) and seen["files"]["waiting"] == 0 and seen["differing"] == []


def _tree(node: Node, path: str) -> list[str]:
    found = _sh(node, f"cd {path} && find . ! -type p -printf '%M %u %g %s %l %p\\n' | LC_ALL=C sort | cat -v")
    return found.splitlines()


def _hash(node: Node, path: str) -> str:
    try:
        return hashlib.sha256((_root(node) / path.lstrip("/")).read_bytes()).hexdigest()
    except OSError:
        return ""


def _lags_ms(master: Node, slave: Node, count: int) -> list[float]:
    """How long voice mails of 30 kB take, seen by the clock both nodes share."""
    here, there = _root(master) / VOICE.lstrip("/"), _root(slave) / VOICE.lstrip("/")
    here.mkdir(parents=True, exist_ok=True)
    data, lags = os.urandom(30_000), []
    for number in range(count):
        name = f"msg{number:04}.wav"
        (here / name).write_bytes(data)
        begun = time.monotonic()
        assert wait_until((there / name).exists, ARRIVES_S, 0.001)
        lags.append((time.monotonic() - begun) * 1000)
        assert (there / name).stat().st_size == len(data)
    return lags


def test_a_voice_mail_follows_at_once(complete: Lab) -> None:
    """Not at intervals: also on a busy machine. How quickly is measured by ``script/bench data``."""
    master, slave = _pair(complete)
    _until(lambda: _in_step(master))
    _lags_ms(master, slave, 5)
    lags = sorted(_lags_ms(master, slave, 40))
    assert statistics.median(lags) <= P50_MS_MAX, lags
    assert lags[int(len(lags) * 0.95)] <= P95_MS_MAX, lags


_ODD = r"""
set -e; mkdir -p odd; cd odd
printf x > "$(printf 'bad\377\376 name')"; printf y > "with space and 'quote' \$x"; printf z > "$(printf 'new\nline')"
mkdir -p deep/a/b/c; echo 1 > deep/a/b/c/f; ln -s deep/a link; ln -s /nowhere dangling; ln deep/a/b/c/f hard
truncate -s 50M sparse; echo end >> sparse; echo t > -dash; echo s > 'st*r'; echo s > star; echo b > 'back\#134slash'
chown asterisk:asterisk deep/a/b/c/f; chmod 4750 deep/a/b/c/f; mkdir closed; echo s > closed/s; chmod 000 closed
mkdir "$(printf 'dir\351')"; echo q > "$(printf 'dir\351')/q"; mkfifo fifo; touch -d 2001-01-01 old; mkdir -p 'd*r/e/f' dxr/e
"""
_CHANGES = r"""
set -e; cd odd
mv deep deeper; rm -rf closed 'd*r'; mv old young; rm sparse 'st*r' -- -dash; echo more >> hard; chmod 600 star
mkdir -p x/y; echo 1 > x/y/z; mv x/y w; rm dangling; echo file > dangling; rm -r "$(printf 'dir\351')"; touch dxr/e/new
chown daemon 'back\#134slash'; rm "$(printf 'bad\377\376 name')"; rm -r link; mkdir link; echo in > link/in
"""


def test_odd_names_and_every_kind_of_change_follow(complete: Lab) -> None:
    """Names of any bytes, modes, owners, links and holes; renames, deletes, and things that become other things."""
    master, slave = _pair(complete)
    _until(lambda: _in_step(master))
    place = f"{SPOOL}/monitor"
    for script in (_ODD, _CHANGES):
        _sh(master, f"cd {place}; {script}")
        wait_until(lambda: _tree(master, place) == _tree(slave, place), ARRIVES_S, 0.2)
        assert _tree(master, place) == _tree(slave, place)
    _sh(master, f"rm -rf {place}/odd")
    _until(lambda: not (_root(slave) / place.lstrip("/") / "odd").exists())


_FILL = """
i=0; while [ $i -lt 20 ]; do i=$((i+1)); free=$(( $(stat -f -c '%f*%S' /var) ))
[ $free -gt 3000000 ] || exit 0; fallocate -l $((free - 1500000)) /var/full$i || fallocate -l $((free / 2)) /var/full$i || true; done
"""


def test_trouble_on_the_way_is_named_and_mended(complete: Lab) -> None:
    """A full disk of the slave, a server that dies mid-file, a file that changes while it is copied: in the end all is there."""
    master, slave = _pair(complete)
    _until(lambda: _in_step(master))
    big, growing = f"{SPOOL}/monitor/big.wav", f"{SPOOL}/monitor/growing.wav"
    _sh(slave, _FILL)
    _sh(master, f"head -c 8000000 /dev/urandom > {big}")

    def full() -> bool:
        seen = _sync(master)
        return big in seen["differing"] and "disk of the other node is full" in seen["files"]["trouble"]

    try:
        _until(full)
        assert complete.cluster.master() is not None
    finally:
        _sh(slave, "rm /var/full*")
    _until(lambda: _hash(slave, big) == _hash(master, big), 60)
    _sh(master, f"head -c 150000000 /dev/urandom > {big}")
    _until(lambda: bool(list((_root(slave) / f"{SPOOL}/monitor".lstrip("/")).glob(".big.wav.*"))))
    _sh(slave, "systemctl kill -s KILL ishmael-rsyncd")
    _sh(master, f"for i in $(seq 40); do head -c 500000 /dev/urandom >> {growing}; sleep 0.05; done")
    _until(lambda: _hash(slave, big) == _hash(master, big), 60)
    _until(lambda: _hash(slave, growing) == _hash(master, growing), 60)
    _until(lambda: _in_step(master) and _sync(master)["files"]["trouble"] == "", 60)
    _sh(master, f"rm {big} {growing}")


def test_files_get_through_thirty_percent_loss(complete: Lab) -> None:
    """Slower, but all of them, and nothing moves."""
    master, slave = _pair(complete)
    _until(lambda: _in_step(master))
    faults.inject(complete.plan, faults.named("loss"), master)
    here, there = _root(master) / VOICE.lstrip("/"), _root(slave) / VOICE.lstrip("/")
    here.mkdir(parents=True, exist_ok=True)
    for number in range(10):
        (here / f"loss{number}.wav").write_bytes(os.urandom(30_000))
    try:
        _until(lambda: all((there / f"loss{number}.wav").exists() for number in range(10)), _LOSSY_S)
    finally:
        faults.heal(complete.plan)


def _registrar(node: Node) -> str:
    """The registrations a node's Asterisk knows."""
    seen = _sh(node, "asterisk -rx 'database show registrar'")
    return "\n".join(line for line in seen.splitlines() if line.startswith("/registrar/contact/102"))


def _call_file(node: Node, name: str, due_s: int) -> None:
    text = "Channel: Local/600@phones\\nApplication: Verbose\\nData: called\\n"
    _sh(
        node,
        f"printf '{text}' > /tmp/{name}; touch -d '+{due_s} seconds' /tmp/{name}; "
        f"chown asterisk: /tmp/{name}; mv /tmp/{name} {SPOOL}/outgoing/{name}",
    )


def _begin_a_call(master: Node, held: Path) -> None:
    """A call file is acted on, and its call lasts; the slave has the file as Asterisk left it meanwhile."""
    _sh(master, "asterisk -rx 'module load pbx_spool.so'")
    text = "Channel: Local/600@phones\\nApplication: Echo\\nMaxRetries: 2\\nRetryTime: 600\\n"
    _sh(
        master,
        f"printf '{text}' >/tmp/begun.call; chown asterisk: /tmp/begun.call; mv /tmp/begun.call {SPOOL}/outgoing/",
    )

    def begun() -> bool:
        try:
            text = (held / "begun.call").read_text()
            return "StartRetry: " in text and (held / "begun.call").stat().st_mtime > time.time() + 60
        except FileNotFoundError:
            return False

    _until(begun)


def _doubtful(node: Node) -> list[dict[str, Any]]:
    finds = json.loads(node.say(["ishmael", "salvage", "list", "--json"]))["finds"]
    return [find for find in finds if "may have acted" in find["why"]]


def _is_kept_aside(new: Node, former: Node, find_id: str) -> None:
    """What the former master alone had is listed on the new one, and shown and exported where it is."""
    finds = json.loads(new.say(["ishmael", "salvage", "list", "--json"]))["finds"]
    find = next(find for find in finds if find["id"] == find_id)
    assert find["node"] == former.plan.name
    names = json.loads(former.say(["ishmael", "salvage", "show", find["id"], "--json"]))["names"]
    assert {f"{VOICE}/alone.txt".lstrip("/"), f"{SPOOL}/outgoing/alone.call".lstrip("/")} <= set(names)
    former.say(["ishmael", "salvage", "export", find["id"], f"/root/{find['id']}"])
    assert _sh(former, f"cat /root/{find['id']}{VOICE}/alone.txt").strip() == "alone"
    closed = former.exec(["ishmael", "salvage", "export", find["id"], "/kept/here", "--json"])
    assert json.loads(closed.stdout)["error"]["hint"].startswith("Name a directory below /root"), closed.stdout


def test_after_a_power_cut_everything_is_on_the_new_master_and_the_direction_turns(complete: Lab) -> None:
    """Voice mail and registrations are there, call files act once, what was alone is kept aside, the old master follows."""
    master, slave = _pair(complete)
    _until(lambda: _in_step(master))
    here, there = _root(master), _root(slave)
    with Phones(complete.plan) as phones:
        # The test before has lost a third of all frames.
        _until(lambda: all(row["registered"] for row in register(complete.plan, phones, ["101", "102"])))
        (here / VOICE.lstrip("/")).mkdir(parents=True, exist_ok=True)
        (here / VOICE.lstrip("/") / "last.wav").write_bytes(b"please call back" * 2000)
        _call_file(master, "later.call", 3600)
        _until((there / VOICE.lstrip("/") / "last.wav").exists)
        held = there / "var/lib/ishmael/held/var-spool-asterisk-outgoing/later.call"
        _until(held.exists)
        _until(lambda: _registrar(master) != "" and _registrar(master) == _registrar(slave))
        _begin_a_call(master, there / "var/lib/ishmael/held/var-spool-asterisk-outgoing")
        _sh(slave, "asterisk -rx 'module load pbx_spool.so'")
        # From here on nothing gets to the slave.
        _sh(slave, "systemctl stop ishmael-rsyncd; systemctl mask --runtime ishmael-rsyncd")
        _sh(master, f"echo alone > {VOICE}/alone.txt")
        _call_file(master, "alone.call", 3600)
        _sh(master, "sync")
        faults.inject(complete.plan, faults.named("power-cut"), master)
        complete.cluster.wait_role(slave, "master")

        def answered() -> bool:
            (call,) = phones.order({"do": "call", "phone": "101", "to": "102"})
            return bool(call["answered"])

        # The role comes before the services are open.
        _until(answered)
        phones.order({"do": "hangup", "phone": "101"})
    assert (there / VOICE.lstrip("/") / "last.wav").read_bytes() == b"please call back" * 2000
    _until((there / f"{SPOOL}/outgoing/later.call".lstrip("/")).exists)
    # Its call may have been made: nobody is called twice, and the admin decides.
    assert not (there / f"{SPOOL}/outgoing/begun.call".lstrip("/")).exists()
    _until(lambda: _doubtful(slave) != [])
    kept = _doubtful(slave)[-1]
    assert (kept["node"], kept["count"]) == (slave.plan.name, 1)
    assert json.loads(slave.say(["ishmael", "salvage", "show", kept["id"], "--json"]))["names"][0].endswith(
        "/begun.call"
    )
    _sh(slave, "systemctl unmask --runtime ishmael-rsyncd")
    faults.heal(complete.plan)
    job = complete.cluster.re_add_standby()
    assert [kept["count"] for kept in job["result"]["files_kept"]] >= [1]
    complete.cluster.wait_complete()
    _is_kept_aside(slave, master, job["result"]["files_kept"][0]["id"])
    # The direction has turned, and the former master's call file lies in wait.
    assert not (_root(master) / f"{SPOOL}/outgoing/later.call".lstrip("/")).exists()
    (there / VOICE.lstrip("/") / "back.wav").write_bytes(b"x")
    _until((_root(master) / VOICE.lstrip("/") / "back.wav").exists)
    _sh(slave, f"rm {SPOOL}/outgoing/later.call")


def test_a_power_cut_of_the_whole_site_takes_nothing_that_both_had(complete: Lab) -> None:
    """No program asked for it to be on the disk; some seconds after it was on the slave it is, on both."""
    master, slave = _pair(complete)
    path = f"{VOICE}/site.wav"
    (_root(master) / VOICE.lstrip("/")).mkdir(parents=True, exist_ok=True)
    (_root(master) / path.lstrip("/")).write_bytes(os.urandom(30_000))
    wanted = _hash(master, path)
    _until(lambda: _hash(slave, path) == wanted)
    time.sleep(8.0)
    faults.inject(complete.plan, faults.named("power-both"), master)
    faults.heal(complete.plan)
    assert [_hash(node, path) for node in (master, slave)] == [wanted, wanted]
    complete.cluster.wait_complete()
    assert [_hash(node, path) for node in (master, slave)] == [wanted, wanted]
