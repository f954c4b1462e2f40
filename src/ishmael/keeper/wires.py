"""The keeper's senses on the two networks: which frames mean what, and how to ask."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass

from ishmael.core import events as ev
from ishmael.keeper.arp import ArpFrame, ArpPort, PeerEar
from ishmael.words.roles import Network
from ishmael.words.settings import NodeSettings, Settings


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Who is who on the wires, taken from the settings."""

    me: NodeSettings
    peer: NodeSettings | None
    cluster_ip: str
    references: frozenset[str]


class Wires:
    """ARP on both networks.

    Args:
        settings: of the cluster.
        me: this node.
    """

    def __init__(self, settings: Settings, me: NodeSettings) -> None:
        self.who = Whereabouts(me, settings.peer_of(me.id), settings.cluster_ip, frozenset(settings.references))
        self.ports = {Network.PHONE: ArpPort(me.phone_nic), Network.INTERNAL: ArpPort(me.internal_nic)}
        # References answer twenty times a second; what they say is looked at with the next tick, and wakes nobody.
        self._references = ArpPort(me.phone_nic)
        self._reference_macs: dict[str, bytes] = {}
        self._reference_names = {socket.inet_aton(name): name for name in settings.references}
        both = [me, self.who.peer] if self.who.peer is not None else [me]
        self._cluster_macs = {bytes.fromhex(mac.replace(":", "")) for node in both for mac in node.macs if mac}
        self._ears: dict[Network, PeerEar] = {}
        self._listen()

    def _listen(self) -> None:
        """Let the kernel drop what concerns nobody here: a busy network must not wake the keeper."""
        who = self.who
        own = (who.peer.phone_ip, who.peer.internal_ip) if who.peer is not None else ()
        for port in self.ports.values():
            port.listen_for((who.cluster_ip,), own)
        self._references.listen_for((), who.references)

    def close(self) -> None:
        """Close the sockets."""
        self.stop_listening()
        for port in (*self.ports.values(), self._references):
            port.close()

    def listen_for_life(self) -> list[ev.Event]:
        """While the peer is suspected every frame of its hardware addresses counts, not ARP alone.

        Returns:
            One event for each network on which it was seen since last asked.
        """
        if self.who.peer is None:
            return []
        peer = self.who.peer
        for network, nic, mac in (
            (Network.PHONE, self.who.me.phone_nic, peer.phone_mac),
            (Network.INTERNAL, self.who.me.internal_nic, peer.internal_mac),
        ):
            if network not in self._ears:
                # A NIC that is gone hears nothing; the next probe tries again.
                with contextlib.suppress(OSError):
                    self._ears[network] = PeerEar(nic, mac)
        return [ev.PeerFrameSeen(network) for network, ear in self._ears.items() if ear.heard()]

    @property
    def listens(self) -> bool:
        """Every frame of the peer is listened for now."""
        return bool(self._ears)

    def stop_listening(self) -> None:
        """The peer is no longer suspected."""
        for ear in self._ears.values():
            ear.close()
        self._ears.clear()

    def read(self, network: Network, wants_frames: bool) -> list[ev.Event]:
        """What the frames waiting on a network say; one event of each kind is enough.

        Args:
            network: which.
            wants_frames: whether the mere sight of the peer is of interest now.
        """
        return self._events(network, self.ports[network], wants_frames)

    @property
    def references_fd(self) -> int:
        """Descriptor to watch for answers of references, where a tick is too long to wait."""
        return self._references.fileno()

    def read_references(self) -> list[ev.Event]:
        """What the references have answered since last asked; once a tick is enough, unless the master waits for it."""
        found: dict[ev.Event, None] = {}
        for ip, mac in self._references.answers():
            name = self._reference_names.get(ip)
            if name is not None and mac not in self._cluster_macs:
                if self._reference_macs.get(name) != mac:
                    self._reference_macs[name] = mac
                found[ev.ReferenceAnswered(name)] = None
        return list(found)

    def _events(self, network: Network, port: ArpPort, wants_frames: bool) -> list[ev.Event]:
        found: dict[ev.Event, None] = {}
        for frame in port.read():
            for event in self._meaning(network, frame, wants_frames):
                found[event] = None
        return list(found)

    def _meaning(self, network: Network, frame: ArpFrame, wants_frames: bool) -> list[ev.Event]:
        who = self.who
        if frame.sender_mac in who.me.macs:
            return []
        if who.peer is not None and frame.sender_mac in who.peer.macs:
            return self._of_peer(network, frame, who.peer, wants_frames)
        if network is not Network.PHONE:
            return []
        if frame.sender_ip == who.cluster_ip:
            return [ev.HolderSeen("foreign", frame.sender_mac)]
        return []

    def _of_peer(self, network: Network, frame: ArpFrame, peer: NodeSettings, wants_frames: bool) -> list[ev.Event]:
        if frame.sender_ip == self.who.cluster_ip:
            return [ev.HolderSeen("peer", frame.sender_mac)]
        if frame.is_reply and frame.sender_ip in (peer.phone_ip, peer.internal_ip):
            return [ev.PeerAddressAnswered(network)]
        return [ev.PeerFrameSeen(network)] if wants_frames else []

    def discard(self) -> None:
        """Throw away what waits: it is from before a pause."""
        for port in self.ports.values():
            port.read()
        self._references.answers()
        for ear in self._ears.values():
            ear.heard()

    def ask_references(self, names: tuple[str, ...]) -> None:
        """Ask these references once."""
        for reference in names:
            self.ports[Network.PHONE].ask(reference, self.who.me.phone_ip)

    def probe_holder(self) -> None:
        """Ask who holds the cluster IP."""
        self.ports[Network.PHONE].ask(self.who.cluster_ip, self.who.me.phone_ip)

    def probe_peer(self) -> None:
        """One paired probe on both networks."""
        self.probe_holder()
        if self.who.peer is not None:
            self.ports[Network.PHONE].ask(self.who.peer.phone_ip, self.who.me.phone_ip)
            self.ports[Network.INTERNAL].ask(self.who.peer.internal_ip, self.who.me.internal_ip)

    def announce(self) -> None:
        """Tell everybody, and each known reference by itself, where the cluster IP is now."""
        port = self.ports[Network.PHONE]
        port.announce(self.who.cluster_ip)
        for reference, mac in self._reference_macs.items():
            port.announce_to(self.who.cluster_ip, reference, mac.hex(":"))
