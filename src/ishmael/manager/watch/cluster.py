"""All checks of both nodes, and the lamp. The other node is asked through its door now and then; its events tell between."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ishmael.checks.base import Seen
from ishmael.checks.catalogue import CHECKS
from ishmael.manager.data.book import SalvageBook
from ishmael.manager.data.situation import Looking
from ishmael.manager.look import Look
from ishmael.manager.ports.events import Events
from ishmael.manager.ports.hands import Hands
from ishmael.manager.ports.keeper import RECENT_S
from ishmael.manager.ports.node import Peer
from ishmael.manager.watch.lamp import seen_at_once
from ishmael.manager.watch.metrics import exposition
from ishmael.manager.watch.scheduler import CHECKS_SCHEMA, Scheduler, now_text
from ishmael.manager.works.ssh_keys import pinned
from ishmael.words import places
from ishmael.words.errors import IshmaelError, RequestRefused
from ishmael.words.monitoring import Monitoring, monitoring_from_toml
from ishmael.words.roles import Role

log = logging.getLogger(__name__)
_ASK_EVERY_S = 60.0
_ASK_AT_ONCE_S = 5.0
_STALE_S = 200.0
_EVENTS = 300
_ORDER = {"critical": 0, "unknown": 2, "warning": 1, "ok": 3}
_NEWS = ("check-changed", "check-acknowledged", "maintenance-begun", "maintenance-ended")
_ASK_S, _RUN_S = 8.0, 40.0
_UNHEARD = ("", "")
_TITLES = {check.id: check for check in CHECKS}


class Known:
    """What probes may know, looked up cheaply.

    Args:
        hands: ports to look with.
        events: the event list.
        look: says how far the files are.
        salvage: is told what the other node has kept aside.
    """

    def __init__(self, hands: Hands, events: Events, look: Look, salvage: SalvageBook | None = None) -> None:
        self._hands, self._events, self._look = hands, events, look
        self.salvage = salvage
        self._looking = Looking(hands)
        self._monitoring: tuple[bytes | None, Monitoring] = (None, Monitoring())
        self.peer_version = ""
        self.monitoring_fault = ""

    def seen(self) -> Seen:
        """As it is now."""
        now = self._looking.situation()
        try:
            keeper: Mapping[str, Any] = self._hands.keeper.status(RECENT_S)
        except IshmaelError:
            keeper = {}
        files = self._look.files() if now.serves else {}
        return Seen(
            keeper, now.settings, now.profile, now.own, now.peer, self.monitoring(), files,
            self._events.newest(_EVENTS), self._look.drift(), self._hands.host.version(), self.peer_version,
        )  # fmt: skip

    def status(self) -> dict[str, Any]:
        """The whole cluster as this node sees it."""
        return self._look.status()

    def monitoring(self) -> Monitoring:
        """The monitoring file; the defaults while there is none, or it is not valid."""
        raw = self._hands.files.read(places.MONITORING)
        if raw != self._monitoring[0]:
            try:
                self._monitoring = (raw, monitoring_from_toml(raw.decode()) if raw else Monitoring())
                self.monitoring_fault = ""
            except (IshmaelError, UnicodeError) as error:
                self._monitoring = (raw, Monitoring())
                self.monitoring_fault = f"{error} Until that is mended nobody is told of anything."
                log.warning("%s", self.monitoring_fault)
        return self._monitoring[1]

    def role_of_peer(self) -> str:
        """What the other node says that it is; empty when it is not heard."""
        try:
            keeper = self._hands.keeper.status(RECENT_S)
        except IshmaelError:
            return ""
        return str((keeper.get("peer") or {}).get("role", "")) if keeper.get("heard") else ""

    def peer(self) -> Peer | None:
        """The other node's door."""
        other = self._looking.situation().peer
        if other is None:
            return None
        key = pinned((self._hands.files.read(places.KNOWN_HOSTS) or b"").decode(errors="replace")).get(other.id)
        return None if key is None else Peer((other.internal_ip, other.phone_ip), key)


