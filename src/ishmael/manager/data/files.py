"""Files follow: the task that makes this node send or take them, as its keeper's role says, and turns with it by itself."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from ishmael.manager.data import diverged
from ishmael.manager.data.receiver import Receiver
from ishmael.manager.data.salvage import Salvage
from ishmael.manager.data.sender import Report, Sender, as_facts, nobody
from ishmael.manager.data.situation import Looking, Situation
from ishmael.manager.ports.copies import Copies, Target
from ishmael.manager.ports.hands import Hands
from ishmael.manager.ports.server import Server
from ishmael.manager.ports.watcher import Watcher
from ishmael.words.errors import IshmaelError
from ishmael.words.profile import FileSet

log = logging.getLogger(__name__)
LAG_S_MAX = 60.0
"""A slave whose files are older than this must not take over by itself."""
_SOURCE = "files"
_EXPIRES_MS = 6000
_SAY_S = 1.0
_AWAY = "its files are compared when it is back"
_LOOK_S = 0.25
_UNHEARD_S = 10.0
_TROUBLE_S = 5.0
_CALM_S, _GLANCE_S = 0.06, 0.01


def objection(report: Report) -> str:
    """Why the slave must not take over with the files it has; empty when it may."""
    if not report.in_step:
        trouble = f": {report.trouble}" if report.trouble else f" ({report.left} names left)"
        return f"its files are being brought in step{trouble}"
    if report.lag_ms is not None and report.lag_ms > LAG_S_MAX * 1000:
        return f"its files are {report.lag_ms // 1000} s behind: {report.trouble or 'they do not get there'}"
    return ""


def _copied(now: Situation) -> tuple[object, ...]:
    """What is copied, and to whom; of the profile, nothing else matters to the files."""
    profile = now.profile
    return (now.peer, profile.files, profile.sqlite) if profile is not None else (now.peer,)


class FilesFollow:
    """The task; one thread.

    Args:
        hands: ports to look with.
        copies: brings files over.
        server: takes them.
        make_watcher: makes a watcher of directories.
    """

    name = "files"

    def __init__(self, hands: Hands, copies: Copies, server: Server, make_watcher: Callable[[], Watcher]) -> None:
        self._hands, self._copies, self._server, self._make_watcher = hands, copies, server, make_watcher
        self._looking = Looking(hands)
        self._receiver = Receiver(
            server, make_watcher, copies.password, sync=hands.files.sync, doubtful=self._keep_aside
        )
        self._sender: Sender | None = None
        self._wanted = False
        self._took: bool | None = None
        self._looked_at_s = self._said_at_s = self._heard_at_s = 0.0
        self._objected = self._away = False
        self._incarnation: int | None = None

    def facts(self) -> dict[str, Any]:
        """What the status says about files."""
        return as_facts(self._sender.report() if self._sender is not None else nobody())

    def settle(self, limit_s: float) -> dict[str, Any]:
        """Wait until the slave has every file.

        A change needs a moment from the kernel to here: nothing must be under way for that long.

        Args:
            limit_s: for how long at most, in seconds.
        """
        begun_s = calm_s = time.monotonic()
        while True:
            facts, now_s = self.facts(), time.monotonic()
            busy = facts["file_lag_ms"] is not None and not (
                facts["files"]["in_step"] and facts["files"]["waiting"] == 0
            )
            calm_s = now_s if busy else calm_s
            if now_s - calm_s >= _CALM_S or now_s - begun_s >= limit_s:
                settled = None if facts["file_lag_ms"] is None else not busy
                return {"settled": settled, "took_ms": int((now_s - begun_s) * 1000), **facts}
            time.sleep(_GLANCE_S)

    def run(self, stop: threading.Event) -> None:
        """Send or take until told to stop."""
        while not stop.is_set():
            now = self._looking.situation()
            if now.serves:
                self._become_master(now)
                if now.profile is not None and now.profile.files:
                    self._serve(now, stop)
            elif now.takes:
                self._took = True
                self._receiver.turn(now)
            elif now.role is not None:
                self._leave(now)
            stop.wait(_LOOK_S)
        # The server goes on when the manager ends: its gate knows the role, and the other node may be sending.

    def _become_master(self, now: Situation) -> None:
        if self._took is not False:
            self._took = False
            try:
                self._receiver.stop(now.profile, master=True)
            except (IshmaelError, OSError) as error:
                log.warning("becoming master: %s", error)
                self._took = None

    def _keep_aside(self, files: FileSet, paths: Sequence[str]) -> None:
        """They would be gone when this node is slave again, whose copy is that of the new master."""
        why = "The former master may have acted on these files already: their time had come, or their call had begun."
        find = diverged.keep(Salvage(self._hands.host.name()), [files], paths, why)
        for path in paths:
            self._hands.files.remove(path)
        if find is not None:
            facts = {"id": find.id, "node": find.node, "kind": find.kind, "count": find.count}
            told = f"{find.count} files that the former master may have acted on already were kept aside: ishmael salvage show {find.id}"
            with suppress(IshmaelError):
                self._hands.keeper.tell("salvage-kept", told, facts)

    def _leave(self, now: Situation) -> None:
        """Neither master nor waiting for one: out of the cluster, or on the way to becoming master."""
        if self._took is not None:
            self._took = None
            with suppress(IshmaelError, OSError):
                self._receiver.stop(now.profile, master=False)

    # Sending

    def _serve(self, now: Situation, stop: threading.Event) -> None:
        if now.sends:
            self._send(now, stop)
        elif now.whole and time.monotonic() >= self._said_at_s + _SAY_S:
            # Away, or out of service: the moment it is a slave again its files may be old.
            self._said_at_s = time.monotonic()
            self._object(_AWAY)

    def _send(self, now: Situation, stop: threading.Event) -> None:
        assert now.peer is not None and now.profile is not None
        first, watcher = now, self._make_watcher()
        self._heard_at_s, self._away, self._incarnation = time.monotonic(), False, now.peer_incarnation
        try:
            target = Target(now.peer.internal_ip, self._copies.password())
            self._sender = Sender(
                now.profile, target, self._copies, watcher, stamp=self._stamp, sync=self._hands.files.sync
            )
            log.info("the files follow to %s", now.peer.name)
            self._sender.run(lambda: not stop.is_set() and self._goes_on(first))
        except (IshmaelError, OSError) as error:
            log.warning("sending files: %s", error)
            self._object(f"its files do not follow: {error}")
            stop.wait(_TROUBLE_S)
        finally:
            self._sender = None
            watcher.close()

    def _stamp(self, wall_s: float) -> None:
        with suppress(IshmaelError, OSError):
            diverged.stamp(wall_s, self._hands.files.write)

    def _goes_on(self, first: Situation) -> bool:
        """The same slave still follows; said often, looked at less so."""
        now_s = time.monotonic()
        if now_s < self._looked_at_s + _LOOK_S:
            return True
        self._looked_at_s = now_s
        now = self._looking.situation()
        if now.sends:
            if self._away and self._sender is not None:
                # One that was only not heard, as while the cable is pulled out, has lost nothing.
                if now.peer_incarnation != self._incarnation:
                    self._sender.doubt()
                self._said_at_s = 0.0
            self._heard_at_s, self._away, self._incarnation = now_s, False, now.peer_incarnation
        elif now.peer_role is None:
            self._away = True
        same = now.serves and _copied(now) == _copied(first)
        unheard = now.peer_role is None and now_s < self._heard_at_s + _UNHEARD_S
        if not same or not (now.sends or unheard):
            return now.role is None and now_s < self._heard_at_s + _UNHEARD_S
        self._say(now_s)
        return True

    def _say(self, now_s: float) -> None:
        if now_s < self._said_at_s + _SAY_S or self._sender is None:
            return
        self._said_at_s = now_s
        # Said as long as it is away, so that it is not taken for fit in the moment of its return, before files are compared.
        reason = _AWAY if self._away else objection(self._sender.report())
        if reason or self._objected:
            self._object(reason)

    def _object(self, reason: str) -> None:
        with suppress(IshmaelError):
            self._hands.keeper.object_to_fitness(_SOURCE, reason, _EXPIRES_MS)
            self._objected = bool(reason)
