"""Mail of a cluster, through a real smarthost with STARTTLS and a login, in the lab's client."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from ishmael.lab import client, plan
from ishmael.lab.post import PORT, TO, USER, Post
from ishmael.lab.tools import wait_until
from tests.lab.conftest import FULL, Lab

pytestmark = pytest.mark.lab
_DOWN_S = 600 if FULL else 2


@pytest.fixture
def post(complete: Lab) -> Iterator[Post]:
    """The smarthost, open again afterwards and known to the cluster with the right password."""
    found = Post(complete.plan)
    yield found
    found.close()
    found.open()
    master = complete.cluster.master()
    assert master is not None
    found.use(master, complete.cluster.nodes)


def _master(lab: Lab) -> str:
    master = lab.cluster.master()
    assert master is not None
    return master.plan.name


def _mails_since(post: Post, before: int) -> str:
    return "\n".join(post.texts()[before:])


def _ask_in_the_clear(lab: Lab) -> str:
    """What the smarthost says to a mail without STARTTLS."""
    code = f"""
import smtplib
with smtplib.SMTP({plan.CLIENT_IP!r}, {PORT}, timeout=5) as wire:
    print(wire.docmd("MAIL", "FROM:<a@example.org>"))
"""
    words = client.command(lab.plan, [sys.executable, "-c", code])
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_a_test_mail_arrives_over_tls_and_with_the_login(complete: Lab, post: Post) -> None:
    """The smarthost takes nothing in the clear; the test mail is there, once."""
    assert "530" in _ask_in_the_clear(complete)
    before = len(post.texts())
    said = json.loads(complete.sh(_master(complete), "ishmael mail test --json"))
    assert said["to"] == TO
    assert wait_until(lambda: len(post.texts()) > before, 10, 0.1)
    assert "Test mail from" in _mails_since(post, before)


def test_a_wrong_password_is_named_and_changes_nothing_else(complete: Lab, post: Post) -> None:
    """The refusal says whose login; with the right password mail goes again."""
    master = _master(complete)
    complete.sh(master, "echo wrong >/root/wrong; ishmael mail set --password-file /root/wrong; rm /root/wrong")
    done = complete.run("exec", master, "--", "ishmael", "mail", "test")
    assert done.returncode != 0
    assert f"refuses the login of {USER}" in done.stderr + done.stdout
    node = complete.cluster.master()
    assert node is not None
    post.use(node, complete.cluster.nodes)
    complete.sh(master, "ishmael mail test")


def test_the_survivor_mails_the_story_of_a_power_cut(complete: Lab, post: Post) -> None:
    """Within seconds the new master's mail says what failed, when, and what to do."""
    before, first = len(post.texts()), _master(complete)
    try:
        assert complete.json("fault", "power-cut", first)
        assert wait_until(lambda: "without a master" in _mails_since(post, before), 30, 0.2)
        assert wait_until(lambda: " is master now" in _mails_since(post, before), 30, 0.2)
        # What to do next comes with the check that finds that there is no slave any more.
        assert wait_until(lambda: "re-add" in _mails_since(post, before), 60, 0.5), _mails_since(post, before)
    finally:
        complete.json("heal")


@pytest.mark.timeout(_DOWN_S + 600)
def test_mail_waits_on_disk_while_the_smarthost_is_down_and_is_sent_by_the_survivor(complete: Lab, post: Post) -> None:
    """What happened meanwhile is mailed once when it is back, by the node that serves then."""
    complete.sh(_master(complete), "ishmael mail test")
    post.close()
    before, first = len(post.texts()), _master(complete)
    assert complete.json("fault", "planned", first)
    second = _master(complete)
    assert second != first

    def waits() -> bool:
        said = json.loads(complete.sh(second, "ishmael mail show --json"))
        return said["waiting"] > 0 and "cannot be reached" in str(said["error"])

    assert wait_until(waits, 30, 0.5)
    complete.sh(second, "systemctl restart ishmael-manager")
    time.sleep(_DOWN_S)
    assert len(post.texts()) == before
    post.open()
    # A try every 5 s at first, every minute at last.
    assert wait_until(lambda: "handed over" in _mails_since(post, before).lower(), 75, 0.5)
    assert wait_until(lambda: json.loads(complete.sh(second, "ishmael mail show --json"))["waiting"] == 0, 30, 0.5)
    once = [mail for mail in post.texts()[before:] if "asked for a hand-over" in mail]
    assert len(once) <= 1


def test_who_is_mailed_is_known_to_the_slave_when_the_command_answers(complete: Lab, post: Post) -> None:
    """The monitoring file is on both nodes before `ishmael mail set` ends: no power cut can lose it."""
    first = _master(complete)
    other = next(node.plan.name for node in complete.cluster.nodes if node.plan.name != first)
    try:
        complete.sh(first, "ishmael mail set --to night@example.org")
        assert "night@example.org" in complete.sh(other, "cat /etc/ishmael/monitoring.toml")
    finally:
        complete.sh(first, f"ishmael mail set --to {TO}")
