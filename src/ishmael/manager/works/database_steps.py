"""The steps by which the other node's database is joined to this one's; add slave and re-add share them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ishmael.manager.ports.database import Pairing
from ishmael.manager.ports.hands import Hands
from ishmael.manager.works.base import Notes, Step
from ishmael.manager.works.database import pairing, wanted_by
from ishmael.manager.works.joining import Joining
from ishmael.manager.works.kept import find_of_peer, tell_kept
from ishmael.words import places
from ishmael.words.errors import HostFault, IshmaelError, PeerFault
from ishmael.words.profile import DatabaseWanted

COPY_SILENCE_S = 180.0
"""A copy that moves nothing for so long has stopped."""
_PREPARE_LIMIT_S = 150.0
_LOOK_MS, _CUT_LIMIT_S = 1000, 60.0


class DatabaseSteps:
    """Prepares both nodes' databases and joins the other one's.

    Args:
        hands: ports to act with.
        notes: those of ``Joining``, and ``database_key``.
        joining: knows both nodes.
    """

    def __init__(self, hands: Hands, notes: Notes, joining: Joining) -> None:
        self._hands, self._notes, self._joining = hands, notes, joining

    def there(self) -> bool:
        """This cluster has a replicated database."""
        return self._hands.database.managed() is not None

    def preparations(self) -> list[Step]:
        """What comes before."""
        return [
            Step("let the other node's database in", self._is_open, self._open),
            Step("make the other node's database ready", self._is_ready, self._ready),
        ]

    def _pairing(self) -> Pairing:
        wanted = wanted_by((self._hands.files.read(places.PROFILE) or b"schema = 1\nname = 'none'\n").decode())
        own = int(self._notes.get("own"))
        return pairing(self._hands, self._joining.settings, own, wanted or DatabaseWanted())

    def _is_open(self) -> bool:
        return self._notes.get("database_open") is True and self._hands.database.is_prepared(self._pairing())

    def _open(self) -> None:
        self._hands.database.prepare(self._pairing(), master=True)
        self._notes.put("database_open", True)

    def _ask(self, op: str, arguments: Mapping[str, Any], limit_s: float = 30.0) -> Mapping[str, Any]:
        return self._hands.node.ask(self._joining.peer, op, arguments, limit_s=limit_s)

    def _secret(self) -> dict[str, str]:
        return {"password": self._pairing().password}

    def _is_ready(self) -> bool:
        return bool(self._ask("database-status", self._secret())["prepared"])

    def _ready(self) -> None:
        self._ask("database-prepare", self._secret(), _PREPARE_LIMIT_S)

    def _key(self) -> str:
        key = self._notes.get("database_key")
        if key is None:
            key = self._hands.host.random(8).hex()
            self._notes.put("database_key", key)
        return str(key)

    def _seen(self, wait_ms: int = 0) -> Mapping[str, Any]:
        seen = self._ask("database-status", {**self._secret(), "wait_ms": wait_ms})["join"]
        return seen if isinstance(seen, dict) and seen.get("key") == self._key() else {"state": "none"}

    def is_done(self) -> bool:
        """The other node's database follows."""
        return bool(self._seen()["state"] == "done")

    def bring(self, tell: Callable[[int, int], None] | None = None, stopped: Callable[[], bool] | None = None) -> None:
        """Begin, or go on watching one that a job before began; it ends by itself or has stopped.

        Args:
            tell: gets bytes moved and bytes in all; the job's own count when left out.
            stopped: looks whether to give up watching; whether the job was cancelled, when left out. The copy goes on by itself
                until the node withdraws.

        Raises:
            IshmaelError: it failed, or moves nothing any more.
        """
        tell, given_up = tell or self._notes.count, stopped or self._notes.cancelled
        if self._seen()["state"] != "running" and not self._adopted():
            self._ask("database-join", {"key": self._key()})
        moved, since_s = -1, self._hands.clock.now_s()
        while not given_up():
            seen = self._look()
            if seen["state"] == "done":
                break
            if seen["state"] == "failed":
                raise self._failure(seen)
            tell(*_progress(seen))
            now_s, now_moved = self._hands.clock.now_s(), _progress(seen)[0]
            if now_moved != moved:
                moved, since_s = now_moved, now_s
            if now_s - since_s > COPY_SILENCE_S:
                raise self._stopped()
        else:
            return
        tell(*_progress(seen))
        for name in ("rung", "tried", "bytes_moved", "bytes_kept", "salvage", "took_ms"):
            self._notes.put(f"database_{name}", seen.get(name))
        if seen.get("salvage"):
            slave = self._joining.slave.name
            tell_kept(self._hands, find_of_peer(self._hands, self._joining.peer, str(seen["salvage"]), slave))

    def _adopted(self) -> bool:
        """One that a job before began goes on by itself, and this job watches it."""
        under_way = self._ask("database-status", self._secret())["join"]
        if not isinstance(under_way, dict) or under_way.get("state") != "running":
            return False
        self._notes.put("database_key", str(under_way.get("key")))
        return True

    def _look(self) -> Mapping[str, Any]:
        """How far it is; what cuts the way to the other node for a moment does not cut the copy, which is as patient."""
        until_s = self._hands.clock.now_s() + _CUT_LIMIT_S
        while True:
            try:
                return self._seen(_LOOK_MS)
            except PeerFault:
                if self._hands.clock.now_s() > until_s:
                    raise
                self._hands.clock.sleep(1.0)

    def _failure(self, seen: Mapping[str, Any]) -> IshmaelError:
        error = dict(
            seen.get("error") or {"code": "join-cut-off", "message": "The copying of the database was cut off."}
        )
        name = self._joining.slave.name
        # A new attempt has a new key: this one has had its chance.
        self._notes.put("database_key", None)
        return PeerFault(
            str(error["code"]),
            f"The database was not brought to {name}: {error['message']}",
            str(error.get("hint") or f"See on {name}: journalctl -u ishmael-database-join"),
        )

    def _stopped(self) -> IshmaelError:
        return HostFault(
            "database-copy-stopped",
            f"The copying of the database to {self._joining.slave.name} has moved nothing for {COPY_SILENCE_S:.0f} s.",
            "Look at the cable and at the disks, then try again.",
        )

    def result(self) -> dict[str, Any]:
        """Which rung carried, and what it moved."""
        if self._notes.get("database_rung") is None:
            return {"rung": "none", "bytes_moved": 0, "bytes_kept": 0, "salvage": None, "tried": [], "took_ms": 0}
        return {
            "rung": self._notes.get("database_rung"),
            "bytes_moved": int(self._notes.get("database_bytes_moved") or 0),
            "bytes_kept": int(self._notes.get("database_bytes_kept") or 0),
            "salvage": self._notes.get("database_salvage") or None,
            "tried": self._notes.get("database_tried") or [],
            "took_ms": int(self._notes.get("database_took_ms") or 0),
        }


def _progress(seen: Mapping[str, Any]) -> tuple[int, int]:
    """Bytes that are there, moved now or kept of a copy that was cut before, and bytes in all."""
    return int(seen.get("bytes_moved") or 0) + int(seen.get("bytes_kept") or 0), int(seen.get("bytes_total") or 0)
