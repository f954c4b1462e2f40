"""Which kinds of job there are, by the names the API and the journal use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ishmael.manager.ports.hands import Hands
from ishmael.manager.works.add_slave import AddSlave
from ishmael.manager.works.apply_network import ApplyNetwork
from ishmael.manager.works.apply_service import ApplyService
from ishmael.manager.works.base import Notes, Work, WorkFactory
from ishmael.manager.works.failover import Failover
from ishmael.manager.works.prepare_slave import PrepareSlave
from ishmael.manager.works.re_add import ReAdd
from ishmael.manager.works.remove_slave import RemoveSlave
from ishmael.manager.works.reset import Reset
from ishmael.manager.works.set_up_master import SetUpMaster

_KINDS: tuple[Callable[[Hands, Mapping[str, Any], Notes], Work], ...] = (
    SetUpMaster, PrepareSlave, AddSlave, RemoveSlave, ReAdd, Failover, Reset, ApplyService, ApplyNetwork,
)  # fmt: skip
NAMES = (
    "setup-master",
    "prepare-slave",
    "add-slave",
    "remove-slave",
    "re-add",
    "failover",
    "reset",
    "apply-service",
    "apply-network",
)


def catalogue(hands: Hands) -> dict[str, WorkFactory]:
    """What makes each kind of work with these hands."""

    def factory(kind: Callable[[Hands, Mapping[str, Any], Notes], Work]) -> WorkFactory:
        return lambda arguments, notes: kind(hands, arguments, notes)

    return {name: factory(kind) for name, kind in zip(NAMES, _KINDS, strict=True)}
