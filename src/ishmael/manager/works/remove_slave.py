"""Remove slave: the master goes on by itself; the removed node keeps its data and may be set up anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ishmael.manager.ports.hands import Hands
from ishmael.manager.ports.node import Peer
from ishmael.manager.works import machine
from ishmael.manager.works.base import Arguments, Notes, Step
from ishmael.manager.works.corosync_conf import corosync_conf
from ishmael.manager.works.joining import standing_as_master
from ishmael.manager.works.remembered import remember_slave
from ishmael.manager.works.ssh_keys import known_hosts, pinned
from ishmael.words import places
from ishmael.words.errors import Finding, HostFault, IshmaelError
from ishmael.words.settings import NodeSettings, Settings, settings_from_toml

_BUSY_S = 30.0


class RemoveSlave:
    """The work.

    Args:
        hands: ports to look and act with.
        raw: no arguments.
        notes: what the job remembers.
    """

    name = "remove-slave"

    def __init__(self, hands: Hands, raw: Mapping[str, Any], notes: Notes) -> None:
        Arguments(raw).close()
        self._hands, self._notes = hands, notes

    def check(self) -> list[Finding]:
        """All findings; nothing is touched. The slave need not be reachable."""
        settings, own, findings = standing_as_master(self._hands)
        if settings is None or own is None or findings:
            return findings
        if settings.peer_of(own.id) is None:
            return [Finding("", "has-no-slave", "This cluster has no slave.", "There is nothing to remove.")]
        self._notes.put("settings_before", settings.to_toml())
        self._notes.put("settings", settings.changed(nodes=(own,)).to_toml())
        self._notes.put("own", own.id)
        return []

    def facts(self) -> Mapping[str, Any]:
        """Who will be removed."""
        return {"slave": self._slave().name} if self._notes.get("own") is not None else {}

    def _slave(self) -> NodeSettings:
        before = settings_from_toml(self._notes.get("settings_before"))
        slave = before.peer_of(self._notes.get("own"))
        assert slave is not None
        return slave

    def _settings(self) -> Settings:
        return settings_from_toml(self._notes.get("settings"))

    def steps(self) -> Sequence[Step]:
        """The steps in their order. None is undone: each leaves the master serving."""
        return [
            Step("dismiss the slave", lambda: self._notes.get("dismissed") is True, self._dismiss),
            Step("write the settings of one node", self._written, self._write),
            # The slave is dismissed on disk: it takes nothing over, whoever it hears.
            Step("let Corosync stop", self._corosync_stops, lambda: machine.begin_corosync_rest(self._hands)),
            Step(
                "take the cluster's files off the slave",
                lambda: self._notes.get("withdrawn") is not None,
                self._withdraw,
            ),
            Step("stop Corosync", self._corosync_rests, self._rest_corosync),
            Step("forget the slave's host key", self._forgotten, self._forget),
        ]

    def _dismiss(self) -> None:
        self._hands.keeper.dismiss(self._slave().id)
        self._notes.put("dismissed", True)

    def _written(self) -> bool:
        return machine.same(self._hands, places.SETTINGS, self._settings().to_toml().encode())

    def _write(self) -> None:
        self._hands.files.write(places.SETTINGS, self._settings().to_toml().encode(), 0o644)
        self._hands.keeper.reload()

    def _pins(self) -> dict[int, str]:
        return pinned((self._hands.files.read(places.KNOWN_HOSTS) or b"").decode(errors="replace"))

    def _withdraw(self) -> None:
        slave, host_key = self._slave(), self._pins().get(self._slave().id)
        told = host_key is not None and self._told(Peer((slave.internal_ip, slave.phone_ip), host_key))
        self._notes.put("withdrawn", told)

    def _told(self, peer: Peer) -> bool:
        """It withdrew; one that is gone for good is removed all the same, one that is busy is asked for a while."""
        until_s = self._hands.clock.now_s() + _BUSY_S
        while True:
            try:
                self._hands.node.ask(peer, "withdraw", {}, limit_s=30.0)
            except IshmaelError as error:
                if error.code == "peer-unreachable" or self._hands.clock.now_s() > until_s:
                    return False
                self._hands.clock.sleep(1.0)
            else:
                return True

    def _corosync_stops(self) -> bool:
        return not self._hands.services.active(machine.COROSYNC_UNIT)

    def _corosync_rests(self) -> bool:
        conf = corosync_conf(self._settings()).encode()
        return machine.corosync_rests(self._hands) and machine.same(self._hands, places.COROSYNC_CONF, conf)

    def _rest_corosync(self) -> None:
        machine.rest_corosync(self._hands)
        key = self._hands.files.read(places.COROSYNC_KEY)
        if key is None:
            raise HostFault(
                "corosync-key-wrong", f"Corosync's key {places.COROSYNC_KEY} is missing.", "Reset this node."
            )
        machine.CorosyncFiles(corosync_conf(self._settings()), key).write(self._hands)

    def _forgotten(self) -> bool:
        return self._slave().id not in self._pins()

    def _forget(self) -> None:
        remember_slave(self._hands, self._slave(), self._pins().get(self._slave().id, ""))
        kept = {node: key for node, key in self._pins().items() if node != self._slave().id}
        self._hands.files.write(places.KNOWN_HOSTS, known_hosts(kept).encode(), 0o600)

    def result(self) -> Mapping[str, Any]:
        """Who was removed, and whether it knows."""
        return {"slave": self._slave().name, "slave_withdrawn": bool(self._notes.get("withdrawn"))}
