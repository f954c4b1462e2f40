"""Add slave: check a prepared node and make it the second node of this cluster."""

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
from ishmael.manager.works.remembered import FIELDS, last_slave
from ishmael.manager.works.scouting import scout
from ishmael.manager.works.version_steps import VersionSteps
from ishmael.words import places
from ishmael.words.errors import Finding


class AddSlave:
    """The work.

    Args:
        hands: ports to look and act with.
        raw: name, phone_ip and internal_ip of the prepared node; or none, then it is found by the join code, else it is the
            one that was removed last.
        notes: what the job remembers.
    """

    name = "add-slave"
    undoes = True
    wants_settled = True

    def __init__(self, hands: Hands, raw: Mapping[str, Any], notes: Notes) -> None:
        given = Arguments(raw)
        self._hands, self._notes = hands, notes
        self._name, self._phone_ip = given.text("name", ""), given.text("phone_ip", "")
        self._internal_ip = given.text("internal_ip", "")
        self._last = last_slave(hands)
        if self._name or self._phone_ip or self._internal_ip:
            # Typed, so typed whole, or as remembered; all left out: the node is found by the join code, or as remembered.
            self._name = given.text("name", self._last.get("name"))
            self._phone_ip = given.text("phone_ip", self._last.get("phone_ip"))
            self._internal_ip = given.text("internal_ip", self._last.get("internal_ip"))
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
        if len(settings.nodes) > 1:
            other = settings.peer_of(own.id)
            message = f"This cluster has a slave already: {other.name if other else '?'}."
            hint = "To bring it back: `ishmael re-add`. For another machine: `ishmael remove-slave` first."
            return [Finding("", "has-a-slave", message, hint)]
        found = {"name": self._name, "phone_ip": self._phone_ip, "internal_ip": self._internal_ip}
        if not self._name:
            found, findings = scout(self._hands, settings, own)
            by_code = not findings
            if findings and not self._last:
                return findings
            if findings:
                found = self._remembered()
        else:
            by_code = False
        wanted = Wanted(2 if own.id == 1 else 1, **found)
        same = bool(self._last) and found == self._remembered()
        meeting = Meeting(self._hands, settings, own, wanted, (self._last["host_key"] or None) if same else None)
        met = meeting.meet()
        if met is not None:
            nodes = tuple(sorted((own, met.node), key=lambda node: node.id))
            self._joining.remember(settings, settings.changed(nodes=nodes), own, met)
            self._facts = {
                **found, "found_by_join_code": by_code, "remembered": same,
                "host_key_fingerprint": met.fingerprint, "phone_nic": met.node.phone_nic,
                "internal_nic": met.node.internal_nic, "version": met.hello["version"],
            }  # fmt: skip
        return meeting.findings

    def _remembered(self) -> dict[str, str]:
        """Name and addresses of the slave that was removed last."""
        return {name: self._last[name] for name in FIELDS}

    def facts(self) -> Mapping[str, Any]:
        """The slave's host key, to be compared there, and what was found."""
        return self._facts

    def steps(self) -> Sequence[Step]:
        """The steps in their order."""
        join = self._joining
        return [
            Step("pin the slave's host key", join.is_pinned, join.pin, join.unpin),
            self._versions.packages(),
            Step("install the cluster's files on the slave", join.is_installed, join.install, join.withdraw),
            Step(
                "write Corosync's configuration of two nodes",
                join.corosync_written,
                join.write_corosync,
                join.restore_corosync,
            ),
            Step("start Corosync on both nodes", join.are_members, join.start_corosync),
            Step("write the settings of two nodes", join.settings_written, join.write_settings, join.restore_settings),
            *self._versions.firmware(),
            *self._initial.steps(),
            Step("start the slave's keeper", join.takes_part, join.start_keeper),
            Step("admit the slave", join.is_admitted, join.admit, join.dismiss),
            Step("wait until the slave is fit", join.is_fit, join.await_fit),
            Step("spend the join code", self._is_spent, lambda: self._hands.files.remove(places.JOIN_SECRET)),
        ]

    def _is_spent(self) -> bool:
        return self._hands.files.read(places.JOIN_SECRET) is None

    def result(self) -> Mapping[str, Any]:
        """Who was added."""
        slave, database = self._joining.slave, self._database.result()
        files = int(self._notes.get("bytes_moved") or 0)
        return {
            "slave": slave.name,
            "node": slave.id,
            "bytes_moved": files + self._versions.result()["bytes_moved"] + database["bytes_moved"],
            "bytes_kept": database["bytes_kept"],
            "database": database,
            **self._copying.result(),
            **self._initial.result(),
            "updated": self._versions.result()["updated"],
        }
