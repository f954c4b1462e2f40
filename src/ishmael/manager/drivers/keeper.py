"""The keeper's control socket: one JSON object a line, one answer line each."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Collection, Mapping
from typing import Any

from ishmael.words import errors, places
from ishmael.words.errors import HostFault, IshmaelError

_STATUS_LIMIT_S = 3.0
_ACT_LIMIT_S = 30.0
_BUSY_LIMIT_S = 5.0
_BUSY_PAUSE_S = 0.1
_TWICE_IS_ONCE = ("reload", "admit", "dismiss")
_CLASSES: dict[str, type[IshmaelError]] = {
    "request": errors.RequestRefused,
    "peer": errors.PeerFault,
    "host": errors.HostFault,
}


class SocketKeeper:
    """Asks the keeper of this machine.

    Args:
        path: its control socket.
    """

    def __init__(self, path: str = places.KEEPER_SOCKET) -> None:
        self._path = path
        self._known: tuple[Mapping[str, Any] | None, float] = (None, 0.0)

    def status(self, max_age_s: float = 0.0) -> Mapping[str, Any]:
        """What the keeper knows; an answer that is no older than ``max_age_s`` is given again."""
        known, at_s = self._known
        if known is not None and time.monotonic() - at_s <= max_age_s:
            return known
        begun_s = time.monotonic()
        status: Mapping[str, Any] = self._ask({"ask": "status"}, _STATUS_LIMIT_S)["status"]
        self._known = (status, begun_s)
        return status

    def reload(self) -> None:
        """Read the settings and the profile again."""
        self._act("reload")

    def form(self) -> None:
        """Become the first master."""
        self._act("form")

    def admit(self, node: int) -> None:
        """Let the node in standby be slave again."""
        self._act("admit", node=node)

    def dismiss(self, node: int) -> None:
        """The slave is being removed."""
        self._act("dismiss", node=node)

    def switch(self, why: str = "") -> None:
        """Hand over to the slave."""
        self._act("switch", why=why)

    def serve(self) -> None:
        """Serve, for nobody else does."""
        self._act("serve")

    def object_to_fitness(self, source: str, reason: str, expires_ms: int) -> None:
        """Say why the slave must not take over, for so long; an empty reason takes this source's objection back."""
        ask = {"ask": "fitness-objection", "source": source, "reason": reason, "expires_ms": expires_ms}
        self._ask(ask, _STATUS_LIMIT_S)

    def only_notify(self, checks: Collection[str], expires_ms: int) -> None:
        """Say which of F1, F2 and F4 move nothing, for so long."""
        self._ask({"ask": "only-notify", "checks": sorted(checks), "expires_ms": expires_ms}, _STATUS_LIMIT_S)

    def tell(self, kind: str, why: str, facts: Mapping[str, Any]) -> None:
        """Put an event into the one list of both nodes."""
        self._ask({"ask": "event", "kind": kind, "why": why, "facts": dict(facts)}, _STATUS_LIMIT_S)

    def forget(self) -> None:
        """Drop everything and delete the record."""
        self._act("forget")

    def _act(self, ask: str, **arguments: Any) -> None:
        """Ask for something to be done; a keeper that is writing its record is asked again for a while."""
        self._known = (None, 0.0)
        deadline_s = time.monotonic() + _BUSY_LIMIT_S
        while True:
            try:
                self._ask({"ask": ask, **arguments}, _ACT_LIMIT_S)
            except IshmaelError as error:
                # One that is being restarted can be asked these again: done twice is done once.
                again = error.code == "busy" or (error.code == "keeper-down" and ask in _TWICE_IS_ONCE)
                if not again or time.monotonic() > deadline_s:
                    raise
                time.sleep(_BUSY_PAUSE_S)
            else:
                return

    def _ask(self, line: Mapping[str, Any], limit_s: float) -> dict[str, Any]:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
                door.settimeout(limit_s)
                door.connect(self._path)
                door.sendall(json.dumps(line).encode() + b"\n")
                with door.makefile("rb") as lines:
                    answer = json.loads(lines.readline())
        except TimeoutError as error:
            message = f"The keeper did not answer {line['ask']} within {limit_s:.0f} s."
            raise HostFault("keeper-slow", message, "See: journalctl -u ishmael-keeper") from error
        except (OSError, ValueError) as error:
            raise HostFault(
                "keeper-down", "The keeper of this node does not answer.", "Start it: systemctl start ishmael-keeper"
            ) from error
        if not isinstance(answer, dict):
            raise HostFault("keeper-nonsense", "The keeper answered nonsense.", "See: journalctl -u ishmael-keeper")
        if not answer.get("ok"):
            said = answer.get("error") or {}
            kind = _CLASSES.get(str(said.get("whose")), errors.Bug)
            raise kind(
                str(said.get("code", "unknown")),
                str(said.get("message", "The keeper refused.")),
                str(said.get("hint", "")),
            )
        return answer