class ClusterChecks:
    """A background task that keeps what the other node's checks say, and answers about both.

    Args:
        hands: ports to ask the other node with.
        scheduler: this node's checks.
        known: what is known.
        events: the event list.
    """

    name = "checks of the other node"

    def __init__(self, hands: Hands, scheduler: Scheduler, known: Known, events: Events) -> None:
        self._hands, self._events = hands, events
        self.scheduler, self.known = scheduler, known
        self._peer: list[dict[str, Any]] = []
        self._peer_at = ""
        self._before: frozenset[str] = frozenset()
        """Ids of the changes that were told before it was asked; its clock may have been wrong, so not by their times."""
        self._sent: tuple[bytes | None, str] | None = None
        self.unreached = ""
        self.bringing = threading.Lock()
        """Held while something is changed here and brought to the other node."""

    def run(self, stop: threading.Event) -> None:
        """Ask every minute; soon when the other node told of a change, has another role or lacks what is brought."""
        asked_s, marked, pause_s = -_ASK_EVERY_S, _UNHEARD, _ASK_AT_ONCE_S
        while not stop.wait(1.0):
            mark = (self._newest_of_peer(), self.known.role_of_peer())
            news = mark != marked or self._sent != self._brought()
            waited_s = time.monotonic() - asked_s
            if waited_s < pause_s or (waited_s < _ASK_EVERY_S and not news):
                continue
            with self.bringing:
                asked_s = time.monotonic()
                self.bring()
            # One that is heard and did not answer, or a slave that has only begun to look, is asked again soon, then less often.
            lacks = mark[1] and (self.unreached or (mark[1] == Role.SLAVE and not self._peer))
            marked = _UNHEARD if lacks else mark
            pause_s = min(2 * pause_s, _ASK_EVERY_S) if lacks else _ASK_AT_ONCE_S

    def _newest_of_peer(self) -> str:
        own = self._hands.host.name()
        ids = [
            str(e.get("id"))
            for e in self._events.newest(50)
            if (e.get("kind") in _NEWS and e.get("node") != own) or e.get("kind") == "salvage-kept"
        ]
        return ids[-1] if ids else ""

    def _brought(self) -> tuple[bytes | None, str]:
        return self._hands.files.read(places.MONITORING), self.scheduler.windows.text()

    def bring_to_heard(self) -> None:
        """At once to a node that is heard; another one is not waited for, and gets it as soon as it is."""
        if self.known.role_of_peer():
            self.bring()

    def bring(self) -> None:
        """As master: bring the monitoring file and the maintenance window to the slave, and hear what its checks say.

        Tried again when it fails.
        """
        peer = self.known.peer() if self.scheduler.side == "master" else None
        if peer is None:
            self._peer, self._peer_at, self._before, self.unreached = [], "", frozenset(), ""
            self._sent = self._brought()
            self._heard_salvage([])
            return
        brought = self._brought()
        before = frozenset(str(event.get("id")) for event in self._changes())
        load = {"monitoring": (brought[0] or b"").decode(errors="replace"), "maintenance": brought[1]}
        try:
            answer = self._hands.node.ask(peer, "checks", load, limit_s=_ASK_S)
            self._peer, self._peer_at, self.unreached = list(answer["checks"]), now_text(), ""
            self._before = before
            self._sent = brought
            self.scheduler.windows.take_over(answer.get("maintenance"))
            self.known.peer_version = str(answer.get("version", ""))
            self._heard_salvage([dict(find) for find in answer.get("salvage", ())])
        except (IshmaelError, KeyError, TypeError, ValueError) as error:
            self.unreached = str(error)

    def _heard_salvage(self, finds: list[dict[str, Any]]) -> None:
        if self.known.salvage is not None:
            self.known.salvage.heard(finds)

    def run_now(self, word: str, node: str = "") -> dict[str, Any]:
        """Look now, on this node or by name on the other one, and wait for the result."""
        if self._is_here(node):
            return self.scheduler.run_now(word, self._hands.host.name())
        return self._asked(word, node, {"what": "run"}, _RUN_S)

    def acknowledge(self, word: str, who: str, why: str, node: str = "") -> dict[str, Any]:
        """The admin knows of a problem of this node, or by name of the other one."""
        if self._is_here(node):
            return self.scheduler.acknowledge(word, who, why, self._hands.host.name())
        return self._asked(word, node, {"what": "acknowledge", "user": who, "why": why}, _ASK_S)

    def history(self, word: str, node: str = "") -> list[dict[str, Any]]:
        """The last changes on this node, or by name on the other one, oldest first."""
        if self._is_here(node):
            return self.scheduler.history(word)
        return list(self._ask_other(word, node, {"what": "history"}, _ASK_S)["history"])

    def _is_here(self, node: str) -> bool:
        return node in ("", self._hands.host.name())

    def _asked(self, word: str, node: str, ask: dict[str, Any], limit_s: float) -> dict[str, Any]:
        """Ask for something that changes how a check stands, and remember how it stands then."""
        row = dict(self._ask_other(word, node, ask, limit_s)["row"])
        self._peer = [row if known["id"] == row["id"] else known for known in self._peer]
        return row

    def _ask_other(self, word: str, node: str, ask: dict[str, Any], limit_s: float) -> Mapping[str, Any]:
        """Ask the other node through its door.

        Raises:
            RequestRefused: there is no such check or node, or that node refuses.
            PeerFault: it cannot be reached.
        """
        check, peer = self.scheduler.named(word, anywhere=True), self.known.peer()
        other = self.known.seen().peer
        if peer is None or other is None or other.name != node:
            known = ", ".join([self._hands.host.name(), *([other.name] if other is not None else [])])
            raise RequestRefused("no-such-node", f"This cluster has no other node {node[:64]!r}.", f"Known: {known}.")
        return self._hands.node.ask(peer, "check", {"check": check.id, **ask}, limit_s=limit_s)

    def all(self) -> dict[str, Any]:
        """``ishmael checks --json``."""
        rows = self.scheduler.rows(self._hands.host.name()) + self._peers_rows()
        rows.sort(key=lambda row: (list(_TITLES).index(row["id"]) if row["id"] in _TITLES else 99, row["node"]))
        return {"schema": CHECKS_SCHEMA, "checks": rows, "unreached": self.unreached,
                "maintenance": self.scheduler.maintenance()}  # fmt: skip

    def _peers_rows(self) -> list[dict[str, Any]]:
        """Its results, with the changes it has told of since."""
        rows = [dict(row) for row in self._peer]
        if not rows:
            return rows
        age_s = (datetime.now(UTC) - datetime.fromisoformat(self._peer_at)).total_seconds()
        told = [event for event in self._changes() if str(event.get("id")) not in self._before]
        for row in rows:
            for event in told:
                facts = event.get("facts") or {}
                looked = str(row.get("looked") or "") <= str(event.get("at"))
                if looked and event.get("node") == row["node"] and facts.get("check") == row["id"]:
                    row |= {"state": facts.get("state"), "output": facts.get("output"), "since": event.get("at")}
            if age_s > _STALE_S:
                row |= {
                    "state": "unknown",
                    "hard": True,
                    "output": f"not heard of for {age_s:.0f} s; was {row['state']}",
                }
        return rows

    def _changes(self) -> list[Mapping[str, Any]]:
        return [event for event in self._events.newest(_EVENTS) if event.get("kind") == "check-changed"]

    def lamp(self) -> dict[str, Any]:
        """The worst state, and why, in order of importance, with what to do."""
        rows = [row for row in self.all()["checks"] if row["state"] != "ok" and row["hard"]]
        told = {row["id"] for row in rows}
        rows += [row for row in seen_at_once(self.known.status()) if row["id"] not in told]
        rows.sort(key=lambda row: (_ORDER.get(row["state"], 2), bool(row["acknowledged"])))
        reasons = [
            {key: row[key] for key in ("id", "name", "title", "title_de", "node", "state", "since", "output", "hint", "hint_de",
                                       "acknowledged")}
            for row in rows
        ]  # fmt: skip
        counts = [row for row in rows if not row["acknowledged"]]
        worst = min((str(row["state"]) for row in counts), key=lambda state: _ORDER.get(state, 2), default="ok")
        colour = {"ok": "green", "critical": "red"}.get(worst, "yellow")
        return {"schema": CHECKS_SCHEMA, "state": worst, "colour": colour, "reasons": reasons,
                "maintenance": self.scheduler.maintenance()}  # fmt: skip

    def metrics(self) -> str:
        """For Prometheus."""
        return exposition(self.known.status(), self.all()["checks"], self.lamp()["state"])
