"""The lab keeps its own promises: power cuts lose what was not synced, nothing is left behind, commands answer."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ishmael.lab import cgroups, plan
from ishmael.lab.call import channel_statistics
from ishmael.lab.client import Phones
from ishmael.lab.faults import FAULTS
from ishmael.lab.measure import longest_gap, spread
from ishmael.lab.status import in_fib_trie
from ishmael.lab.tools import wait_until
from ishmael.words.errors import HostFault
from tests.lab.conftest import ISHMAEL, Lab, traces

pytestmark = pytest.mark.lab
REFUSED = 3


def test_nodes_reach_each_other_and_the_gateway(plain_lab: Lab) -> None:
    """Both networks work: the internal cable, and the telephone network with both references on it."""
    for address in ("10.78.0.2", "10.77.0.12", plan.GATEWAY_IP, plan.REFERENCE_IP, plan.CLIENT_IP):
        plain_lab.sh("node1", f"ping -q -c 1 -W 2 {address}")


def test_references_have_macs_of_their_own(plain_lab: Lab) -> None:
    """The two references are two machines to whoever asks by ARP."""
    script = "ping -q -c 1 -W 2 {} >/dev/null; ip -j neigh show {}"
    macs = set()
    for address in (plan.GATEWAY_IP, plan.REFERENCE_IP):
        macs.add(json.loads(plain_lab.sh("node1", script.format(address, address)))[0]["lladdr"])
    assert len(macs) == 2


def test_status_names_what_testers_need(plain_lab: Lab) -> None:
    """`lab status --json` holds the keys of the contract, and what it names exists."""
    status = plain_lab.json("status")
    assert {"client_netns", "gateway", "cluster_ip", "web", "smtp_dir", "db_url"} <= set(status)
    assert Path("/run/netns", status["client_netns"]).exists()
    assert [node["name"] for node in status["nodes"]] == ["node1", "node2"]
    for node in status["nodes"]:
        assert {"netns", "phone_ip", "internal_ip", "phone_nic", "internal_nic"} <= set(node)
        assert Path(f"/proc/{node['init_pid']}/comm").read_text().strip() == "systemd"
        assert Path("/run/netns", node["netns"]).exists()


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_exec_ends_as_its_command_did(plain_lab: Lab, code: int) -> None:
    """The exit code of a command in a node is that of `lab exec`, in both forms."""
    assert plain_lab.run("exec", "node1", "--", "sh", "-c", f"exit {code}").returncode == code
    done = plain_lab.run("exec", "node2", "--json", "--", "sh", "-c", f"echo out; echo err >&2; exit {code}")
    assert done.returncode == code
    assert json.loads(done.stdout) == {
        "schema": 1,
        "node": "node2",
        "returncode": code,
        "stdout": "out\n",
        "stderr": "err\n",
    }


def test_exec_does_not_wait_for_a_frozen_node(plain_lab: Lab) -> None:
    """A node that stands still costs a command its time limit, not for ever."""
    payload = f"{plain_lab.plan.cgroup}/node2/payload"
    cgroups.freeze(payload, frozen=True)
    try:
        assert plain_lab.run("exec", "node2", "--timeout", "1", "--", "true", timeout_s=20).returncode == 124
    finally:
        cgroups.freeze(payload, frozen=False)
    assert plain_lab.sh("node2", "hostname") == "node2"


def test_unsynced_file_vanishes_and_synced_one_stays(plain_lab: Lab) -> None:
    """A power cut takes what was not synced, in /etc and /var, and nothing else."""
    for directory in ("/etc", "/var/lib"):
        plain_lab.sh("node1", f"echo kept >{directory}/synced && sync {directory}/synced {directory}")
    plain_lab.sh("node1", "for d in /etc /var/lib; do echo lost >$d/unsynced; done")
    plain_lab.json("fault", "power-cut", "node1")
    assert plain_lab.json("status")["nodes"][0]["init_pid"] is None
    assert plain_lab.run("exec", "node1", "--", "true").returncode == REFUSED
    assert "no-carrier" in plain_lab.sh("node2", "networkctl list cable0 --no-legend || true")
    plain_lab.json("heal")
    assert plain_lab.sh("node1", "cat /etc/synced /var/lib/synced") == "kept\nkept"
    assert plain_lab.sh("node1", "ls /etc/unsynced /var/lib/unsynced 2>/dev/null || true") == ""


def test_reboot_from_inside_boots_again(plain_lab: Lab) -> None:
    """`reboot` in a node does what it does on a machine: another boot, with a fresh network and what was on disk."""
    plain_lab.sh("node2", "touch /run/volatile /var/lib/lasting; ip address add 10.77.0.99/24 dev phone0")
    before = plain_lab.sh("node2", "cat /proc/sys/kernel/random/boot_id")
    plain_lab.run("exec", "node2", "--", "reboot")

    def again() -> bool:
        done = plain_lab.run("exec", "node2", "--timeout", "5", "--", "cat", "/proc/sys/kernel/random/boot_id")
        return done.returncode == 0 and done.stdout.strip() not in ("", before)

    assert wait_until(again, 90, 0.2)
    assert plain_lab.sh("node2", "ls /run/volatile 2>/dev/null || ls /var/lib/lasting") == "/var/lib/lasting"
    assert "10.77.0.99" not in plain_lab.sh("node2", "ip address")
    plain_lab.json("reboot", "node2")


def test_second_up_is_refused(plain_lab: Lab) -> None:
    """A lab that is up is not brought up again, and does not notice the attempt."""
    before = plain_lab.json("status")
    done = plain_lab.run("up", "--no-package")
    assert done.returncode == REFUSED
    assert "up already" in done.stderr
    assert plain_lab.json("status") == before


@pytest.mark.parametrize("words", [["fault", "no-such"], ["exec", "node3", "--", "true"], ["reboot", "node3"]])
def test_unknown_names_are_refused_with_a_hint(plain_lab: Lab, words: list[str]) -> None:
    """A fault or a node that does not exist is one clear error that names those that do."""
    done = plain_lab.run(*words)
    assert done.returncode == REFUSED
    assert "hint:" in done.stderr


def test_faults_are_listed_with_mechanism_and_outcome(plain_lab: Lab) -> None:
    """Every fault says what it does and what the cluster may do about it."""
    listed = plain_lab.json("fault", "--list")["faults"]
    assert [row["name"] for row in listed] == [fault.name for fault in FAULTS]
    assert all(row["mechanism"] and row["outcome"] for row in listed)


@pytest.mark.parametrize(
    ("when", "how"), [("wiring the networks", signal.SIGTERM), ("booting two nodes", signal.SIGINT)]
)
def test_interrupted_up_leaves_nothing(no_lab: Lab, when: str, how: signal.Signals) -> None:
    """Ctrl-C or a polite kill at any moment takes away what was made."""
    with _up_until(no_lab, when) as process:
        process.send_signal(how)
        assert process.wait(60) != 0
    assert traces(no_lab.name) == []


@pytest.mark.parametrize("when", ["wiring the networks", "booting two nodes"])
def test_down_cleans_up_after_a_crash(no_lab: Lab, when: str) -> None:
    """After SIGKILL in the middle of it, `lab down` leaves nothing."""
    with _up_until(no_lab, when) as process:
        process.kill()
        process.wait(10)
    assert no_lab.run("down").returncode == 0
    assert traces(no_lab.name) == []


def test_up_cleans_up_after_a_crash(no_lab: Lab) -> None:
    """What a crashed lab left is recognised and taken away by the next `lab up`."""
    with _up_until(no_lab, "booting two nodes") as process:
        process.kill()
        process.wait(10)
    done = no_lab.run("up", "--no-package")
    assert done.returncode == 0, done.stderr
    assert "crashed" in done.stderr


def test_down_without_a_lab_is_no_error(no_lab: Lab) -> None:
    """`lab down` can be said at any time."""
    assert no_lab.json("down")["removed"] == []
    assert no_lab.run("status").returncode == REFUSED


def test_lab_without_root_is_refused() -> None:
    """Nobody but root is let in, and told so in one sentence."""
    code = f"import os, sys; os.setgid(65534); os.setuid(65534); os.execv('{ISHMAEL}', ['ishmael', 'lab', 'up'])"
    done = subprocess.run(["/usr/bin/python3", "-c", code], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == REFUSED, done.stderr
    assert "root" in done.stderr


def _up_until(lab: Lab, line: str) -> subprocess.Popen[str]:
    """`lab up`, running, which has just said this line."""
    process = lab.popen("up", "--no-package")
    assert process.stderr is not None
    for said in process.stderr:
        if line in said:
            return process
    raise AssertionError(f"lab up never said '{line}' and ended with {process.wait(10)}")


def test_phones_register_and_talk(complete: Lab) -> None:
    """Phones register at the cluster IP and talk through Asterisk, which itself counted two seconds each way."""
    registered = complete.json("register")
    assert [phone["registered"] for phone in registered["phones"]] == [True, True]
    calls = complete.json("call", "--count", "6")["calls"]
    assert len(calls) == 6
    for call in calls:
        assert call["answered"]
        assert call["verified_by"]
        assert min(call[key] for key in ("rtp_sent", "rtp_received", "asterisk_sent", "asterisk_received")) >= 100
    assert complete.json("call", "--echo")["calls"][0]["verified"]


def test_bench_ends_with_a_summary(complete: Lab) -> None:
    """The last line of `bench failover --json` holds the figures by system and fault."""
    done = complete.run("bench", "failover", "--runs", "1", "--fault", "planned", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])["summary"]["ishmael"]["planned"]
    assert figures["runs"] == 1
    for key in ("gap_ms", "sip_gap_ms", "dual_ms"):
        assert {"median", "p95", "max"} <= set(figures[key])


def test_channel_statistics_are_read() -> None:
    """Packets received and sent come from the right columns."""
    text = (
        " ...................Receive.............. .........Transmit..............\n"
        " BridgeId ChannelId ........ UpTime.. Codec.   Count    Lost Pct  Jitter   Count    Lost Pct  Jitter RTT....\n"
        " 4f0d1c2a 101-00000000        00:00:02 ulaw      113       0    0   0.000     112       0    0   0.000   0.000\n"
        "          103-0000000a        00:00:02 ulaw        7       1    0   0.000       9       0    0   0.000   0.000\n"
    )
    assert channel_statistics(text) == {"101": (113, 112), "103": (7, 9)}


def test_address_is_found_in_the_kernels_table() -> None:
    """A local address counts, one that only lies in a route does not."""
    trie = "Local:\n  |-- 10.77.0.10\n     /32 host LOCAL\n  |-- 10.77.0.255\n     /32 link BROADCAST\n"
    assert in_fib_trie(trie, "10.77.0.10")
    assert not in_fib_trie(trie, "10.77.0.255")
    assert not in_fib_trie(trie, "10.77.0.1")


def test_missing_library_of_the_phones_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pjsua2 the lab says what is missing, and everything else of it works."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(HostFault) as told:
        Phones(plan.LabPlan("none"))
    assert told.value.code == "phones-missing"


def test_audio_counts_a_silence_that_has_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gap grows while nothing comes, and begins with the first packet."""
    from ishmael.lab.phone import Audio  # needs pjsua2, which the other tests here do without

    times = iter((1.0, 2.0, 2.02, 2.5))
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    audio = Audio()
    for received in (0, 1, 2, 2):
        audio.saw(9, received)
    assert audio.counts() == {"rtp_sent": 9, "rtp_received": 2, "audio_gap_ms": 480.0}


def test_silence_counts_to_the_end_and_by_arrival() -> None:
    """Late answers do not shorten a silence, and one that never ends counts to the end of the measurement."""
    queued = {"answered": [(0.0, 0.01, ""), (0.1, 0.5, ""), (0.4, 0.5, "")], "ended_s": 0.6}
    assert longest_gap(queued)[0] == pytest.approx(0.49)
    dead = {"answered": [(0.0, 0.01, ""), (0.1, 0.11, "")], "ended_s": 5.11}
    silence_s, from_s = longest_gap(dead)
    assert silence_s == pytest.approx(5.0)
    assert from_s == pytest.approx(0.11)


def test_spread_takes_the_nearest_rank() -> None:
    """The 95th percentile of few values is the largest of them."""
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "p95": 3.0, "max": 3.0}
