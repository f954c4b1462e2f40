"""All real drivers, bundled."""

from __future__ import annotations

from ishmael.manager.drivers.checkers import Checkers
from ishmael.manager.drivers.clock import SystemClock
from ishmael.manager.drivers.corosync import RunningCorosync
from ishmael.manager.drivers.files import DiskFiles
from ishmael.manager.drivers.following import ManagersFiles
from ishmael.manager.drivers.host import ThisHost
from ishmael.manager.drivers.keeper import SocketKeeper
from ishmael.manager.drivers.network import KernelNetwork
from ishmael.manager.drivers.own_checks import ManagersChecks
from ishmael.manager.drivers.packages import DebianPackages
from ishmael.manager.drivers.postgres import Postgres
from ishmael.manager.drivers.rsync import Rsync
from ishmael.manager.drivers.services import Systemd
from ishmael.manager.drivers.ssh import OpenSshKeys, SshNode
from ishmael.manager.drivers.surroundings import SeenSurroundings
from ishmael.manager.ports.hands import Hands


def real_hands() -> Hands:
    """The hands that act on this machine."""
    return Hands(
        files=DiskFiles(),
        keeper=SocketKeeper(),
        services=Systemd(),
        network=KernelNetwork(),
        node=SshNode(),
        keys=OpenSshKeys(),
        corosync=RunningCorosync(),
        host=ThisHost(),
        clock=SystemClock(),
        database=Postgres(),
        copies=Rsync(),
        surroundings=SeenSurroundings(),
        programs=Checkers(),
        packages=DebianPackages(),
        following=ManagersFiles(),
        own_checks=ManagersChecks(),
    )
