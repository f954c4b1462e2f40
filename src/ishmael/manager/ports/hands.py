"""All ports, bundled for the works."""

from __future__ import annotations

from dataclasses import dataclass

from ishmael.manager.ports.clock import Clock
from ishmael.manager.ports.copies import Copies
from ishmael.manager.ports.corosync import Corosync
from ishmael.manager.ports.database import Databases
from ishmael.manager.ports.files import Files
from ishmael.manager.ports.following import Following
from ishmael.manager.ports.host import Host
from ishmael.manager.ports.keeper import Keeper
from ishmael.manager.ports.network import Network
from ishmael.manager.ports.node import Keys, Node
from ishmael.manager.ports.own_checks import OwnChecks
from ishmael.manager.ports.packages import Packages
from ishmael.manager.ports.programs import Programs
from ishmael.manager.ports.services import Services
from ishmael.manager.ports.surroundings import Surroundings


@dataclass(frozen=True, slots=True)
class Hands:
    """What a work may look at and act with."""

    files: Files
    keeper: Keeper
    services: Services
    network: Network
    node: Node
    keys: Keys
    corosync: Corosync
    host: Host
    clock: Clock
    database: Databases
    copies: Copies
    surroundings: Surroundings
    programs: Programs
    packages: Packages
    following: Following
    own_checks: OwnChecks
