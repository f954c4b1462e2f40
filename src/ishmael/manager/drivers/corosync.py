"""Corosync by its own programs (corosync-cmapctl(8), corosync-cfgtool(8))."""

from __future__ import annotations

import re
import shutil

from ishmael.manager.drivers.programs import PATH, run, words_of
from ishmael.words.errors import HostFault

_MEMBER = re.compile(r"^runtime\.members\.(\d+)\.status \(str\) = joined$", re.MULTILINE)
_LINK = re.compile(r"^\s*LINK: \d+ \w+ \(([0-9.]+)->[0-9.]+\) (?:enabled|disabled) ?(\w*)", re.MULTILINE)


class RunningCorosync:
    """The Corosync of this machine."""

    def installed(self) -> bool:
        """Its programs are there."""
        return all(shutil.which(program, path=PATH) for program in ("corosync", "corosync-cmapctl", "corosync-cfgtool"))

    def members(self) -> frozenset[int]:
        """Ids of the nodes it sees now; empty when it does not run."""
        done = run(["corosync-cmapctl", "runtime.members"], limit_s=5.0)
        return frozenset(int(found) for found in _MEMBER.findall(done.stdout.decode(errors="replace")))

    def links(self) -> dict[str, bool] | None:
        """By ``corosync-cfgtool -n``, which lists the links to each other node."""
        try:
            done = run(["corosync-cfgtool", "-n"], limit_s=2.0)
        except HostFault:
            return None
        found = _LINK.findall(done.stdout.decode(errors="replace")) if done.returncode == 0 else []
        return {address: state == "connected" for address, state in found} or None

    def reload(self) -> None:
        """Let it read its configuration again."""
        done = run(["corosync-cfgtool", "-R"])
        if done.returncode:
            raise HostFault(
                "corosync-failed", f"Corosync does not reload: {words_of(done)}.", "See: journalctl -u corosync"
            )
