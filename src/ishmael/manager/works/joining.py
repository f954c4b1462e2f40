"""The steps by which two nodes become a cluster; add slave and re-add share them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from ishmael.manager.ports.hands import Hands
from ishmael.manager.ports.node import Peer
from ishmael.manager.works import machine
from ishmael.manager.works.base import Notes, wait_until
from ishmael.manager.works.corosync_conf import KEY_BYTES, corosync_conf
from ishmael.manager.works.meeting import Met
from ishmael.manager.works.ssh_keys import known_hosts, pinned
from ishmael.words import places
from ishmael.words.errors import Finding, HostFault, IshmaelError, PeerFault
from ishmael.words.roles import Role
from ishmael.words.settings import NodeSettings, Settings, settings_from_toml

INSTALL_LIMIT_S = 30.0
MEMBERS_LIMIT_S = 20.0
HEARD_LIMIT_S = 20.0
FIT_LIMIT_S, FIT_LIMIT_MAX_S = 60.0, 600.0


def standing_as_master(hands: Hands) -> tuple[Settings | None, NodeSettings | None, list[Finding]]:
    """This node's settings and its entry in them, and what stands against working as the master."""
    settings = machine.read_settings(hands)
    own = settings.named(hands.host.name()) if settings else None
    if settings is None or own is None:
        message = (
            "This node is not set up." if settings is None else f"The settings know no node called {hands.host.name()}."
        )
        hint = "Run `ishmael setup-master` first." if settings is None else "Give this node its former host name back."
        return None, None, [Finding("", "not-set-up", message, hint)]
    try:
        role = hands.keeper.status().get("role")
    except IshmaelError as error:
        return settings, own, [Finding("", error.code, error.message, error.hint, whose=error.whose)]
    if role != Role.MASTER:
        hint = "Do this on the master: see `ishmael status`."
        return settings, own, [Finding("", "not-master", f"This node is not the master now; it is {role}.", hint)]
    return settings, own, check_keys(hands)


def check_keys(hands: Hands) -> list[Finding]:
    """The keys both nodes share are whole on this node."""
    findings: list[Finding] = []
    key = hands.files.read(places.COROSYNC_KEY)
    hint = "Reset this node and set it up again; or bring the file back from the other node."
    if not hands.corosync.installed():
        findings.append(
            Finding(
                "", "corosync-missing", "Corosync is not installed.", "Install it: apt install corosync", whose="host"
            )
        )
    elif key is None or len(key) != KEY_BYTES:
        message = f"Corosync's key {places.COROSYNC_KEY} is missing or damaged."
        findings.append(Finding("", "corosync-key-wrong", message, hint, whose="host"))
    if hands.files.read(places.CLUSTER_KEY) is None or hands.files.read(places.CLUSTER_KEY_PUBLIC) is None:
        message = f"The cluster's SSH key {places.CLUSTER_KEY} is missing."
        findings.append(Finding("", "cluster-key-missing", message, hint, whose="host"))
    if machine.own_host_key(hands) is None:
        message = f"This machine has no SSH host key ({machine.OWN_HOST_KEY})."
        findings.append(Finding("", "host-key-missing", message, "Make one: ssh-keygen -A", whose="host"))
    return findings


