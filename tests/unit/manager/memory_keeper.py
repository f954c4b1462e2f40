"""A keeper that needs no time, for worlds of two machines in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from ishmael.words.errors import HostFault, RequestRefused
from ishmael.words.roles import Role
from ishmael.words.settings import Settings

if TYPE_CHECKING:
    from manager.world import Machine


class MemoryKeeper:
    """A keeper that needs no time: hears the peer when both run Corosync and both have settings for two."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.role = machine, Role.OUT
        self.record: dict[str, Any] | None = None
        self.deaf, self.never_fit, self.asked, self.why, self.nobody = False, False, list[str](), "", False
        self.told: list[tuple[str, str, dict[str, Any]]] = []
        self.loaded: Settings | None = None

    def _heard(self) -> bool:
        return all(
            m.on and m.corosync.running() and m.keeper.loaded is not None and len(m.keeper.loaded.nodes) == 2
            and not m.keeper.deaf
            for m in (self.machine, self.machine.other)
        )  # fmt: skip

    def status(self, max_age_s: float = 0.0) -> Mapping[str, Any]:
        if not self.machine.services.active("ishmael-keeper.service"):
            raise HostFault("keeper-down", "The keeper of this node does not answer.", "Start it.")
        own = self.loaded.named(self.machine.name) if self.loaded else None
        peer = self.loaded.peer_of(own.id) if self.loaded and own else None
        heard, other = self._heard(), self.machine.other.keeper
        if heard and self.role == Role.WAITING and other.role == Role.MASTER and other.record:
            standing = own is not None and own.id in other.record["standby"]
            self.role = Role.STANDBY if standing else Role.SLAVE
        fit = (
            heard
            and self.role == Role.MASTER
            and other.status()["role"] == Role.SLAVE
            and not (self.never_fit or other.never_fit)
        )
        fit = fit or (heard and self.role == Role.SLAVE and not other.never_fit)
        return {
            "role": self.role, "heard": heard, "fit": fit, "record": self.record, "epoch": "1.1" if self.record else None,
            "master": self._master(), "holds_cluster_ip": self.role == Role.MASTER, "failover_possible": fit, "nobody_serves": self.nobody,
            "failover_blocked_by": [] if fit else ["the slave is not fit"], "out_because": "",
            "peer": None if peer is None else {
                "id": peer.id, "name": peer.name, "role": other.role if heard else None, "online": heard, "fit": fit,
                "reasons": [] if fit else ["its data is not in step"],
            },
        }  # fmt: skip

    def _master(self) -> int | None:
        for machine in (self.machine, self.machine.other):
            own = machine.keeper.loaded.named(machine.name) if machine.keeper.loaded else None
            if machine.keeper.role == Role.MASTER and own:
                return own.id
        return None

    def reload(self) -> None:
        self.status()
        self.loaded = self.machine.settings()
        if self.loaded is None:
            self.role = Role.OUT
        elif self.role == Role.OUT and (self.record or len(self.loaded.nodes) == 2):
            self.role = Role.MASTER if self.record else Role.WAITING

    def form(self) -> None:
        self.asked.append("form")
        if self.loaded is None or self.record is not None:
            raise RequestRefused("already-formed", "no", "")
        self.record, self.role = {"standby": []}, Role.MASTER

    def admit(self, node: int) -> None:
        self.asked.append("admit")
        assert self.record is not None
        self.record["standby"] = [n for n in self.record["standby"] if n != node]
        self.machine.other.keeper.role = Role.SLAVE

    def dismiss(self, node: int) -> None:
        self.asked.append("dismiss")
        if self.record is None:
            raise RequestRefused("not-master", "no", "")
        self.record["standby"] = [node]
        if self._heard():
            self.machine.other.keeper.role = Role.STANDBY

    def serve(self) -> None:
        self.role = Role.MASTER

    def only_notify(self, checks: Collection[str], expires_ms: int) -> None:
        self.asked.append(f"only-notify {' '.join(checks)} for {expires_ms} ms")

    def tell(self, kind: str, why: str, facts: Mapping[str, Any]) -> None:
        self.told.append((kind, why, dict(facts)))

    def switch(self, why: str = "") -> None:
        self.asked.append("switch")
        self.why = why
        if not self.status()["failover_possible"]:
            raise RequestRefused("slave-not-fit", "no", "")
        first, second = self, self.machine.other.keeper
        first.role, second.role = (
            (Role.STANDBY, Role.MASTER) if first.role == Role.MASTER else (Role.MASTER, Role.STANDBY)
        )
        for keeper in (first, second):
            keeper.record = {"standby": [1]}

    def object_to_fitness(self, source: str, reason: str, expires_ms: int) -> None:
        """Nothing in this world asks for fitness."""

    def forget(self) -> None:
        self.asked.append("forget")
        self.record, self.role = None, Role.OUT
