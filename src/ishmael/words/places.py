"""Where things lie on a node. The package, both processes and the command line agree on these paths."""

from __future__ import annotations

SETTINGS = "/etc/ishmael/settings.toml"
PROFILE = "/etc/ishmael/profile.toml"
SHIPPED_PROFILES = "/usr/share/ishmael/profiles"
SSH_DIRECTORY = "/etc/ishmael/ssh"
CLUSTER_KEY = "/etc/ishmael/ssh/id_ed25519"
CLUSTER_KEY_PUBLIC = "/etc/ishmael/ssh/id_ed25519.pub"
KNOWN_HOSTS = "/etc/ishmael/ssh/known_hosts"
AUTHORIZED_KEYS = "/root/.ssh/authorized_keys"
COROSYNC_CONF = "/etc/corosync/corosync.conf"
COROSYNC_KEY = "/etc/corosync/authkey"
SYSCTL = "/etc/sysctl.d/60-ishmael.conf"
EVENTS = "/var/lib/ishmael/events.jsonl"
JOBS = "/var/lib/ishmael/jobs.sqlite"
DATABASE = "/etc/ishmael/database.json"
REPLICATION_PASSWORD = "/etc/ishmael/replication.password"  # noqa: S105 - where it is, not what
DATABASE_JOIN = "/var/lib/ishmael/database-join.json"
SALVAGE = "/var/lib/ishmael/salvage"
BEFORE = "/var/lib/ishmael/before.json"
KEEPER_SOCKET = "/run/ishmael/keeper.sock"
API_SOCKET = "/run/ishmael/api.sock"
DBWATCH_SOCKET = "/run/ishmael/dbwatch.sock"
DATABASE_LOCK = "/run/ishmael/database.lock"
CLUSTER_LOCK = "/run/ishmael/cluster.lock"

WEB_USER = "ishmael-web"
"""User and group of the web process."""

KEY_MARK = "ishmael-cluster"
"""Last word of the line in ``authorized_keys`` that is ours."""
