"""Services follow: the task that makes each node's files what the shared settings say, and the profile with them.

Settings come to the slave like other files; here they are checked by the slave's own programs before its files change.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from ishmael.manager.appliance import kept, placing
from ishmael.manager.appliance.shape import Service
from ishmael.manager.ports.hands import Hands
from ishmael.words import places
from ishmael.words.errors import IshmaelError

log = logging.getLogger(__name__)
_LOOK_S = 2.0
_LET_OTHERS_S = 0.5
"""Longer than the pause between two tries of whoever waits for the lock."""
_AGAIN_S, _AGAIN_MAX_S = 10.0, 300.0
"""After a failure, doubled with each, unless there are other settings."""
_REFUSED = "service-refuses"


class ServicesFollow:
    """The task.

    Args:
        hands: ports.
        lock: the cluster lock; while a job holds it, nothing is done here.
    """

    name = "services"

    def __init__(self, hands: Hands, lock: Callable[[], AbstractContextManager[None]]) -> None:
        self._hands, self._lock = hands, lock
        self._failed: dict[str, tuple[str, float, float]] = {}
        """By the service's name: the mark of what failed, when it is tried again, and how long was waited, in seconds."""

    def run(self, stop: threading.Event) -> None:
        """Look every two seconds."""
        while not stop.wait(_LOOK_S):
            # One at a time: a job that wants this node meanwhile, of the master that adds it, waits for one restart, not for all.
            steps: list[Callable[[], None]] = [partial(self._bring_lacking, each) for each in kept.SERVICES.values()]
            for step in (*steps, self._profile_follows):
                if not stop.is_set() and self.lacking():
                    self._locked(step)
                    stop.wait(_LET_OTHERS_S)

    def _locked(self, step: Callable[[], None]) -> None:
        try:
            with self._lock():
                step()
        except IshmaelError as error:
            log.info("services: %s", error.message)

    def lacking(self) -> bool:
        """Something here is not as the settings say."""
        return any(self._lacks(service) for service in kept.SERVICES.values()) or self._profile_lacks() is not None

    def turn(self) -> None:
        """Bring this node in step with the settings once."""
        for service in kept.SERVICES.values():
            self._bring_lacking(service)
        self._profile_follows()

    def _bring_lacking(self, service: Service) -> None:
        if self._lacks(service):
            self._bring(service)

    def _profile_follows(self) -> None:
        profile = self._profile_lacks()
        if profile is not None:
            self._hands.files.write(places.PROFILE, profile, 0o644)
            self._hands.keeper.reload()
            log.info("the workload's units are those of the services now")

    def _lacks(self, service: Service) -> bool:
        """There is something to do, or to note, for it; nothing is changed by this look."""
        hands, mark = self._hands, self._mark(service)
        noted = kept.notes(hands).get(service.about.name, {})
        failed, again_s, _ = self._failed.get(service.about.name, ("", 0.0, 0.0))
        if noted.get("refused") == mark or (failed == mark and hands.clock.now_s() < again_s):
            return False
        if kept.changed_by_hand(hands, service):
            return False
        if not noted.get("files") and hands.files.read(kept.settings_path(service)) is None:
            return False
        try:
            files = placing.meant(hands, service)
        except IshmaelError as error:
            return bool(noted.get("trouble") != error.message)
        due = noted.get("switch_due") or noted.get("trouble")
        return bool(due) or not placing.in_place(hands, service, files)

    def _bring(self, service: Service) -> None:
        hands = self._hands
        try:
            files = placing.meant(hands, service)
        except IshmaelError as error:
            self._trouble(service, error.message)
            return
        found = placing.objections(hands, service, files)
        if found:
            # What is missing may be installed any time; what its checker refuses stays refused until there are other settings.
            self._trouble(service, found[0].message, refused=found[0].code == _REFUSED)
            return
        new = not placing.in_place(hands, service, files)
        if new:
            placing.put(hands, service, files)
            log.info("%s: its files are as the settings say now", service.about.title)
        try:
            # What came up when it was tried before is not restarted again and again.
            self._switch(service, changed=new or service.about.name not in self._failed)
        except IshmaelError as error:
            self._trouble(service, error.message)
            return
        self._failed.pop(service.about.name, None)
        kept.note(hands, service, trouble="", refused="")

    def _switch(self, service: Service, *, changed: bool) -> None:
        hands = self._hands
        if not kept.notes(hands).get(service.about.name, {}).get("switch_due"):
            return
        # Outside a cluster nobody but the admin starts a service that may be there only once.
        if hands.files.read(places.SETTINGS) is not None or not service.about.with_master:
            placing.switch(hands, service, kept.settings(hands, service), changed=changed)
        else:
            kept.note(hands, service, switch_due=False)

    def _trouble(self, service: Service, said: str, *, refused: bool = False) -> None:
        if kept.notes(self._hands).get(service.about.name, {}).get("trouble") != said:
            log.warning("%s: %s", service.about.title, said)
        mark = self._mark(service)
        failed, _, waited_s = self._failed.get(service.about.name, ("", 0.0, 0.0))
        wait_s = min(2 * waited_s, _AGAIN_MAX_S) if failed == mark else _AGAIN_S
        self._failed[service.about.name] = (mark, self._hands.clock.now_s() + wait_s, wait_s)
        kept.note(self._hands, service, trouble=said, refused=mark if refused else "")

    def _mark(self, service: Service) -> str:
        paths = (kept.settings_path(service), kept.own_path(service), kept.secret_path(service))
        return kept.digest(b"\0".join(self._hands.files.read(path) or b"" for path in paths))

    def _profile_lacks(self) -> bytes | None:
        """The profile as it should be, when it is not."""
        raw = self._hands.files.read(places.PROFILE)
        if raw is None:
            return None
        whole = kept.with_services(self._hands, raw.decode(errors="replace")).encode()
        return whole if whole.strip() != raw.strip() else None
