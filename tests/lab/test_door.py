"""The SSH door between real nodes: the cluster's key opens one command that speaks its protocol, and nothing else."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from ishmael.lab.node import Node
from ishmael.lab.tools import wait_until
from tests.lab.conftest import Lab

pytestmark = pytest.mark.lab
_OPTIONS = (
    "-F none -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityFile=/etc/ishmael/ssh/id_ed25519 -o ConnectTimeout=5 "
    "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
)
_HELLO = json.dumps({"op": "hello"})


@pytest.fixture
def ends(complete: Lab) -> tuple[Node, Node]:
    """Who knocks, and whose door it is."""
    first, second = complete.cluster.nodes
    return first, second


def _ssh(ends: tuple[Node, Node], words: str, given: str = "", options: str = "") -> tuple[int, str, str]:
    here, there = ends
    command = f"ssh {_OPTIONS} {options} root@{there.plan.internal_ip} {words}"
    done = here.exec(["sh", "-c", command], stdin=given, timeout_s=40)
    return done.returncode, done.stdout, done.stderr


def _answers(said: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.splitlines()]


@pytest.mark.parametrize("words", ["", "id", "'cat /etc/shadow'", "-s sftp", "'sh -i'", "rsync --server . /"])
def test_whatever_is_asked_for_the_door_answers(ends: tuple[Node, Node], words: str) -> None:
    """A shell, another command, a subsystem: each gets the door, which tells its own name to who speaks its protocol."""
    code, said, _ = _ssh(ends, words, f"{_HELLO}\n")
    (answer,) = _answers(said)
    assert (code, answer["ok"], answer["host_name"]) == (0, True, ends[1].plan.name)


def test_there_is_no_terminal(ends: tuple[Node, Node]) -> None:
    """A terminal that is asked for is refused, and who insists gets nothing."""
    _, said, complained = _ssh(ends, "", f"{_HELLO}\n", "-tt")
    assert ("PTY allocation request failed" in complained, said) == (True, "")


@pytest.mark.parametrize("copy", ["sftp -b /dev/null {o} root@{ip}", "scp {o} /etc/hostname root@{ip}:/root/stolen",
                                  "scp -O {o} /etc/hostname root@{ip}:/root/stolen"])  # fmt: skip
def test_no_file_is_copied(ends: tuple[Node, Node], copy: str) -> None:
    """Neither sftp nor scp gets anywhere, and both end by themselves."""
    here, there = ends
    done = here.exec(["sh", "-c", copy.format(o=_OPTIONS, ip=there.plan.internal_ip)], timeout_s=50)
    assert done.returncode not in (0, 124), done.stdout + done.stderr
    assert there.exec(["test", "-e", "/root/stolen"]).returncode == 1


# Speaks to a forwarded port as a client of SSH or SOCKS would, while the session that forwards it is open.
_THROUGH = """
import socket, subprocess, sys, time
ssh = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
wire, deadline = None, time.monotonic() + 10
while wire is None and time.monotonic() < deadline and ssh.poll() is None:
    try:
        wire = socket.create_connection(("127.0.0.1", 7777), 1)
    except OSError:
        time.sleep(0.1)
said = b""
if wire is not None:
    wire.settimeout(5)
    try:
        if sys.argv[1] == "socks":
            wire.sendall(bytes([5, 1, 0]))
            wire.recv(2)
            wire.sendall(bytes([5, 1, 0, 1, 127, 0, 0, 1, 0, 22]))
            wire.recv(10)
        said = wire.recv(100)
    except OSError:
        pass
