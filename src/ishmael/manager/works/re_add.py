"""Re-add: bring the node in standby, or its replacement, back as the slave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ishmael.manager.ports.hands import Hands
from ishmael.manager.works.base import Arguments, Notes, Step
from ishmael.manager.works.copying import Copying
from ishmael.manager.works.database_steps import DatabaseSteps
from ishmael.manager.works.initial import InitialSync
from ishmael.manager.works.joining import Joining, standing_as_master
from ishmael.manager.works.meeting import Meeting, Wanted
from ishmael.manager.works.remembered import last_slave
from ishmael.manager.works.ssh_keys import pinned
from ishmael.manager.works.version_steps import VersionSteps
from ishmael.words import places
from ishmael.words.errors import Finding
from ishmael.words.roles import Role
from ishmael.words.settings import NodeSettings, Settings


class ReAdd:
    """The work; what is not given is as remembered.

    Args:
        hands: ports to look and act with.
        raw: optional name, phone_ip, internal_ip of a replaced machine.
        notes: what the job remembers.
    """

    name = "re-add"

    def __init__(self, hands: Hands, raw: Mapping[str, Any], notes: Notes) -> None:
        given = Arguments(raw)
        self._hands, self._notes = hands, notes
        self._name, self._phone_ip = given.text("name", ""), given.text("phone_ip", "")
        self._internal_ip = given.text("internal_ip", "")
        given.close()
        self._joining = Joining(hands, notes)
        self._database = DatabaseSteps(hands, notes, self._joining)
        self._copying = Copying(hands, notes, self._joining)
        self._initial = InitialSync(notes, self._database, self._copying)
        self._versions = VersionSteps(hands, notes, self._joining)
        self._facts: dict[str, Any] = {}

    def check(self) -> list[Finding]:
        """All findings; nothing is touched."""
        settings, own, findings = standing_as_master(self._hands)
        if settings is None or own is None or findings:
            return findings
        other = settings.peer_of(own.id)
        if other is None:
            last = last_slave(self._hands)
            hint = "Add one: prepare it (`ishmael prepare-slave` there), then `ishmael add-slave` here."
            if last:
                hint = f"`ishmael add-slave` brings back {last['name']}, the one that was removed, as it is remembered."
            return [Finding("", "has-no-slave", "This cluster has no second node to bring back.", hint)]
        seen = self._hands.keeper.status()
        if seen.get("failover_possible") and (seen.get("peer") or {}).get("role") == Role.SLAVE:
            return [
                Finding(
                    "", "already-complete", f"{other.name} is the slave already, and fit.", "There is nothing to do."
                )
            ]
        return self._meet(settings, own, other)

    def _meet(self, settings: Settings, own: NodeSettings, other: NodeSettings) -> list[Finding]:
        wanted = Wanted(
            other.id, self._name or other.name, self._phone_ip or other.phone_ip, self._internal_ip or other.internal_ip
        )
        keys = pinned((self._hands.files.read(places.KNOWN_HOSTS) or b"").decode(errors="replace"))
        # A machine that replaces the old one under another name has another host key, and is met for the first time.
        same = wanted == Wanted(other.id, other.name, other.phone_ip, other.internal_ip)
        meeting = Meeting(self._hands, settings, own, wanted, keys.get(other.id) if same else None)
        met = meeting.meet()
        if met is not None:
            nodes = tuple(sorted((own, met.node), key=lambda node: node.id))
            after = settings if nodes == settings.nodes else settings.changed(nodes=nodes)
            self._joining.remember(settings, after, own, met)
            self._facts = {
                "name": met.node.name,
                "host_key_fingerprint": met.fingerprint,
                "version": met.hello["version"],
            }
        return meeting.findings

    def facts(self) -> Mapping[str, Any]:
        """Who will be brought back."""
        return self._facts

    def steps(self) -> Sequence[Step]:
        """The steps in their order."""
        join = self._joining
        return [
            Step("pin the node's host key", join.is_pinned, join.pin, join.unpin),
            self._versions.packages(),
            Step("bring the cluster's files to the node", join.is_installed, join.install),
            Step("write Corosync's configuration", join.corosync_written, join.write_corosync, join.restore_corosync),
            Step("start Corosync on both nodes", join.are_members, join.start_corosync),
            Step("write the settings", join.settings_written, join.write_settings, join.restore_settings),
            *self._versions.firmware(),
            *self._initial.steps(),
            Step("start the node's keeper", join.takes_part, join.start_keeper),
            Step("admit the node", join.is_admitted, join.admit),
            Step("wait until the node is fit", join.is_fit, join.await_fit),
        ]

    def result(self) -> Mapping[str, Any]:
        """Who was brought back, and what it took."""
        slave = self._joining.slave
        moved, database = int(self._notes.get("bytes_moved") or 0), self._database.result()
        moved += self._versions.result()["bytes_moved"]
        return {
            "slave": slave.name, "node": slave.id, "rung": database["rung"],
            "bytes_moved": moved + database["bytes_moved"], "bytes_kept": database["bytes_kept"],
            "salvage": database["salvage"], "database": database,
            **self._copying.result(),
            **self._initial.result(),
            "updated": self._versions.result()["updated"],
        }  # fmt: skip
