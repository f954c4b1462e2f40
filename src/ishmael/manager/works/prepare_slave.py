"""Prepare slave: let exactly one master's key through the door of this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ishmael.manager.ports.hands import Hands
from ishmael.manager.works import machine
from ishmael.manager.works.base import Arguments, Notes, Step
from ishmael.manager.works.set_up_master import corosync_missing, host_key_missing, ssh_closed
from ishmael.manager.works.ssh_keys import PublicKey, read_public_key
from ishmael.words import places
from ishmael.words.errors import Bug, Finding


class PrepareSlave:
    """The work.

    Args:
        hands: ports to look and act with.
        raw: key, the master's public key as pasted.
        notes: what the job remembers.
    """

    name = "prepare-slave"
    undoes = True

    def __init__(self, hands: Hands, raw: Mapping[str, Any], notes: Notes) -> None:
        given = Arguments(raw)
        self._hands, self._notes = hands, notes
        self._pasted = read_public_key(given.text("key"))
        given.close()

    @property
    def _key(self) -> PublicKey:
        if isinstance(self._pasted, Finding):
            raise Bug("key-unchecked", "A key that is none passed the check.")
        return self._pasted

    def check(self) -> list[Finding]:
        """All findings; nothing is touched."""
        hands, findings = self._hands, list[Finding]()
        if isinstance(self._pasted, Finding):
            findings.append(self._pasted)
        if hands.files.read(places.SETTINGS) is not None:
            hint = "See `ishmael status`. To make it a slave of another master: `ishmael reset` first."
            findings.append(Finding("", "already-set-up", "This node is already part of a cluster.", hint))
        if not hands.services.exists(machine.SSH_UNIT):
            hint = "Install it: apt install openssh-server"
            findings.append(Finding("", "ssh-missing", "There is no SSH server on this machine.", hint, whose="host"))
        elif machine.own_host_key(hands) is None:
            findings.append(host_key_missing())
        objection = hands.keys.server_objection()
        if objection:
            findings.append(ssh_closed(objection))
        if not hands.corosync.installed():
            findings.append(corosync_missing(""))
        return findings

    def facts(self) -> Mapping[str, Any]:
        """Whose key it is, and this machine's own, for comparing."""
        if isinstance(self._pasted, Finding):
            return {}
        return {"key_fingerprint": self._pasted.fingerprint, **self._own()}

    def _own(self) -> dict[str, Any]:
        own = read_public_key(machine.own_host_key(self._hands) or "")
        fingerprint = own.fingerprint if isinstance(own, PublicKey) else None
        return {"host_name": self._hands.host.name(), "host_key_fingerprint": fingerprint}

    def steps(self) -> Sequence[Step]:
        """The steps in their order."""
        return [
            Step(
                "let the master's key through the door",
                lambda: machine.door_is_open(self._hands, self._key),
                self._open,
                self._close,
            )
        ]

    def _open(self) -> None:
        if self._notes.get("authorized_before") is None:
            self._notes.put("authorized_before", [machine.our_authorized_line(self._hands)])
        machine.open_door(self._hands, self._key)

    def _close(self) -> None:
        before = self._notes.get("authorized_before")
        if before is not None:
            machine.write_authorized(self._hands, before[0])

    def result(self) -> Mapping[str, Any]:
        """What the admin needs on the master."""
        return {"key_fingerprint": self._key.fingerprint, **self._own()}
