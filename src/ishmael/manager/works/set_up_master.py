"""Set up master: this machine becomes the first node of a new cluster and holds the cluster IP."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from ishmael.manager.ports.database import Pairing
from ishmael.manager.ports.hands import Hands
from ishmael.manager.ports.network import Nic
from ishmael.manager.works import cable, machine
from ishmael.manager.works.base import Arguments, Notes, Step, wait_until
from ishmael.manager.works.corosync_conf import KEY_BYTES, corosync_conf
from ishmael.manager.works.database import check_database, pairing, wanted_by
from ishmael.manager.works.preconditions import check_preconditions
from ishmael.manager.works.ssh_keys import PublicKey, known_hosts, read_public_key
from ishmael.words import places
from ishmael.words.errors import Finding, HostFault, IshmaelError
from ishmael.words.roles import Role
from ishmael.words.settings import NodeSettings, Settings, check_settings, not_an_address, settings_from_toml

_DEFAULT_ROUTE = "0.0.0.0/0"
_MASTER_LIMIT_S = 20.0


class SetUpMaster:
    """The work; its arguments are the fields of the form.

    Args:
        hands: ports to look and act with.
        raw: cluster_ip, phone_nic, internal_nic; optional references, email, cluster_name, policy, profile,
            phone_ip, internal_ip.
        notes: what the job remembers.
    """

    name = "setup-master"
    undoes = True
    wants_settled = True

    def __init__(self, hands: Hands, raw: Mapping[str, Any], notes: Notes) -> None:
        given = Arguments(raw)
        self._hands, self._notes = hands, notes
        self._cluster_ip = given.address("cluster_ip")
        self._phone_nic, self._internal_nic = given.text("phone_nic"), given.text("internal_nic")
        self._references = given.texts("references")
        self._email, self._cluster_name = given.text("email", ""), given.text("cluster_name", "ishmael")
        self._policy, self._profile = given.text("policy", "dial-tone-first"), given.text("profile", "asterisk")
        self._phone_ip, self._internal_ip = given.text("phone_ip", ""), given.text("internal_ip", "")
        given.close()

    # What stands against it

    def check(self) -> list[Finding]:
        """All findings; nothing is touched."""
        if self._hands.files.read(places.SETTINGS) is not None:
            return [
                Finding(
                    "", "already-set-up", "This node is already part of a cluster.",
                    "See `ishmael status`. To begin anew: `ishmael reset`, then set it up again.",
                )
            ]  # fmt: skip
        nics = {nic.name: nic for nic in self._hands.network.nics()}
        findings = self._check_nics(nics) + self._check_machine() + check_preconditions(self._hands)
        settings = self._settings(nics)
        if settings is None:
            return findings + self._check_address_alone(nics)
        known = {finding.code for finding in findings}
        findings += [finding for finding in check_settings(settings) if finding.code not in known]
        findings += self._check_internal_network(settings, nics)
        if not any(finding.field == "cluster_ip" for finding in findings):
            findings += self._check_cluster_ip(nics)
        findings += self._check_references(settings)
        if not check_settings(settings):
            self._notes.put("settings", settings.to_toml())
        return findings

    def _check_address_alone(self, nics: Mapping[str, Nic]) -> list[Finding]:
        """What can be said of the cluster IP while one of the network interfaces is not usable."""
        try:
            address = ipaddress.IPv4Address(self._cluster_ip)
        except ipaddress.AddressValueError:
            return [not_an_address("cluster_ip", self._cluster_ip)]
        own = self._check_own_address(nics)
        phone = nics.get(self._phone_nic)
        if own or phone is None or any(address in interface.network for interface in phone.interfaces):
            return own
        message = f"The cluster IP {address} is no address of the networks on {phone.name}."
        hint = "Choose a free address of the telephone network."
        return [Finding("cluster_ip", "outside-telephone-network", message, hint)] if phone.interfaces else []

    def _check_own_address(self, nics: Mapping[str, Nic]) -> list[Finding]:
        owner = next((nic.name for nic in nics.values() if nic.holds(self._cluster_ip)), None)
        if owner is None:
            return []
        message = f"The cluster IP {self._cluster_ip} is this node's own address on {owner}."
        hint = (
            "The cluster IP is a third address beside the two nodes' own: choose a free one. If a reset left it here: "
            "ishmael-reset-cluster --give-up-cluster-ip"
        )
        return [Finding("cluster_ip", "nodes-own-address", message, hint)]

    def _check_nics(self, nics: Mapping[str, Nic]) -> list[Finding]:
        findings: list[Finding] = []
        there = ", ".join(sorted(nics)) or "none"
        if self._phone_nic == self._internal_nic:
            findings.append(
                Finding(
                    "internal_nic", "same-nic-twice", f"{self._phone_nic} is named for both networks.",
                    "Choose two different network interfaces: one for the telephones, one for the cable.",
                )
            )  # fmt: skip
        for field, name in (("phone_nic", self._phone_nic), ("internal_nic", self._internal_nic)):
            nic = nics.get(name)
            if nic is None:
                message = f"There is no network interface {name!r}."
                findings.append(Finding(field, "nic-missing", message, f"This machine has: {there}."))
                continue
            findings += self._check_nic(field, nic)
        return findings

    def _check_nic(self, field: str, nic: Nic) -> list[Finding]:
        if not nic.up:
            hint = f"Switch it on: ip link set {nic.name} up, and in the network configuration."
            return [Finding(field, "nic-down", f"The network interface {nic.name} is switched off.", hint)]
        findings: list[Finding] = []
        if not nic.carrier:
            message = f"The network interface {nic.name} has no link: nothing is plugged in at its other end."
            # The slave at the other end of the cable may not be switched on yet.
            cable = field == "internal_nic"
            findings.append(Finding(field, "nic-no-link", message, "Plug the cable in.", overridable=cable))
        if not nic.addresses:
            message = f"The network interface {nic.name} has no IPv4 address."
            hint = "Give it a fixed address in the network configuration."
            findings.append(Finding(field, "nic-no-address", message, hint))
        wanted = self._phone_ip if field == "phone_nic" else self._internal_ip
        if wanted and not nic.holds(wanted):
            message = f"The network interface {nic.name} does not have the address {wanted}."
            hint = f"It has: {', '.join(nic.addresses) or 'none'}."
            findings.append(Finding(field.replace("_nic", "_ip"), "address-not-here", message, hint))
        return findings

    def _check_machine(self) -> list[Finding]:
        hands, findings = self._hands, list[Finding]()
        if not hands.corosync.installed():
            findings.append(corosync_missing(""))
        if machine.own_host_key(hands) is None:
            findings.append(host_key_missing())
        objection = hands.keys.server_objection()
        if objection:
            findings.append(ssh_closed(objection))
        profile = machine.shipped_profile(hands, self._profile)
        if profile is None:
            message = f"There is no workload profile {self._profile!r}."
            findings.append(Finding("profile", "no-such-profile", message, f"See {places.SHIPPED_PROFILES}."))
        else:
            findings += units_missing(machine.missing_units(hands, machine.profile_units(profile)), "")
            findings += check_database(hands, profile)
        try:
            hands.keeper.status()
        except IshmaelError as error:
            findings.append(Finding("", error.code, error.message, error.hint, whose=error.whose))
        return findings

    def _settings(self, nics: Mapping[str, Nic]) -> Settings | None:
        phone, internal = nics.get(self._phone_nic), nics.get(self._internal_nic)
        if phone is None or internal is None or phone is internal or not (phone.addresses and internal.addresses):
            return None
        own_phone = next((i for i in phone.interfaces if str(i.ip) == self._phone_ip), phone.interfaces[0])
        own_internal = next((i for i in internal.interfaces if str(i.ip) == self._internal_ip), internal.interfaces[0])
        node = NodeSettings(
            id=1, name=self._hands.host.name(), phone_ip=str(own_phone.ip), phone_nic=phone.name, phone_mac=phone.mac,
            internal_ip=str(own_internal.ip), internal_nic=internal.name, internal_mac=internal.mac,
        )  # fmt: skip
        return Settings(
            cluster_ip=self._cluster_ip, phone_prefix=own_phone.network.prefixlen,
            internal_prefix=own_internal.network.prefixlen, references=self._references or self._gateways(),
            nodes=(node,), email=self._email, cluster_name=self._cluster_name, policy=self._policy, profile=self._profile,
        )  # fmt: skip

    def _gateways(self) -> tuple[str, ...]:
        routes = self._hands.network.routes()
        found = [
            r.gateway for r in routes if r.destination == _DEFAULT_ROUTE and r.nic == self._phone_nic and r.gateway
        ]
        return tuple(dict.fromkeys(found))

    def _check_internal_network(self, settings: Settings, nics: Mapping[str, Nic]) -> list[Finding]:
        own = ipaddress.IPv4Interface(f"{settings.nodes[0].internal_ip}/{settings.internal_prefix}").network
        used = (self._internal_nic, self._phone_nic)
        found = cable.overlapping(own, nics.values(), self._hands.network.routes(), self._internal_nic, used)
        return [cable.overlaps("internal_nic", f"The internal network {own} overlaps {found}.")] if found else []

    def _check_cluster_ip(self, nics: Mapping[str, Nic]) -> list[Finding]:
        own = self._check_own_address(nics)
        if own:
            return own
        nic = nics[self._phone_nic]
        holder = self._hands.network.arp(nic.name, self._cluster_ip) if nic.up and nic.carrier else None
        if holder is not None:
            message = f"The cluster IP {self._cluster_ip} is taken: {holder} answers for it on {nic.name}."
            return [Finding("cluster_ip", "cluster-ip-taken", message, "Choose a free address, or free this one.")]
        return []

    def _check_references(self, settings: Settings) -> list[Finding]:
        node, silent = settings.nodes[0], list[str]()
        for reference in settings.references:
            try:
                ipaddress.IPv4Address(reference)
            except ipaddress.AddressValueError:
                continue
            if self._hands.network.arp(node.phone_nic, reference, sender=node.phone_ip) is None:
                silent.append(reference)
        # One that answers is enough to begin with; with none the keeper would not take the cluster IP.
        some = len(silent) < len(settings.references)
        hint = "Name a host that is always on, such as the gateway; see that the cable is plugged in."
        return [
            Finding(
                "references", "reference-silent", f"The reference {reference} does not answer ARP on {node.phone_nic}.",
                hint, overridable=some,
            )
            for reference in silent
        ]  # fmt: skip

    def facts(self) -> Mapping[str, Any]:
        """What the node will be called and which addresses were found."""
        text = self._notes.get("settings")
        if text is None:
            return {"host_name": self._hands.host.name()}
        node = _parsed(text).nodes[0]
        return {
            "host_name": node.name, "cluster_ip": self._cluster_ip, "phone_ip": node.phone_ip,
            "internal_ip": node.internal_ip, "references": list(_parsed(text).references),
        }  # fmt: skip

    # What is done

    def steps(self) -> Sequence[Step]:
        """The steps in their order."""
        hands = self._hands
        return [
            Step(
                "remember this machine as it is",
                lambda: machine.is_remembered(hands),
                lambda: machine.remember(hands, self._profile_text()),
                lambda: machine.forget_before(hands),
            ),
            Step("make the cluster's SSH key", self._has_key, self._make_key, self._remove_key),
            Step("open the door for the other node", self._door_open, self._open_door, self._close_door),
            Step(
                "write Corosync's key and configuration",
                self._corosync_ready,
                self._write_corosync,
                lambda: machine.give_corosync_back(hands),
            ),
            Step(
                "set the kernel's network switches",
                lambda: machine.switches_are_set(hands),
                lambda: machine.set_switches(hands),
                lambda: machine.forget_switches(hands),
            ),
            Step(
                "hand the workload to the keeper",
                lambda: machine.workload_is_handed_over(hands, self._profile_text()),
                lambda: machine.hand_workload_over(hands, self._profile_text()),
                lambda: machine.take_workload_back(hands),
            ),
            *self._database_steps(),
            Step(
                "write the settings",
                self._settings_written,
                self._write_settings,
                lambda: machine.remove_settings(hands),
            ),
            Step("form the cluster and take the cluster IP", self._is_master, self._form, hands.keeper.forget),
        ]

    def _database_steps(self) -> list[Step]:
        hands, profile = self._hands, machine.shipped_profile(self._hands, self._profile)
        wanted = wanted_by(profile) if profile is not None else None
        if wanted is None or not hands.database.installed():
            return []

        def paired() -> Pairing:
            return pairing(hands, _parsed(self._text().decode()), 1, wanted)

        return [
            Step(
                "make the database ready to be followed",
                lambda: hands.database.managed() is not None and hands.database.is_prepared(paired()),
                lambda: hands.database.prepare(paired(), master=True),
                hands.database.release,
            )
        ]

    def result(self) -> Mapping[str, Any]:
        """The key to paste on the slave."""
        public = machine.cluster_public_key(self._hands)
        return {"ssh_public_key": public, "fingerprint": self._key().fingerprint, "cluster_ip": self._cluster_ip}

    def _profile_text(self) -> str:
        text = machine.shipped_profile(self._hands, self._profile)
        if text is None:
            raise HostFault(
                "no-such-profile", f"The workload profile {self._profile!r} is gone.", "Install Ishmael again."
            )
        return text

    def _text(self) -> bytes:
        return str(self._notes.get("settings")).encode()

    def _has_key(self) -> bool:
        files = self._hands.files
        return files.read(places.CLUSTER_KEY) is not None and files.read(places.CLUSTER_KEY_PUBLIC) is not None

    def _make_key(self) -> None:
        pair = self._hands.keys.generate(places.KEY_MARK)
        self._hands.files.write(places.CLUSTER_KEY, pair.private, 0o600)
        self._hands.files.write(places.CLUSTER_KEY_PUBLIC, pair.public.strip().encode() + b"\n", 0o644)

    def _remove_key(self) -> None:
        self._hands.files.remove(places.JOIN_SECRET)
        self._hands.files.remove(places.CLUSTER_KEY_PUBLIC)
        self._hands.files.remove(places.CLUSTER_KEY)

    def _key(self) -> PublicKey:
        key = read_public_key(machine.cluster_public_key(self._hands))
        if isinstance(key, Finding):
            raise HostFault("cluster-key-damaged", key.message, f"Remove {places.CLUSTER_KEY_PUBLIC} and try again.")
        return key

    def _known_hosts(self) -> bytes:
        return known_hosts({1: machine.own_host_key(self._hands) or ""}).encode()

    def _door_open(self) -> bool:
        pinned = machine.same(self._hands, places.KNOWN_HOSTS, self._known_hosts())
        return pinned and machine.door_is_open(self._hands, self._key())

    def _open_door(self) -> None:
        if self._notes.get("authorized_before") is None:
            self._notes.put("authorized_before", [machine.our_authorized_line(self._hands)])
        machine.open_door(self._hands, self._key())
        self._hands.files.write(places.KNOWN_HOSTS, self._known_hosts(), 0o600)

    def _close_door(self) -> None:
        before = self._notes.get("authorized_before")
        if before is not None:
            machine.write_authorized(self._hands, before[0])
            self._hands.files.remove(places.KNOWN_HOSTS)

    def _corosync_ready(self) -> bool:
        key = self._hands.files.read(places.COROSYNC_KEY)
        conf = corosync_conf(_parsed(self._text().decode())).encode()
        noted = self._notes.get("corosync_key_made") is True
        whole = key is not None and len(key) == KEY_BYTES and self._hands.files.mode(places.COROSYNC_KEY) == 0o400
        rests = machine.corosync_rests(self._hands)
        return noted and whole and rests and machine.same(self._hands, places.COROSYNC_CONF, conf)

    def _write_corosync(self) -> None:
        # A key that lay here before is not ours: whoever else knows it could talk to the cluster.
        machine.rest_corosync(self._hands)
        conf = corosync_conf(_parsed(self._text().decode()))
        machine.CorosyncFiles(conf, self._hands.host.random(KEY_BYTES)).write(self._hands)
        self._notes.put("corosync_key_made", True)

    def _settings_written(self) -> bool:
        return machine.same(self._hands, places.SETTINGS, self._text())

    def _write_settings(self) -> None:
        self._hands.files.write(places.SETTINGS, self._text(), 0o644)

    def _is_master(self) -> bool:
        seen = self._hands.keeper.status()
        return seen.get("role") == Role.MASTER and bool(seen.get("holds_cluster_ip"))

    def _form(self) -> None:
        machine.run_keeper(self._hands)
        if self._hands.keeper.status().get("role") == Role.OUT:
            self._hands.keeper.form()
        wait_until(
            self._hands.clock, self._is_master, _MASTER_LIMIT_S,
            lambda: HostFault(
                "not-master", f"The keeper did not take the cluster IP within {_MASTER_LIMIT_S:.0f} s.",
                "See: ishmael events; journalctl -u ishmael-keeper",
            ),
        )  # fmt: skip


def _parsed(text: str) -> Settings:
    return settings_from_toml(text)


# Findings that other works share


def corosync_missing(node: str) -> Finding:
    """Corosync is not installed, here or on the named node."""
    where, whose = (f" on {node}", "peer") if node else ("", "host")
    return Finding(
        "", "corosync-missing", f"Corosync is not installed{where}.", "Install it: apt install corosync", whose=whose
    )


def host_key_missing() -> Finding:
    """The SSH server has no host key to be known by."""
    message = f"This machine has no SSH host key ({machine.OWN_HOST_KEY})."
    return Finding("", "host-key-missing", message, "Make one: ssh-keygen -A, then systemctl restart ssh", whose="host")


def ssh_closed(objection: str) -> Finding:
    """The SSH server would turn the other node away."""
    hint = "Let root in by key: PermitRootLogin prohibit-password in /etc/ssh/sshd_config, then systemctl reload ssh"
    return Finding("", "ssh-closed", objection, hint, whose="host")


def units_missing(units: Sequence[str], node: str) -> list[Finding]:
    """The machine lacks units of the workload."""
    if not units:
        return []
    where = f" on {node}" if node else ""
    message = f"The workload is not whole{where}: there is no {', no '.join(units)}."
    hint = "Install it first; or go on without, then it is not started."
    return [Finding("profile", "unit-missing", message, hint, overridable=True, whose="peer" if node else "host")]
