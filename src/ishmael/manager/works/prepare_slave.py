"""Prepare slave: let exactly one master's key through the door of this machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from ishmael.manager.ports.hands import Hands
from ishmael.manager.works import machine
from ishmael.manager.works.base import Arguments, Notes, Step
from ishmael.manager.works.join_code import JoinCode, keep_secret, looks_like_join_code, own_secret, read_join_code
from ishmael.manager.works.set_up_master import corosync_missing, host_key_missing, ssh_closed
from ishmael.manager.works.ssh_keys import PublicKey, read_public_key
from ishmael.words import places
from ishmael.words.errors import Bug, Finding


class PrepareSlave:
    """The work.

    Args:
        hands: ports to look and act with.
        raw: key, the master's public key as pasted, or its join code; join, the same for the join code alone.
        notes: what the job remembers.
    """

    name = "prepare-slave"
    undoes = True

    def __init__(self, hands: Hands, raw: Mapping[str, Any], notes: Notes) -> None:
        given = Arguments(raw)
        self._hands, self._notes = hands, notes
        join = given.text("join", "")
        pasted = join or given.text("key")
        given.text("key", "")
        given.close()
        self._code: JoinCode | None = None
        self._pasted = self._read(pasted, join=bool(join))

    def _read(self, pasted: str, *, join: bool) -> PublicKey | Finding:
        if not (join or looks_like_join_code(pasted)):
            return read_public_key(pasted)
        code = read_join_code(pasted)
        if isinstance(code, Finding):
            return code
        self._code = code
        return read_public_key(code.key)

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
        return findings + (self._check_master(self._code) if self._code and not findings else [])

    def _check_master(self, code: JoinCode) -> list[Finding]:
        """Both cables lead to the master that made the code."""
        hands, findings = self._hands, list[Finding]()
        if code.master.lower() == hands.host.name().lower():
            message = f"Both nodes are called {code.master}."
            findings.append(
                Finding("", "same-host-name", message, "Give one of them another host name, then try again.")
            )
        nics = hands.network.nics()
        here: dict[str, str] = {}
        for what, address in (("internal", code.internal_ip), ("telephone", code.phone_ip)):
            there = ipaddress.IPv4Address(address)
            nic = next((n for n in nics for i in n.interfaces if there in i.network), None)
            if nic is None:
                message = f"This machine has no address on the {what} network of {code.master} ({address})."
                findings.append(Finding("join", "network-missing", message, "Give its network interface one."))
                continue
            here[what] = nic.name
            findings += self._check_shown(code, what, address, nic.name)
        if len(here) == 2 and here["internal"] == here["telephone"]:
            message = f"Both networks are on {here['internal']}."
            findings.append(Finding("join", "same-nic-twice", message, "Each network has an interface of its own."))
        return findings

    def _check_shown(self, code: JoinCode, what: str, address: str, nic: str) -> list[Finding]:
        shown = self._hands.node.host_key(address)
        key = read_public_key(shown) if shown else None
        if key is None:
            message = f"{code.master} does not answer at {address} over the {what} network ({nic})."
            hint = "Is it on, are the cables plugged in and not swapped?"
            return [Finding("join", "master-unreachable", message, hint, overridable=True, whose="peer")]
        if isinstance(key, Finding) or key.fingerprint != code.host_key_fingerprint:
            message = f"The machine at {address} is not the master that made this join code."
            hint = "Check the addresses and the cables; show the code again on the master."
            return [Finding("join", "other-master", message, hint, whose="peer")]
        return []

    def facts(self) -> Mapping[str, Any]:
        """Whose key it is, and this machine's own, for comparing."""
        if isinstance(self._pasted, Finding):
            return {}
        return {"key_fingerprint": self._pasted.fingerprint, **self._cluster(), **self._own()}

    def _cluster(self) -> dict[str, Any]:
        return {"cluster": self._code.cluster_name, "master": self._code.master} if self._code else {}

    def _own(self) -> dict[str, Any]:
        own = read_public_key(machine.own_host_key(self._hands) or "")
        fingerprint = own.fingerprint if isinstance(own, PublicKey) else None
        return {"host_name": self._hands.host.name(), "host_key_fingerprint": fingerprint}

    def steps(self) -> Sequence[Step]:
        """The steps in their order."""
        door = Step(
            "let the master's key through the door",
            lambda: machine.door_is_open(self._hands, self._key),
            self._open,
            self._close,
        )
        return [
            Step("keep the secret of the join code", self._kept, self._keep, self._give_back),
            door,
        ]

    def _kept(self) -> bool:
        return own_secret(self._hands) == (self._code.secret if self._code else None)

    def _keep(self) -> None:
        if self._notes.get("secret_before") is None:
            self._notes.put("secret_before", [own_secret(self._hands)])
        self._put_secret(self._code.secret if self._code else None)

    def _give_back(self) -> None:
        before = self._notes.get("secret_before")
        if before is not None:
            self._put_secret(before[0])

    def _put_secret(self, secret: str | None) -> None:
        if secret is None:
            self._hands.files.remove(places.JOIN_SECRET)
        else:
            keep_secret(self._hands, secret)

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
        return {"key_fingerprint": self._key.fingerprint, **self._cluster(), **self._own()}
