"""``script/demo``: the main job before your eyes. Two nodes, one phone system; the master loses its power; phones go on."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ishmael.lab import base, faults, lifecycle
from ishmael.lab.call import calls
from ishmael.lab.cluster import Cluster
from ishmael.lab.measure import Measured, Measurement, settle
from ishmael.lab.node import Node
from ishmael.lab.plan import CLUSTER_IP, DEFAULT_NAME, LabPlan
from ishmael.lab.tools import wait_until
from ishmael.words.errors import Bug, HostFault, IshmaelError

_STEPS = 8
_AFTER_S = 2.0
_MAIL = "var/spool/asterisk/voicemail/default/101/INBOX/msg0000.wav"
_MAIL_S = 30.0


class Demo:
    """The walk through it, step by step.

    Args:
        lab: made for the demo.
    """

    def __init__(self, lab: LabPlan) -> None:
        self._lab = lab
        self._cluster = Cluster(lab)
        self._step = 0
        self._begun = time.monotonic()

    def _say(self, text: str) -> None:
        print(f"          {text}", flush=True)

    def _head(self, text: str) -> None:
        self._step += 1
        print(f"\n[{self._step}/{_STEPS}] {time.monotonic() - self._begun:5.1f} s  {text}", flush=True)

    def run(self) -> list[tuple[str, str]]:
        """Do it all.

        Returns:
            Rows of the summary: what, and how it went.

        Raises:
            IshmaelError: something did not work as promised.
        """
        self._head("Two Debian nodes boot, with the package installed")
        package = base.newest_package(Path(__file__).resolve().parents[3])
        lifecycle.up(self._lab, package, self._say)
        self._head("An admin makes a cluster of them: set up master, prepare slave, add slave")
        self._cluster.form(self._say)
        self._show_status()
        self._head(f"Two phones register at {CLUSTER_IP}, and one calls the other")
        first = self._call()
        mail = self._leave_voice_mail()
        self._head("The master loses its power")
        measured, wall = self._cut_power()
        self._find_voice_mail(mail)
        self._head("The phones call again")
        second = self._call()
        self._head(f"What happened, as {measured.last_node} tells it: ishmael events --story")
        self._tell_story(wall, measured)
        self._head("The old master gets its power back, and must be re-added")
        self._bring_back()
        self._head("The admin re-adds it")
        self._cluster.re_add_standby()
        self._cluster.wait_complete()
        self._show_status()
        sip_ms = measured.sip_gap_ms
        return [
            ("first call", f"answered by {first['node']} in {first['setup_ms']} ms, audio both ways seen in Asterisk"),
            (
                "power cut",
                f"nobody answered for {measured.gap_ms} ms (SIP: {sip_ms} ms); two holders: {measured.dual_ms} ms",
            ),
            (
                "second call",
                f"answered by {second['node']} in {second['setup_ms']} ms, audio both ways seen in Asterisk",
            ),
            ("in the end", "the cluster is complete again, with the roles swapped"),
        ]

    def _call(self) -> dict[str, Any]:
        call = calls(self._lab, 1, echo=False)[0]
        if not call["verified"]:
            raise HostFault("call-failed", f"The call was not answered with audio both ways: {json.dumps(call)}")
        self._say(
            f"{call['from']} -> {call['to']}: answered by {call['node']} in {call['setup_ms']} ms; audio {call['rtp_sent']} "
            f"packets out, {call['rtp_received']} in; Asterisk saw {call['asterisk_received']}, sent {call['asterisk_sent']}"
        )
        return call

    def _leave_voice_mail(self) -> bytes:
        """A voice mail of 30 kB, and how long it takes to the other node."""
        master = self._cluster.master()
        if master is None:
            raise HostFault("no-master", "No node says that it is master.")
        mail = os.urandom(30_000)
        here, there = (Path(f"/proc/{node.init_pid}/root/{_MAIL}") for node in self._both(master))
        here.parent.mkdir(parents=True, exist_ok=True)
        here.write_bytes(mail)
        begun = time.monotonic()
        if not wait_until(there.exists, _MAIL_S, 0.001):
            raise HostFault("file-not-there", f"/{_MAIL} did not get to the slave.", "ishmael status")
        self._say(f"a caller leaves a voice mail: on the other node after {(time.monotonic() - begun) * 1000:.0f} ms")
        return mail

    def _both(self, master: Node) -> tuple[Node, Node]:
        return master, next(node for node in self._cluster.nodes if node.plan.name != master.plan.name)

    def _find_voice_mail(self, mail: bytes) -> None:
        master = self._cluster.master()
        if master is None:
            raise HostFault("no-master", "No node says that it is master.")
        if Path(f"/proc/{master.init_pid}/root/{_MAIL}").read_bytes() != mail:
            raise HostFault("file-not-there", f"/{_MAIL} is not what the caller left.", "ishmael status")
        self._say(f"the voice mail left before is on {master.plan.name}, byte for byte")

    def _cut_power(self) -> tuple[Measured, datetime]:
        master = self._cluster.master()
        if master is None:
            raise HostFault("no-master", "No node says that it is master.")
        with Measurement(self._lab) as measurement:
            settle(0.5)
            wall = datetime.now(UTC)
            faults.inject(self._lab, faults.named("power-cut"), master)
            self._say(f"{master.plan.name} is off: its disk lost what was not synced, its links have no carrier")
            settle(_AFTER_S)
        measured = measurement.result()
        self._say(
            f"{measured.last_node} answers at {CLUSTER_IP} after {measured.gap_ms} ms (SIP: {measured.sip_gap_ms} ms)"
        )
        return measured, wall

    def _tell_story(self, wall: datetime, measured: Measured) -> None:
        master = self._cluster.master()
        if master is None:
            raise HostFault("no-master", "No node says that it is master.")
        self._say(f"  {wall.isoformat(timespec='milliseconds')[11:23]}  (the demo) The power of the master was cut.")
        for line in master.say(["ishmael", "events", "--story"]).splitlines():
            self._say(line.rstrip())
        self._say(f"  measured at the client: no answer for {measured.gap_ms} ms")

    def _bring_back(self) -> None:
        healed = faults.heal(self._lab)
        if healed is None:
            raise Bug("nothing-healed", "The lab knows of no fault to heal.")
        node = Node(self._lab, self._lab.node(healed[1]))
        self._cluster.wait_role(node, "standby")
        self._say(f"{node.plan.name} has booted, found that the other serves, and waits on standby")

    def _show_status(self) -> None:
        master = self._cluster.master()
        if master is not None:
            for line in master.say(["ishmael", "status"]).splitlines():
                self._say(line.rstrip())


def _summary(rows: Sequence[tuple[str, str]], took_s: float) -> None:
    print(f"\nDone in {took_s:.0f} s.")
    for what, how in rows:
        print(f"  {what:12} {how}")


def _go_on(say: Callable[[str], None]) -> None:
    say("\nThe lab is left running. Go on with:")
    say("  ishmael lab status               the nodes and how to reach them")
    say("  ishmael lab exec node2 -- ishmael status")
    say("  ishmael lab call                 let two phones talk")
    say("  ishmael lab fault power-cut      cut the master's power; ishmael lab heal gives it back")
    say("  ishmael lab exec NODE -- ishmael re-add      on the new master, when the old one is back")
    say("  ishmael lab down                 take it all away")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line behind ``script/demo``.

    Args:
        argv: words after the program's name.
    """
    parser = argparse.ArgumentParser(prog="script/demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the lab running at the end, and say how to go on")
    options = parser.parse_args(argv)
    lab = LabPlan(os.environ.get("ISHMAEL_LAB", DEFAULT_NAME))
    begun = time.monotonic()
    made = False
    try:
        lifecycle.refuse_if_up(lab)
        made = True
        rows = Demo(lab).run()
        _summary(rows, time.monotonic() - begun)
    except IshmaelError as error:
        print(f"\nscript/demo: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  hint: {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nscript/demo: interrupted", file=sys.stderr)
        return 130
    else:
        if options.keep:
            made = False
            _go_on(print)
        return 0
    finally:
        if made:
            lifecycle.down(lab)


if __name__ == "__main__":
    sys.exit(main())