class Joining:
    """What is done to bring a met node in; all it needs is in the job's notes.

    Args:
        hands: ports to act with.
        notes: ``settings_before``, ``settings``, ``own``, ``slave`` (ids), ``host_key``.
    """

    def __init__(self, hands: Hands, notes: Notes) -> None:
        self._hands, self._notes = hands, notes

    def remember(self, before: Settings, after: Settings, own: NodeSettings, met: Met) -> None:
        """Note all that the steps need, so that a resumed job needs no second look."""
        for key, value in {
            "settings_before": before.to_toml(), "settings": after.to_toml(), "own": own.id,
            "slave": met.node.id, "host_key": met.host_key,
        }.items():  # fmt: skip
            self._notes.put(key, value)

    @property
    def before(self) -> Settings:
        """The settings before this job."""
        return settings_from_toml(self._notes.get("settings_before"))

    @property
    def settings(self) -> Settings:
        """The settings of both nodes, as they shall be."""
        return settings_from_toml(self._notes.get("settings"))

    @property
    def slave(self) -> NodeSettings:
        """The other node."""
        node = self.settings.node(self._notes.get("slave"))
        assert node is not None
        return node

    @property
    def peer(self) -> Peer:
        """How to reach it."""
        return Peer((self.slave.internal_ip, self.slave.phone_ip), self._notes.get("host_key"))

    def _pins(self) -> bytes:
        own = machine.own_host_key(self._hands) or ""
        return known_hosts({self._notes.get("own"): own, self.slave.id: self.peer.host_key}).encode()

    # The other node's host key

    def is_pinned(self) -> bool:
        """Both nodes' host keys are known here."""
        return machine.same(self._hands, places.KNOWN_HOSTS, self._pins())

    def pin(self) -> None:
        """Know both nodes' host keys from now on."""
        if self._notes.get("pins_before") is None:
            raw = self._hands.files.read(places.KNOWN_HOSTS) or b""
            self._notes.put("pins_before", {str(node): key for node, key in pinned(raw.decode()).items()})
        self._hands.files.write(places.KNOWN_HOSTS, self._pins(), 0o600)

    def unpin(self) -> None:
        """Know what was known before."""
        before = self._notes.get("pins_before")
        if before is None:
            return
        text = known_hosts({int(node): key for node, key in before.items()})
        self._hands.files.write(places.KNOWN_HOSTS, text.encode(), 0o600)

    # Files on both nodes

    def _load(self) -> dict[str, Any]:
        files = self._hands.files
        private, key = files.read(places.CLUSTER_KEY), files.read(places.COROSYNC_KEY)
        if private is None or key is None:
            raise HostFault(
                "cluster-key-missing",
                "A key of the cluster is missing on this node.",
                "See `ishmael re-add --dry-run`.",
            )
        return {
            "settings": self.settings.to_toml(),
            "corosync_conf": corosync_conf(self.settings),
            "corosync_key": base64.b64encode(key).decode(),
            "private_key": private.decode(),
            "public_key": machine.cluster_public_key(self._hands),
            "known_hosts": self._pins().decode(),
            "profile": machine.active_profile(self._hands),
        }

    def is_installed(self) -> bool:
        """The other node has exactly these files."""
        return bool(self._hands.node.ask(self.peer, "status", {"load": self._load()})["installed"])

    def install(self) -> None:
        """Bring the cluster's files to the other node."""
        answer = self._hands.node.ask(self.peer, "install", self._load(), limit_s=INSTALL_LIMIT_S)
        self._notes.put("bytes_moved", int(answer["bytes_written"]))

    def withdraw(self) -> None:
        """Take them away again."""
        self._hands.node.ask(self.peer, "withdraw", {}, limit_s=INSTALL_LIMIT_S)

    def _corosync_files(self, settings: Settings) -> machine.CorosyncFiles:
        key = self._hands.files.read(places.COROSYNC_KEY)
        if key is None:
            raise HostFault(
                "corosync-key-wrong",
                f"Corosync's key {places.COROSYNC_KEY} is missing.",
                "Bring it back from the other node.",
            )
        return machine.CorosyncFiles(corosync_conf(settings), key)

    def corosync_written(self) -> bool:
        """Corosync's configuration names both nodes."""
        return self._corosync_files(self.settings).on_disk(self._hands)

    def write_corosync(self) -> None:
        """Let it name both nodes."""
        self._corosync_files(self.settings).write(self._hands)

    def restore_corosync(self) -> None:
        """Let it name whom it named before."""
        self._corosync_files(self.before).write(self._hands)
        if len(self.before.nodes) == 2:
            machine.run_corosync(self._hands)
        else:
            machine.rest_corosync(self._hands)

    def settings_written(self) -> bool:
        """This node's settings name both nodes, as they shall be."""
        return machine.same(self._hands, places.SETTINGS, self.settings.to_toml().encode())

    def write_settings(self) -> None:
        """Let them, and let the keeper know."""
        self._hands.files.write(places.SETTINGS, self.settings.to_toml().encode(), 0o644)
        self._hands.keeper.reload()

    def restore_settings(self) -> None:
        """Let them be what they were."""
        self._hands.files.write(places.SETTINGS, self.before.to_toml().encode(), 0o644)
        self._hands.keeper.reload()

    # Corosync and the keepers

    def are_members(self) -> bool:
        """Corosync sees both nodes, here."""
        return self._hands.corosync.members() == {node.id for node in self.settings.nodes}

    def start_corosync(self) -> None:
        """Start it on both nodes and wait until they see each other."""
        self._hands.node.ask(self.peer, "start", {"what": "corosync"}, limit_s=INSTALL_LIMIT_S)
        machine.run_corosync(self._hands)
        wait_until(self._hands.clock, self.are_members, MEMBERS_LIMIT_S, self._no_members)

    def _no_members(self) -> IshmaelError:
        return PeerFault(
            "no-corosync-contact",
            f"Corosync of both nodes runs, but they did not see each other within {MEMBERS_LIMIT_S:.0f} s.",
            "Are UDP ports 5405 and 5406 open between the nodes, on both networks? See: corosync-cfgtool -n",
        )

    def is_heard(self) -> bool:
        """The keepers hear each other."""
        return bool(self._status().get("heard"))

    def takes_part(self) -> bool:
        """The other node's keeper is heard, and not out of the cluster (as with a damaged record)."""
        return self.is_heard() and self._peer_seen().get("role") not in (None, Role.OUT)

    def start_keeper(self) -> None:
        """Start the other node's keeper and wait until it takes part."""
        self._hands.node.ask(self.peer, "start", {"what": "keeper"}, limit_s=INSTALL_LIMIT_S)
        wait_until(
            self._hands.clock, self.takes_part, HEARD_LIMIT_S,
            lambda: PeerFault(
                "keeper-not-heard", f"The keeper of {self.slave.name} was not heard within {HEARD_LIMIT_S:.0f} s.",
                f"On {self.slave.name}: systemctl status ishmael-keeper; ishmael status",
            ),
        )  # fmt: skip

    def is_admitted(self) -> bool:
        """The other node is slave."""
        return self._peer_seen().get("role") == Role.SLAVE

    def admit(self) -> None:
        """Let it be slave."""
        self._hands.keeper.admit(self.slave.id)

    def dismiss(self) -> None:
        """Let it be slave no longer."""
        self._hands.keeper.dismiss(self.slave.id)

    def is_fit(self) -> bool:
        """A failover is possible."""
        return bool(self._status().get("failover_possible"))

    def await_fit(self) -> None:
        """Wait until a failover is possible.

        Raises:
            PeerFault: not within a minute in which nothing came on, or ten in all; with what blocks it.
        """
        clock, blocked = self._hands.clock, ""
        begun_s = since_s = clock.now_s()
        while not self.is_fit():
            now_s, now_blocked = clock.now_s(), self._blocked()
            if now_blocked != blocked:
                # It comes on: of the names that differ fewer are left, or something else is still to be done.
                blocked, since_s = now_blocked, now_s
            if now_s - since_s >= FIT_LIMIT_S or now_s - begun_s >= FIT_LIMIT_MAX_S:
                raise self._not_fit()
            clock.sleep(0.2)

    def _blocked(self) -> str:
        seen = self._status()
        return "; ".join([*(seen.get("failover_blocked_by") or []), *(seen.get("peer") or {}).get("reasons", [])])

    def _not_fit(self) -> IshmaelError:
        return PeerFault(
            "slave-not-fit",
            f"{self.slave.name} did not become fit within {FIT_LIMIT_S:.0f} s: {self._blocked() or 'no reason is known'}.",
            f"See `ishmael status` on both nodes, then try again: ishmael re-add (on {self._hands.host.name()}).",
        )

    def _peer_seen(self) -> Mapping[str, Any]:
        return self._status().get("peer") or {}

    def _status(self) -> Mapping[str, Any]:
        """Of this node's keeper; nothing while it is restarted, which is no reason to give up."""
        try:
            return self._hands.keeper.status()
        except IshmaelError:
            return {}
