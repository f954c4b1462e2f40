"""Watches the versions of both nodes: shows them, and objects to the fitness of a slave that has others."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from ishmael.manager.ports.hands import Hands
from ishmael.manager.ports.keeper import RECENT_S
from ishmael.manager.ports.node import Peer
from ishmael.manager.works import machine
from ishmael.manager.works.ssh_keys import pinned
from ishmael.manager.works.versions import OBJECTION, here_and_there, wanted
from ishmael.words import places
from ishmael.words.errors import IshmaelError
from ishmael.words.roles import Role
from ishmael.words.versions import difference_text, differing

LOOK_S = 3.0
ASK_S = 600.0
"""The other node is asked anew after this, even when nothing happened here."""
AGAIN_S = 20.0
OBJECTING_S = 4.0
"""As long as versions differ the other node is asked this often: it may be brought to ours at any moment."""
OBJECTION_MS = 60_000
_TOGETHER = ({Role.MASTER, Role.SLAVE}, {Role.MASTER, Role.STANDBY})


class VersionWatch:
    """The task. Asking costs the other node a login, so it is asked only when something may have changed.

    Args:
        hands: ports to look with.
    """

    name = "versions"

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._told: dict[str, dict[str, str | None]] = {}
        self._key: object = None
        self._next_s = 0.0
        self._objection = ""
        self._said_s = 0.0

    def versions(self) -> Mapping[str, Mapping[str, str | None]]:
        """What was last seen: node name -> package -> version."""
        return dict(self._told)

    def run(self, stop: threading.Event) -> None:
        """Look every few seconds."""
        while not stop.is_set():
            self.look(time.monotonic())
            stop.wait(LOOK_S)

    def look(self, now_s: float) -> None:
        """Look once.

        Args:
            now_s: CLOCK_MONOTONIC in seconds.
        """
        try:
            seen = self._hands.keeper.status(RECENT_S)
            settings = machine.read_settings(self._hands)
        except IshmaelError:
            return
        name = self._hands.host.name()
        own = settings.named(name) if settings is not None else None
        other = settings.peer_of(own.id) if settings is not None and own is not None else None
        peer = seen.get("peer") or {}
        key = (self._hands.packages.stamp(), seen.get("role"), peer.get("role"), peer.get("online"), settings)
        if key != self._key:
            self._key, self._next_s = key, now_s
        if now_s >= self._next_s:
            names = wanted(self._hands)
            if other is None or {seen.get("role"), peer.get("role")} not in _TOGETHER:
                kept = {} if other is None else {n: v for n, v in self._told.items() if n == other.name}
                self._told = {**kept, name: self._hands.packages.versions(names)}
                self._next_s, self._objection = now_s + ASK_S, ""
            else:
                self._compare(name, other.name, Peer((other.internal_ip, other.phone_ip), self._pin(other.id)), now_s)
        self._say(now_s)

    def _pin(self, node: int) -> str:
        return pinned((self._hands.files.read(places.KNOWN_HOSTS) or b"").decode(errors="replace")).get(node, "")

    def _compare(self, name: str, other: str, peer: Peer, now_s: float) -> None:
        names = wanted(self._hands)
        try:
            here, there = here_and_there(self._hands, peer, names)
        except IshmaelError:
            # Not to be told is no difference: a door that is shut must not stop a failover.
            self._next_s = now_s + AGAIN_S
            return
        self._told = {name: here, other: there}
        # As master and slave see it alike: the master's versions count.
        mine = self._hands.keeper.status(RECENT_S).get("role") == Role.MASTER
        master, slave, who = (here, there, other) if mine else (there, here, name)
        different = differing(names, master, slave)
        text = difference_text(different, master, slave)
        self._next_s = now_s + (OBJECTING_S if different else ASK_S)
        self._objection = f"{who} has other versions than the master: {text}" if different else ""

    def _say(self, now_s: float) -> None:
        if self._objection:
            if now_s >= self._said_s + OBJECTION_MS / 3000:
                self._object(self._objection, OBJECTION_MS)
                self._said_s = now_s
        elif self._said_s:
            self._object("", 0)
            self._said_s = 0.0

    def _object(self, reason: str, expires_ms: int) -> None:
        try:
            self._hands.keeper.object_to_fitness(OBJECTION, reason, expires_ms)
        except IshmaelError:
            self._next_s = 0.0
