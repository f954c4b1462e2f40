"""What this node has to do with files right now: send them, take them, or neither; from the keeper, settings and profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ishmael.manager.ports.hands import Hands
from ishmael.manager.ports.keeper import RECENT_S
from ishmael.words import places
from ishmael.words.errors import IshmaelError
from ishmael.words.profile import Profile, profile_from_toml
from ishmael.words.roles import Role
from ishmael.words.settings import NodeSettings, Settings, settings_from_toml

_SERVES = (Role.MASTER, Role.HANDING)
_TAKES = (Role.SLAVE, Role.STANDBY, Role.WAITING, Role.OUT)


@dataclass(frozen=True, slots=True)
class Situation:
    """How it is.

    Args:
        role: this node's, as the keeper says it; None when it does not answer, or has only just begun and still holds the cluster IP.
        own, peer: both nodes; None outside a cluster of two.
        settings: of the cluster.
        profile: of the workload.
        peer_role: what the other node is; None while it is not heard.
        peer_incarnation: another one after each start of its keeper; None while it is not heard.
    """

    role: str | None = None
    own: NodeSettings | None = None
    peer: NodeSettings | None = None
    settings: Settings | None = None
    profile: Profile | None = None
    peer_role: str | None = None
    peer_incarnation: int | None = None

    @property
    def whole(self) -> bool:
        """A cluster of two with a profile."""
        return None not in (self.own, self.peer, self.settings, self.profile)

    @property
    def serves(self) -> bool:
        """This node is master."""
        return self.role in _SERVES

    @property
    def takes(self) -> bool:
        """This node is not master and knows of one that may be."""
        return self.role in _TAKES and self.whole

    @property
    def sends(self) -> bool:
        """This node's files go to a slave."""
        return self.serves and self.whole and self.peer_role == Role.SLAVE


class Looking:
    """Looks at the situation; what lies on disk is read again only when it has changed.

    Args:
        hands: ports to look with.
    """

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._raw: tuple[bytes | None, bytes | None] = (None, None)
        self._parsed: tuple[Settings | None, Profile | None] = (None, None)

    def situation(self) -> Situation:
        """As it is now."""
        try:
            seen: Mapping[str, Any] = self._hands.keeper.status(RECENT_S)
        except IshmaelError:
            seen = {}
        settings, profile = self._files()
        own = settings.named(self._hands.host.name()) if settings is not None else None
        peer = settings.peer_of(own.id) if settings is not None and own is not None else None
        other, role = seen.get("peer") or {}, seen.get("role")
        if role == Role.WAITING and seen.get("holds_cluster_ip"):
            # A master whose keeper was restarted: it goes on in a moment, or lets go.
            role = None
        return Situation(role, own, peer, settings, profile, other.get("role"), other.get("incarnation"))

    def _files(self) -> tuple[Settings | None, Profile | None]:
        raw = (self._hands.files.read(places.SETTINGS), self._hands.files.read(places.PROFILE))
        if raw != self._raw:
            settings, profile = raw
            try:
                self._parsed = (
                    settings_from_toml(settings.decode()) if settings else None,
                    profile_from_toml(profile.decode()) if profile else None,
                )
            except (IshmaelError, UnicodeError):
                self._parsed = (None, None)
            self._raw = raw
        return self._parsed
