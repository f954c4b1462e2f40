"""The database an admin's phone system would use: a role and a database of its own, reached over the cluster IP."""

from __future__ import annotations

from ishmael.lab import plan
from ishmael.lab.node import Node

ROLE = "lab"
PASSWORD = "pequod"  # noqa: S105 - of a database that lives as long as the lab
URL = f"postgresql://{ROLE}:{PASSWORD}@{plan.CLUSTER_IP}:5432/{ROLE}"
_MANAGED = "/etc/ishmael/database.json"

# What an admin does once, on the master, and what the other node needs in its own configuration.
_ROLE = (f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'", f"CREATE DATABASE {ROLE} OWNER {ROLE}")
_LET_IN = f"""\
for file in /etc/postgresql/*/main/pg_hba.conf; do
  grep -q '^host {ROLE} ' "$file" || echo 'host {ROLE} {ROLE} {plan.CLIENT_IP}/24 scram-sha-256' >>"$file"
done
sync
systemctl reload 'postgresql@*.service'
"""


def is_there(node: Node) -> bool:
    """The node has a replicated database."""
    return node.exec(["test", "-e", _MANAGED], timeout_s=10).returncode == 0


def psql(node: Node, statements: str, base: str = "postgres", timeout_s: float = 60.0) -> str:
    """Run statements on a node as its root may; what they give, one row a line.

    Raises:
        HostFault: they failed.
    """
    words = ["psql", "-h", "/var/run/postgresql", "-U", "ishmael", "-d", base, "-AtqX", "-v", "ON_ERROR_STOP=1"]
    return node.say([*words, "-c", statements], timeout_s=timeout_s).strip()


def make(nodes: tuple[Node, ...]) -> None:
    """Make the role and the database on the first node, and let the client in on both."""
    first = nodes[0]
    if not is_there(first):
        return
    for statement in _ROLE:
        psql(first, statement)
    for node in nodes:
        node.say(["sh", "-euc", _LET_IN])
