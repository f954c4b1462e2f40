"""The plan of a lab: what its nodes, networks, files and control groups are called. Everything else asks here.

All names follow from the lab's name, so that a lab left over from a crash can be cleaned up without its state file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ishmael.words.errors import RequestRefused

DEFAULT_NAME = "lab"
CACHE = Path("/var/cache/ishmael-lab")
RUN = Path("/run/ishmael-lab")
STORE = Path("/var/lib/ishmael-lab")

PHONE_NIC = "phone0"
CABLE_NIC = "cable0"
PREFIX_LENGTH = 24
CABLE_PREFIX_LENGTH = 30
CLUSTER_IP = "10.77.0.10"
GATEWAY_IP = "10.77.0.1"
REFERENCE_IP = "10.77.0.2"
CLIENT_IP = "10.77.0.50"
NODE_NAMES = ("node1", "node2")
ECHO_PORT = 7707
"""UDP port of the echo service that the probe asks on the cluster IP."""


@dataclass(frozen=True)
class NodePlan:
    """One node: its names outside, and its addresses inside.

    Args:
        lab: name of the lab it belongs to.
        name: host name (``node1``).
        number: 1 or 2.
    """

    lab: str
    name: str
    number: int

    @property
    def phone_ip(self) -> str:
        return f"10.77.0.{10 + self.number}"

    @property
    def internal_ip(self) -> str:
        return f"10.78.0.{self.number}"

    @property
    def phone_mac(self) -> str:
        return f"02:77:00:00:00:1{self.number}"

    @property
    def cable_mac(self) -> str:
        return f"02:78:00:00:00:0{self.number}"

    @property
    def machine(self) -> str:
        """Name of the container and of its network namespace."""
        return f"ishmael-{self.lab}-{self.name}"

    @property
    def netns(self) -> str:
        return self.machine

    @property
    def port(self) -> str:
        """The bridge's end of the node's telephone link, inside the network's namespace."""
        return f"p-{self.name}"

    @property
    def parked_cable(self) -> str:
        """What the node's end of the cable is called while its namespace is made anew."""
        return f"c-{self.name}"

    @property
    def run_directory(self) -> Path:
        return RUN / self.lab / self.name

    @property
    def store(self) -> Path:
        return STORE / self.lab / self.name

    @property
    def image(self) -> Path:
        """The node's disk for ``/etc`` and ``/var``: what a power cut can take from."""
        return self.store / "disk.ext4"

    @property
    def machine_id(self) -> str:
        return f"{0x15AAE1 + self.number:06x}".ljust(32, "0")


@dataclass(frozen=True)
class LabPlan:
    """The whole lab.

    Args:
        name: short name; labs of different names live side by side.
    """

    name: str = DEFAULT_NAME

    def __post_init__(self) -> None:
        if not (self.name.isascii() and self.name.isalnum() and self.name.islower() and len(self.name) <= 12):
            raise RequestRefused(
                "lab-name",
                f"'{self.name}' cannot be the name of a lab.",
                "Use up to 12 lower-case letters and digits.",
            )

    @property
    def nodes(self) -> tuple[NodePlan, ...]:
        return tuple(NodePlan(self.name, name, number) for number, name in enumerate(NODE_NAMES, start=1))

    def node(self, name: str) -> NodePlan:
        """The node of this name.

        Raises:
            RequestRefused: there is no such node.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        raise RequestRefused("no-such-node", f"The lab has no node '{name}'.", f"Nodes: {', '.join(NODE_NAMES)}.")

    @property
    def run_directory(self) -> Path:
        return RUN / self.name

    @property
    def store(self) -> Path:
        return STORE / self.name

    @property
    def state_file(self) -> Path:
        return self.run_directory / "state.json"

    @property
    def network_netns(self) -> str:
        """Namespace of the telephone network's bridge."""
        return f"ishmael-{self.name}-net"

    @property
    def client_netns(self) -> str:
        return f"ishmael-{self.name}-client"

    @property
    def gateway_netns(self) -> str:
        return f"ishmael-{self.name}-gateway"

    @property
    def reference_netns(self) -> str:
        return f"ishmael-{self.name}-reference"

    @property
    def phone_netns(self) -> str:
        """Of a telephone that gets its address by DHCP; there while somebody wants it."""
        return f"ishmael-{self.name}-phone"

    @property
    def namespaces(self) -> tuple[str, ...]:
        return (
            self.network_netns,
            self.gateway_netns,
            self.reference_netns,
            self.client_netns,
            *(node.netns for node in self.nodes),
        )

    @property
    def cgroup(self) -> str:
        """Name of the lab's control group, below the root of each hierarchy."""
        return f"ishmael-lab-{self.name}"
