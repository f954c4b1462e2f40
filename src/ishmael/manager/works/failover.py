"""Failover by the admin: the master hands over to the slave, in order; or this node serves, for nobody else does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ishmael.manager.ports.hands import Hands
from ishmael.manager.works import machine
from ishmael.manager.works.base import Arguments, Notes, Step, wait_until
from ishmael.manager.works.machine import peer_of
from ishmael.words.errors import Finding, IshmaelError, PeerFault
from ishmael.words.roles import Role

_SERVES_LIMIT_S = 20.0
SETTLE_MS = 300
"""How long the last files may take to the slave; the master serves meanwhile, so this is no part of the gap."""
_ASK_S = 5.0
_ANSWER_S = 0.3
"""Whoever asked at the cluster IP gets the answer before the address moves; afterwards it could reach nobody."""


class Failover:
    """The work.

    Args:
        hands: ports to look and act with.
        raw: no arguments.
        notes: what the job remembers.
    """

    name = "failover"

    def __init__(self, hands: Hands, raw: Mapping[str, Any], notes: Notes) -> None:
        Arguments(raw).close()
        self._hands, self._notes = hands, notes

    def check(self) -> list[Finding]:
        """All findings; nothing is touched."""
        settings = machine.read_settings(self._hands)
        if settings is None:
            return [
                Finding("", "not-set-up", "This node is not part of a cluster.", "Run `ishmael setup-master` first.")
            ]
        try:
            seen = self._hands.keeper.status()
        except IshmaelError as error:
            return [Finding("", error.code, error.message, error.hint, whose=error.whose)]
        self._notes.put("nobody", bool(seen.get("nobody_serves")))
        if self._notes.get("nobody"):
            return self._look_at_nobody()
        if seen.get("role") not in (Role.MASTER, Role.SLAVE):
            hint = "Do this on the master or on the slave: see `ishmael status`."
            return [Finding("", "not-master", f"This node is {seen.get('role')} now.", hint)]
        if not seen.get("failover_possible"):
            reasons = seen.get("failover_blocked_by") or ["the slave is not fit"]
            hint = "See `ishmael status`; bring a node in standby back with `ishmael re-add`."
            return [
                Finding("", "failover-blocked", f"A failover is not possible: {reason}.", hint) for reason in reasons
            ]
        own = settings.named(self._hands.host.name())
        master = seen.get("master")
        to = settings.peer_of(int(master)) if isinstance(master, int) else None
        self._notes.put("from", master)
        self._notes.put("to", to.name if to else "the other node")
        self._notes.put("to_here", bool(own and to and own.id == to.id))
        return []

    def _look_at_nobody(self) -> list[Finding]:
        """Nobody serves: this node can, with the data it has."""
        name = self._hands.host.name()
        self._notes.put("to", name)
        message = f"Nobody serves. {name} would, with the data it has; that of the other node may be newer."
        hint = "Better bring the last master back, if that does not take long. What only it has is kept aside when it is re-added."
        return [Finding("", "old-data", message, hint, overridable=True)]

    def facts(self) -> Mapping[str, Any]:
        """What will happen."""
        if self._notes.get("to") is None:
            return {}
        if self._notes.get("nobody"):
            return {"to": self._notes.get("to"), "then": "the other node waits in standby until it is re-added"}
        facts = {"to": self._notes.get("to"), "then": "the master of now waits in standby until it is re-added"}
        calls = None if self._notes.get("to_here") else self._hands.surroundings.calls()
        if self._notes.get("to_here"):
            return {**facts, "calls": "all calls are cut; see their number on the master"}
        return {**facts, "calls": "how many are up is not known" if calls is None else f"{calls} up; they are cut"}

    def steps(self) -> Sequence[Step]:
        """The steps in their order; the keeper undoes a hand-over that does not succeed by itself."""
        if self._notes.get("nobody"):
            return [Step("serve with the data at hand", self._serves_here, self._hands.keeper.serve)]
        return [
            Step("let the last files reach the slave", self._settled, self._settle),
            Step("hand over", self._handed, lambda: self._hands.keeper.switch(self._why())),
            Step("wait until the other node serves", self._serves, self._await),
        ]

    def _settled(self) -> bool:
        return self._notes.get("files_left") is not None or self._handed()

    def _settle(self) -> None:
        """Files that are on their way get there first, so that nothing of them has to be kept aside afterwards."""
        self._hands.clock.sleep(_ANSWER_S)
        try:
            seen = self._ask_master() if self._notes.get("to_here") else self._hands.following.settle(SETTLE_MS)
            left = 0 if seen["settled"] is not False else max(1, int(seen["files"]["waiting"]))
            self._notes.put("files_waited_ms", int(seen["took_ms"]))
            self._notes.put("files_left", left)
        except (IshmaelError, KeyError, TypeError, ValueError):
            # Not known is no reason to keep an admin from moving the role away from this very node.
            self._notes.put("files_left", -1)

    def _ask_master(self) -> Mapping[str, Any]:
        peer = peer_of(self._hands)
        if peer is None:
            return {}
        return self._hands.node.ask(peer, "files-settle", {"limit_ms": SETTLE_MS}, limit_s=_ASK_S)

    def _why(self) -> str:
        left = int(self._notes.get("files_left") or 0)
        if left > 0:
            return f"The admin asked for a hand-over; after {SETTLE_MS} ms {left} files had not reached the slave."
        if left < 0:
            return "The admin asked for a hand-over; it was not known whether the slave had every file."
        return ""

    def _handed(self) -> bool:
        seen = self._hands.keeper.status()
        return bool(seen.get("master") != self._notes.get("from"))

    def _serves_here(self) -> bool:
        return self._hands.keeper.status().get("role") == Role.MASTER

    def _serves(self) -> bool:
        seen = self._hands.keeper.status()
        if self._notes.get("to_here"):
            return seen.get("role") == Role.MASTER and bool(seen.get("holds_cluster_ip"))
        return self._handed() and (seen.get("peer") or {}).get("role") == Role.MASTER

    def _await(self) -> None:
        wait_until(
            self._hands.clock, self._serves, _SERVES_LIMIT_S,
            lambda: PeerFault(
                "not-taken-over", f"{self._notes.get('to')} did not report within {_SERVES_LIMIT_S:.0f} s that it serves.",
                "See `ishmael status` and `ishmael events` on both nodes.",
            ),
        )  # fmt: skip

    def result(self) -> Mapping[str, Any]:
        """Who serves now, and how many files did not get to it before (-1 when that is not known)."""
        return {
            "master": self._notes.get("to"), "files_left": self._notes.get("files_left"),
            "files_waited_ms": self._notes.get("files_waited_ms"),
        }  # fmt: skip
