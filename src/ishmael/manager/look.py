"""What can be seen without a job: the status and the events."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ishmael.manager.ports.events import Events
from ishmael.manager.ports.hands import Hands
from ishmael.manager.story import stories
from ishmael.manager.works import machine
from ishmael.manager.works.join_code import make_join_code
from ishmael.manager.works.joining import standing_as_master
from ishmael.manager.works.remembered import FIELDS, last_slave
from ishmael.words import places
from ishmael.words.errors import IshmaelError, RequestRefused, refusal
from ishmael.words.settings import Settings
from ishmael.words.status import Versions, status_object

EVENTS_SCHEMA = 1
_STORY_EVENTS = 5000
_LINKS_KEPT_S = 1.0


class Look:
    """Looks, touches nothing.

    Args:
        hands: ports to look with.
        events: the event list.
        files: says how far the slave's files are, as part of the status.
        versions: what each node has installed, as far as it is known.
        kept: what was kept aside of former masters, as far as it is known.
        telephony: calls and phones.
        drift: locked files of this node that were changed outside the product.
    """

    def __init__(
        self,
        hands: Hands,
        events: Events,
        files: Callable[[], dict[str, Any]] = dict,
        versions: Callable[[], Versions] = dict,
        kept: Callable[[], dict[str, Any]] = dict,
        telephony: Callable[[], dict[str, Any]] = dict,
        drift: Callable[[], list[str]] = list,
    ) -> None:
        self._hands, self._events, self._files, self._versions = hands, events, files, versions
        self._kept, self._telephony = kept, telephony
        self._drift = drift
        self._asking = threading.Lock()
        self._connected: dict[str, bool] | None = None
        self._ask_at = 0.0

    def status(self) -> dict[str, Any]:
        """The whole cluster as this node sees it; also when the keeper is down.

        Raises:
            RequestRefused: the settings on disk are not valid.
        """
        try:
            keeper = dict(self._hands.keeper.status())
        except IshmaelError:
            keeper = None
        prepared = machine.our_authorized_line(self._hands) is not None
        settings = machine.read_settings(self._hands)
        seen = status_object(
            keeper, settings, prepared=prepared, host_name=self._hands.host.name(), versions=self._versions()
        )
        seen["sync"] = {**seen["sync"], **self._files()}
        seen["salvage"] = {**seen["salvage"], **self._kept()}
        seen["links"] = self._links(settings)
        seen["telephony"] = {"calls": None, "phones": None, **(self._telephony() if seen["holds_cluster_ip"] else {})}
        seen["drift"] = self.drift()
        kept = last_slave(self._hands) if settings is not None and len(settings.nodes) == 1 else {}
        seen["last_slave"] = {name: kept[name] for name in FIELDS} if kept else None
        return seen

    def _links(self, settings: Settings | None) -> dict[str, bool | None]:
        """Which networks connect the nodes now; asked at most once a second, for a program has to be run."""
        own = settings.named(self._hands.host.name()) if settings and len(settings.nodes) > 1 else None
        if own is None:
            return {}
        with self._asking:
            now = time.monotonic()
            if now >= self._ask_at:
                self._connected, self._ask_at = self._hands.corosync.links(), now + _LINKS_KEPT_S
            seen = self._connected or {}
        return {"phone": seen.get(own.phone_ip), "internal": seen.get(own.internal_ip)}

    def nics(self) -> dict[str, Any]:
        """The network interfaces of this node."""
        found = [
            {"name": nic.name, "mac": nic.mac, "up": nic.up, "carrier": nic.carrier, "addresses": list(nic.addresses)}
            for nic in self._hands.network.nics()
        ]
        return {"schema": EVENTS_SCHEMA, "nics": found}

    def cluster_key(self) -> dict[str, Any]:
        """The cluster's SSH public key, to be pasted on the node that shall become slave; null without a cluster."""
        raw = self._hands.files.read(places.CLUSTER_KEY_PUBLIC)
        return {"schema": EVENTS_SCHEMA, "public_key": raw.decode().strip() if raw else None}

    def join_code(self) -> dict[str, Any]:
        """The join code of this master, made when there is none.

        Raises:
            RequestRefused: this node is no master that waits for a slave.
        """
        settings, own, findings = standing_as_master(self._hands)
        if settings is None or own is None or findings:
            raise refusal(findings)
        if settings.peer_of(own.id) is not None:
            hint = "To bring it back: `ishmael re-add`. For another machine: `ishmael remove-slave` first."
            raise RequestRefused("has-a-slave", "This cluster has a slave already.", hint)
        code = make_join_code(self._hands, settings, own)
        return {"schema": EVENTS_SCHEMA, "join_code": code.text()}

    def drift(self) -> list[str]:
        """Locked files of this node that were changed outside the product."""
        return self._drift()

    def files(self) -> dict[str, Any]:
        """What the file synchronisation says."""
        return self._files()

    def events(self, limit: int) -> dict[str, Any]:
        """The newest events, oldest of them first."""
        newest = sorted(self._events.newest(limit), key=lambda event: str(event.get("at")))
        return {"schema": EVENTS_SCHEMA, "events": newest}

    def stories(self, limit: int) -> dict[str, Any]:
        """The newest moves of the master's role, each with what led to it and what followed; oldest of them first."""
        return {"schema": EVENTS_SCHEMA, "stories": stories(self._events.newest(_STORY_EVENTS))[-limit:]}
