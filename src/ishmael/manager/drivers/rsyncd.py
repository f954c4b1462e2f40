"""The rsync server of a node that is not master: an own rsyncd(8) on its internal address, run by systemd."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ishmael.manager.drivers.files import DiskFiles
from ishmael.manager.drivers.programs import run, words_of
from ishmael.manager.drivers.rsync import PORT, USER
from ishmael.manager.ports.server import Serving
from ishmael.words import places
from ishmael.words.errors import HostFault
from ishmael.words.profile import FileSet

UNIT = "ishmael-rsyncd.service"
GATE = "/usr/lib/ishmael/rsync-gate"
SETTLE = "/usr/lib/ishmael/rsync-settle"
NAMES = "/usr/lib/ishmael/rsync-names"
_HEAD = """\
# Written by Ishmael's manager at each start; only for {peer}.
port = {port}
address = {own}
use chroot = yes
munge symlinks = no
numeric ids = no
name converter = {names}
uid = 0
gid = 0
list = no
read only = no
write only = yes
reverse lookup = no
hosts allow = {peer}
hosts deny = *
auth users = {user}
secrets file = {secrets}
strict modes = yes
max connections = 16
lock file = {room}/lock
timeout = 60
max verbosity = 1
refuse options = checksum-seed copy-devices write-devices remove-source-files temp-dir backup-dir link-dest copy-dest compare-dest
pre-xfer exec = {gate} {cluster_ip}
post-xfer exec = {settle}
"""


def place_of(files: FileSet) -> str:
    """Where the copies of a directory go on the node that takes them."""
    return f"{places.HELD}/{files.slug}" if files.held else files.path


def configuration(serving: Serving) -> str:
    """The text of rsyncd.conf(5)."""
    head = _HEAD.format(
        peer=serving.peer, own=serving.own, port=PORT, user=USER, secrets=places.RSYNCD_SECRETS,
        room=places.RSYNCD_DIRECTORY, gate=GATE, settle=SETTLE, names=NAMES, cluster_ip=serving.cluster_ip,
    )  # fmt: skip
    modules = [(files.slug, place_of(files)) for files in serving.files]
    modules.append((FileSet(places.SNAPSHOTS).slug, places.SNAPSHOTS))
    return head + "".join(f"\n[{name}]\npath = {path}\n" for name, path in modules)


def drop_in(paths: Sequence[str]) -> str:
    """Which directories the unit may write."""
    return "[Service]\n" + "".join(f"ReadWritePaths={path}\n" for path in (places.RSYNCD_DIRECTORY, *paths))


class Rsyncd:
    """The unit and its files, all below /run: after a boot there is no server before the manager knows its role."""

    def __init__(self) -> None:
        self._files = DiskFiles()
        self._served: Serving | None = None

    def serve(self, serving: Serving) -> None:
        """Take files from this peer; already done when nothing changed and the unit runs.

        Raises:
            HostFault: the unit does not start.
        """
        if serving == self._served and self.runs():
            return
        paths = [place_of(files) for files in serving.files] + [places.SNAPSHOTS]
        for path in paths:
            if not Path(path).exists():
                own = path.startswith("/var/lib/ishmael/")
                Path(path).mkdir(mode=0o700 if own else 0o755, parents=True, exist_ok=True)
        Path(places.RSYNCD_DIRECTORY).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._files.write(places.RSYNCD_SECRETS, f"{USER}:{serving.password}\n".encode(), 0o600)
        self._files.write(places.RSYNCD_CONF, configuration(serving).encode(), 0o600)
        self._files.write(places.RSYNCD_DROP_IN, drop_in(paths).encode(), 0o644)
        self._systemctl("daemon-reload")
        self._systemctl("restart", UNIT)
        self._served = serving

    def stop(self) -> None:
        """Take no files; a transfer that runs is cut."""
        self._served = None
        if self.runs() or os.path.lexists(places.RSYNCD_CONF):
            self._systemctl("stop", UNIT)
            # A transfer that was cut for it is no failure for anybody to look at.
            run(["systemctl", "--quiet", "reset-failed", UNIT])
            Path(places.RSYNCD_CONF).unlink(missing_ok=True)

    def runs(self) -> bool:
        """The unit is active."""
        return run(["systemctl", "--quiet", "is-active", UNIT]).returncode == 0

    def _systemctl(self, *words: str) -> None:
        done = run(["systemctl", "--no-ask-password", *words])
        if done.returncode:
            raise HostFault(
                "rsyncd-failed", f"systemctl {' '.join(words)} failed: {words_of(done)}.",
                f"See: journalctl -u {UNIT}",
            )  # fmt: skip
