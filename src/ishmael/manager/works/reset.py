"""Reset: this node becomes a stand-alone machine again; its data stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ishmael.manager.accounts import AccountsBook
from ishmael.manager.ports.hands import Hands
from ishmael.manager.works import machine
from ishmael.manager.works.base import Arguments, Notes, Step
from ishmael.manager.works.taking import Taken, cluster_ip_taken
from ishmael.words import places
from ishmael.words.errors import Finding, HostFault, IshmaelError
from ishmael.words.roles import Role

FORGET_BEFORE = "forget what was before"


class Reset:
    """The work. The other node is not asked and not told: it may be gone.

    Args:
        hands: ports to look and act with.
        raw: optional take_cluster_ip: go on serving the telephones at the cluster IP, as this machine's own address.
        notes: what the job remembers.
    """

    name = "reset"

    def __init__(self, hands: Hands, raw: Mapping[str, Any], notes: Notes) -> None:
        given = Arguments(raw)
        self._hands, self._notes = hands, notes
        self._take = given.flag("take_cluster_ip")
        given.close()

    def check(self) -> list[Finding]:
        """All findings; nothing is touched."""
        hands = self._hands
        if hands.files.read(places.SETTINGS) is None and machine.our_authorized_line(hands) is None:
            return [Finding("", "not-set-up", "This node is not part of a cluster.", "There is nothing to reset.")]
        findings = self._check_taking() if self._take else []
        try:
            seen = hands.keeper.status()
        except IshmaelError as error:
            return [*findings, Finding("", error.code, error.message, error.hint, whose=error.whose)]
        peer = seen.get("peer") or {}
        if seen.get("role") == Role.MASTER and peer.get("online"):
            message = f"{peer.get('name')} is in this cluster and would be left behind without its master."
            return [
                *findings,
                Finding("", "slave-left-behind", message, "Better remove it first: `ishmael remove-slave`.", True),
            ]
        if peer.get("online") and peer.get("role") == Role.MASTER:
            message = f"The master {peer.get('name')} serves; it would go on without a slave."
            return [
                *findings,
                Finding("", "master-alive", message, "Better do this on the master: `ishmael remove-slave`.", True),
            ]
        return findings

    def _check_taking(self) -> list[Finding]:
        settings = machine.read_settings(self._hands)
        own = settings.named(self._hands.host.name()) if settings else None
        if settings is None or own is None:
            message = "This node knows no cluster IP that it could take."
            return [Finding("take_cluster_ip", "no-cluster-ip", message, "Reset it without taking the address.")]
        taken = Taken(settings.cluster_ip, settings.phone_prefix, own.phone_nic)
        self._notes.put("taken", taken.text())
        holder = taken.holder(self._hands)
        return [] if holder is None else [cluster_ip_taken(taken, holder)]

    def facts(self) -> Mapping[str, Any]:
        """What will be gone and what stays."""
        return {"goes": "settings, keys and the cluster IP of this node", "stays": "all data of the workload"}

    def steps(self) -> Sequence[Step]:
        """The steps in their order. None is undone: a reset goes on to its end."""
        steps = leave(self._hands, keep_door=False)
        if self._take:
            steps.append(Step("take the cluster IP as an own address", self._taken, self._take_it))
        return steps

    def _wanted(self) -> Taken:
        return Taken.from_text(str(self._notes.get("taken")))

    def _taken(self) -> bool:
        return self._wanted().is_held(self._hands)

    def _take_it(self) -> None:
        taken = self._wanted()
        holder = taken.holder(self._hands)
        if holder is not None:
            found = cluster_ip_taken(taken, holder)
            # Everything else was done by now, so it is no refusal, which would say that nothing was changed.
            raise HostFault(found.code, found.message, f"This node is reset, without that address. {found.hint}")
        taken.take(self._hands)

    def result(self) -> Mapping[str, Any]:
        """What this node is now."""
        return {"state": "alone", "host_name": self._hands.host.name()}


def leave(hands: Hands, *, keep_door: bool) -> list[Step]:
    """The steps by which a node leaves its cluster.

    Args:
        hands: ports to act with.
        keep_door: the master may add this node again; else its key is shut out.
    """

    keys = (places.CLUSTER_KEY, places.CLUSTER_KEY_PUBLIC, places.KNOWN_HOSTS, places.JOIN_SECRET, places.LAST_SLAVE)

    def gone(*paths: str) -> bool:
        return all(hands.files.read(path) is None for path in paths)

    def remove_keys() -> None:
        for path in keys:
            hands.files.remove(path)

    def forgotten() -> bool:
        seen = hands.keeper.status()
        return seen.get("record") is None and seen.get("role") == Role.OUT

    steps = [
        Step("let go of the cluster IP and forget the record", forgotten, hands.keeper.forget),
        Step(
            "let Corosync stop",
            lambda: machine.corosync_is_back(hands) or not hands.services.active(machine.COROSYNC_UNIT),
            lambda: machine.begin_corosync_rest(hands),
        ),
        Step("end all web sessions", lambda: gone(places.SETTINGS), AccountsBook(hands.files).new_session_key),
        Step("remove the settings", lambda: gone(places.SETTINGS), lambda: machine.remove_settings(hands)),
        Step(
            "remove the cluster's SSH key",
            lambda: gone(*keys),
            remove_keys,
        ),
        Step(
            "forget the kernel's network switches", lambda: gone(places.SYSCTL), lambda: machine.forget_switches(hands)
        ),
        Step("give the database back to the machine", lambda: hands.database.managed() is None, hands.database.release),
        Step(
            "make Corosync what it was before",
            lambda: machine.corosync_is_back(hands),
            lambda: machine.give_corosync_back(hands),
        ),
        Step(
            "give the workload back to the machine",
            lambda: machine.workload_is_back(hands),
            lambda: machine.take_workload_back(hands),
        ),
        Step(FORGET_BEFORE, lambda: gone(places.BEFORE), lambda: machine.forget_before(hands)),
    ]
    if not keep_door:
        steps.append(
            Step(
                "shut the door for the other node",
                lambda: machine.our_authorized_line(hands) is None,
                lambda: machine.write_authorized(hands, None),
            )
        )
    return steps
