"""What the web interface needs is the same on both nodes: the master brings users, session key and certificate over.

So a login, and the trust of a browser in the certificate, live on after a failover.
"""

from __future__ import annotations

import hashlib
import threading

from ishmael.manager.accounts import AccountsBook
from ishmael.manager.certificate import CertificateBook, make_pair
from ishmael.manager.ports.hands import Hands
from ishmael.manager.ports.keeper import RECENT_S
from ishmael.manager.ports.node import Peer
from ishmael.manager.works import machine
from ishmael.manager.works.ssh_keys import pinned
from ishmael.words import places
from ishmael.words.accounts import ended_from
from ishmael.words.errors import IshmaelError
from ishmael.words.roles import Role
from ishmael.words.settings import Settings

_LOOK_S = 2.0
_AGAIN_S = 300.0


class WebFollow:
    """A background task.

    Args:
        hands: ports to look and act with.
        accounts: the users of this node.
        certificates: its certificate.
    """

    name = "web"

    def __init__(self, hands: Hands, accounts: AccountsBook, certificates: CertificateBook) -> None:
        self._hands, self._accounts, self._certificates = hands, accounts, certificates
        self._brought = ("", 0.0)
        self._ours: bool | None = None

    def run(self, stop: threading.Event) -> None:
        """Look now and then until told to stop."""
        while True:
            try:
                settings = machine.read_settings(self._hands)
                self.certify(settings)
                self.look(settings)
            except IshmaelError:
                # Not there, or not yet: the next look tries again.
                pass
            if stop.wait(_LOOK_S):
                return

    def certify(self, settings: Settings | None) -> bool:
        """Have a certificate that names this node, or as master the whole cluster; whether a new one was made."""
        name = self._hands.host.name()
        names = [name]
        if settings is not None:
            if self._certificates.read() is not None and machine.keeper_role(self._hands) != Role.MASTER:
                return False
            names = [node.name for node in settings.nodes]
            addresses = [settings.cluster_ip, *(a for n in settings.nodes for a in (n.phone_ip, n.internal_ip))]
        elif self._certificates.read() is not None:
            return False
        else:
            addresses = ["127.0.0.1", *self._own_addresses()]
        shown = self._certificates.names()
        if all(f"IP Address:{address}" in shown for address in addresses) or not self._certificates.is_own():
            return False
        self._certificates.take_over(make_pair(names, addresses))
        return True

    def _own_addresses(self) -> list[str]:
        return [address.split("/")[0] for nic in self._hands.network.nics() for address in nic.addresses]

    def look(self, settings: Settings | None) -> bool:
        """As master, bring everything over if it is not known to be there; whether it did.

        Raises:
            IshmaelError: the other node is not there, or refuses.
        """
        peer = self._peer(settings)
        accounts, pair = self._accounts.read(), self._certificates.read()
        if peer is None:
            # Removed and added again, it is another one: a reset has made new keys there.
            self._brought = ("", 0.0)
        if peer is None or pair is None:
            return False
        load = {"certificate": pair.certificate, "key": pair.key, "accounts": accounts.to_json() if accounts else ""}
        mark = hashlib.sha256("\0".join((peer.host_key, *load.values())).encode()).hexdigest()
        now_s = self._hands.clock.now_s()
        if self._brought[0] == mark and now_s - self._brought[1] < _AGAIN_S:
            return False
        answer = self._hands.node.ask(peer, "web", load)
        # Who signed out on the slave is signed out here, too.
        self._accounts.also_ended(ended_from(answer.get("ended") or ()))
        self._brought = (mark, now_s)
        return True

    def _peer(self, settings: Settings | None) -> Peer | None:
        own = settings.named(self._hands.host.name()) if settings else None
        if settings is None or own is None:
            return None
        seen = self._hands.keeper.status(RECENT_S)
        node = settings.peer_of(own.id)
        other = seen.get("peer") or {}
        if node is None or seen.get("role") != Role.MASTER or not other.get("online"):
            return None
        raw = self._hands.files.read(places.KNOWN_HOSTS) or b""
        key = pinned(raw.decode(errors="replace")).get(node.id)
        return Peer((node.internal_ip, node.phone_ip), key) if key else None