ssh.kill()
print(said.decode(errors="replace"), "|", wire is not None)
"""


@pytest.mark.parametrize(("kind", "forward"), [("plain", "-L 7777:127.0.0.1:22"), ("socks", "-D 7777")])
def test_nothing_is_forwarded_from_here(ends: tuple[Node, Node], kind: str, forward: str) -> None:
    """A forwarded port is there on the client, but the server opens nothing behind it."""
    here, there = ends
    words = f"ssh {_OPTIONS} {forward} root@{there.plan.internal_ip}".split()
    said = here.say(["/usr/lib/ishmael/venv/bin/python", "-I", "-c", _THROUGH, kind, *words])
    assert said.strip() == "| True"


def test_nothing_is_forwarded_from_there(ends: tuple[Node, Node]) -> None:
    """The other node opens no port for us, and connects us to nothing."""
    code, _, complained = _ssh(ends, "", "", "-o ExitOnForwardFailure=yes -R 7778:127.0.0.1:22")
    assert (code, "remote port forwarding failed" in complained) == (255, True)
    code, said, complained = _ssh(ends, "", "", "-W 127.0.0.1:22")
    assert (code, said, "administratively prohibited" in complained) == (255, "", True)


def test_neither_agent_nor_display_nor_environment_nor_rc(ends: tuple[Node, Node]) -> None:
    """While a session is open there is no agent's socket and no display on the other node; what it sends does not arrive."""
    here, there = ends
    there.say(["sh", "-c", "echo 'touch /root/rc-ran' >/root/.ssh/rc; rm -f /root/rc-ran"])
    script = (
        "eval $(ssh-agent) >/dev/null; export DISPLAY=:0 ISHMAEL_EVIL=1 LD_PRELOAD=; (sleep 20) | ssh -A -X "
        f"-o SendEnv=ISHMAEL_EVIL -o SetEnv=PYTHONPATH=/evil {_OPTIONS} root@{there.plan.internal_ip}; kill $SSH_AGENT_PID"
    )
    session = subprocess.Popen(here.command(["sh", "-c", script]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # The manager asks there, too: ours is known by its port.
    port = "ss -Htnp | grep \"pid=$(pgrep -f -n '^ssh .*PYTHONPATH=/[e]vil'),\" | sed -E 's/.*:([0-9]+) +[0-9.]+:22 .*/\\1/'"
    look = "for each in $(pgrep -f '[i]shmael.manager.door'); do grep -qz \"^SSH_CONNECTION=.* $1 [0-9.]* 22$\" /proc/$each/environ " \
           "&& tr '\\0' '\\n' </proc/$each/environ; done; true"  # fmt: skip
    seen: list[str] = []

    def arrived() -> bool:
        ours = here.exec(["sh", "-c", port]).stdout.strip()
        seen[:] = [there.exec(["sh", "-c", look, "look", ours]).stdout] if ours else []
        return "SSH_CONNECTION" in "".join(seen)

    try:
        assert wait_until(arrived, 15, 0.1)
        (environment,) = seen
        assert not any(word in environment for word in ("ISHMAEL_EVIL", "PYTHONPATH", "SSH_AUTH_SOCK", "DISPLAY"))
        assert "agent." not in there.say(["sh", "-c", "find /tmp -name 'agent.*'; true"])
        assert ":6010" not in there.say(["ss", "-Hltn"])
    finally:
        session.wait(60)
        there.say(["rm", "-f", "/root/.ssh/rc"])
    assert there.exec(["test", "-e", "/root/rc-ran"]).returncode == 1


def test_no_password_opens_it(ends: tuple[Node, Node]) -> None:
    """Without the key nobody comes in, not even with root's password."""
    here, there = ends
    there.say(["sh", "-c", "echo root:white-whale | chpasswd"])
    script = (
        "printf '#!/bin/sh\\necho white-whale\\n' >/root/ask; chmod +x /root/ask; SSH_ASKPASS=/root/ask "
        "SSH_ASKPASS_REQUIRE=force ssh -F none -o PubkeyAuthentication=no -o NumberOfPasswordPrompts=1 "
        f"-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null root@{there.plan.internal_ip} id; "
        "code=$?; rm /root/ask; exit $code"
    )
    done = here.exec(["sh", "-c", script], timeout_s=40)
    there.say(["passwd", "--lock", "root"])
    assert (done.returncode, "Permission denied" in done.stderr, "uid=" in done.stdout) == (255, True, False)


def test_garbage_is_refused_cleanly(ends: tuple[Node, Node]) -> None:
    """Each line gets one answer with a code; a line longer than any ask ends the session."""
    lines = ["", "nonsense", "[]", "7", '{"op": 7}', '{"op": "rm"}', '{"op": "hello", "arguments": 3}', "{" * 20000,
             '{"op": "install", "arguments": {}}', '{"op": "start", "arguments": {"what": "/bin/sh"}}', _HELLO]  # fmt: skip
    code, said, complained = _ssh(ends, "", "\n".join(lines) + "\n")
    answers = _answers(said)
    assert code == 0, complained
    assert [each["ok"] for each in answers] == [False] * (len(lines) - 1) + [True]
    codes = {each["error"]["code"] for each in answers[:-1]}
    assert codes == {"not-an-ask", "unknown-op", "bad-load", "unknown-service"}
    code, said, _ = _ssh(ends, "", "x" * 1_500_000)
    assert (code, said) == (2, "")
