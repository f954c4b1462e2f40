"""The steps by which a node that joins gets the master's files: what it alone has is kept aside, then all is copied.

Telephony goes on meanwhile on the master; what changes while the copy runs is brought over by the manager's task once
the node is slave, and the slave is fit only after that. A step that was cut goes on where it was: rsync(1) skips what is
there already, and goes on in the middle of a large file.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ishmael.manager.data import diverged
from ishmael.manager.ports.copies import Progress, Target, Watch
from ishmael.manager.ports.hands import Hands
from ishmael.manager.works import machine
from ishmael.manager.works.base import Notes, Step, wait_until
from ishmael.manager.works.joining import Joining
from ishmael.manager.works.kept import tell_kept
from ishmael.words import places
from ishmael.words.errors import HostFault, PeerFault
from ishmael.words.profile import FileSet, Profile, profile_from_toml

SERVER_LIMIT_S = 30.0
_KEEP_LIMIT_S = 600.0
_KEEP_CHUNK = 2000
_TRIES = 3
_AT_ONCE = 3


class Copying:
    """What is done about files when a node joins.

    Args:
        hands: ports to act with.
        notes: what the job remembers.
        joining: knows the other node.
    """

    def __init__(self, hands: Hands, notes: Notes, joining: Joining) -> None:
        self._hands, self._notes, self._joining = hands, notes, joining

    def there(self) -> bool:
        """The profile names directories that follow."""
        return self._hands.files.read(places.PROFILE) is not None and bool(self._profile().files)

    def preparations(self) -> list[Step]:
        """What comes before."""
        return [Step("keep aside what only the node has", lambda: self._notes.get("kept") is not None, self._keep)]

    def is_done(self) -> bool:
        """All files were copied once."""
        return self._notes.get("files_copied") is True

    def result(self) -> dict[str, Any]:
        """What was kept aside and what was moved."""
        return {"files_kept": self._notes.get("kept") or [], "file_bytes_moved": self._notes.get("file_bytes") or 0}

    def _profile(self) -> Profile:
        return profile_from_toml(machine.active_profile(self._hands))

    def _keep(self) -> None:
        listed = self._hands.node.ask(self._joining.peer, "files-candidates", limit_s=_KEEP_LIMIT_S)
        lacking = diverged.missing_here(listed["files"])
        name = self._joining.slave.name
        why = f"{name} had these files, and they were not the same on {self._hands.host.name()} when {name} was added."
        kept = []
        for at in range(0, len(lacking), _KEEP_CHUNK):
            ask = {"paths": lacking[at : at + _KEEP_CHUNK], "why": why}
            find = self._hands.node.ask(self._joining.peer, "files-keep", ask, limit_s=_KEEP_LIMIT_S)["find"]
            if find is not None:
                kept.append({"id": find["id"], "count": find["count"], "kind": "files", "node": find["node"]})
                tell_kept(self._hands, kept[-1])
        self._notes.put("kept", kept)

    def bring(self, tell: Callable[[int, int], None] | None = None, stopped: Callable[[], bool] | None = None) -> None:
        """Copy all directories.

        Args:
            tell: gets bytes that are there and bytes in all; the job's own count when left out.
            stopped: looks whether to give up; whether the job was cancelled, when left out.

        Raises:
            IshmaelError: they do not get there.
        """
        tell, given_up = tell or self._notes.count, stopped or self._notes.cancelled
        target = Target(self._joining.slave.internal_ip, self._hands.copies.password())
        wait_until(
            self._hands.clock, lambda: self._hands.copies.answers(target), SERVER_LIMIT_S,
            lambda: PeerFault(
                "rsync-unreachable", f"The rsync server of {self._joining.slave.name} does not answer at {target.address}.",
                f"On {self._joining.slave.name}: systemctl status ishmael-rsyncd ishmael-manager",
            ),
        )  # fmt: skip
        sets = self._profile().files
        sizes = {files: self._hands.copies.size(files) for files in sets}
        total, done, failed = sum(sizes.values()), dict.fromkeys(sets, 0), threading.Event()
        counting = threading.Lock()

        def one(files: FileSet) -> int:
            def watch(now: Progress) -> None:
                with counting:
                    done[files] = min(now.done_bytes, sizes[files])
                    tell(sum(done.values()), total)

            try:
                return self._copy_one(target, files, watch, lambda: given_up() or failed.is_set())
            except BaseException:
                failed.set()
                raise

        # Most directories are small: what they take is the way there and back.
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            moved = sum(pool.map(one, sets))
        if given_up():
            return
        tell(total, total)
        self._notes.put("file_bytes", moved)
        self._notes.put("bytes_moved", int(self._notes.get("bytes_moved") or 0) + moved)
        self._notes.put("files_copied", True)

    def _copy_one(self, target: Target, files: FileSet, watch: Watch, stopped: Callable[[], bool]) -> int:
        """One directory; tried again when the network broke in the middle. A single name that fails stops no join."""
        if not self._hands.copies.there(files):
            return 0
        for attempt in range(_TRIES):
            copied = self._hands.copies.all(target, files, stopped, watch)
            if copied.whole or copied.some_failed or stopped():
                break
            if attempt + 1 < _TRIES:
                self._hands.clock.sleep(1.0)
        error = copied.error(target.address)
        if stopped() or copied.whole or (copied.some_failed and isinstance(error, HostFault)):
            return copied.moved_bytes
        raise error
