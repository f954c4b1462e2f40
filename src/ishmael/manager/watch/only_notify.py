"""Tells the keeper which failover checks only notify: F1, F2 and F4 are its own; F3 is the scheduler's."""

from __future__ import annotations

import logging
import threading
import time

from ishmael.manager.ports.keeper import RECENT_S, Keeper
from ishmael.manager.watch.cluster import ClusterChecks
from ishmael.words.errors import IshmaelError
from ishmael.words.monitoring import OF_THE_KEEPER

log = logging.getLogger(__name__)
_LOOK_S, _AGAIN_S, _EXPIRES_MS = 1.0, 60.0, 180_000


class OnlyNotify:
    """A background task: says it when it changed or the keeper does not know it, and again before it expires.

    Args:
        keeper: this node's.
        cluster: the monitoring file, and whether it is just brought to the other node.
    """

    name = "notify only"

    def __init__(self, keeper: Keeper, cluster: ClusterChecks) -> None:
        self._keeper, self._cluster = keeper, cluster
        self._said_s = -_AGAIN_S

    def run(self, stop: threading.Event) -> None:
        """Look until told to stop."""
        while not stop.wait(_LOOK_S):
            self.look(time.monotonic())

    def look(self, now_s: float) -> None:
        """Look once.

        Args:
            now_s: CLOCK_MONOTONIC in seconds.
        """
        # What is switched back moves the role perhaps at once: the other node has to know of it before.
        with self._cluster.bringing:
            wanted = sorted(OF_THE_KEEPER.intersection(self._cluster.known.monitoring().notify_only))
        try:
            known = self._keeper.status(RECENT_S).get("only_notified", [])
            if wanted != known or (wanted and now_s - self._said_s >= _AGAIN_S):
                self._keeper.only_notify(wanted, _EXPIRES_MS)
                self._said_s = now_s
        except IshmaelError as error:
            log.debug("the keeper was not told what only notifies: %s", error)
