"""The lab's way into the web interface: an admin whose password lies beside the lab's state."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ishmael.lab import plan
from ishmael.lab.node import Node
from ishmael.lab.plan import LabPlan
from ishmael.words.errors import HostFault

URL = f"https://{plan.CLUSTER_IP}/"
USER = "lab"


def password_file(lab: LabPlan) -> Path:
    """Where the password lies, 0600."""
    return plan.RUN / lab.name / "web-password"


def make_user(lab: LabPlan, master: Node) -> None:
    """Add the admin on the master, as an admin would; the slave gets it by itself.

    Raises:
        HostFault: the product refused.
    """
    secret = secrets.token_urlsafe(18)
    handle = os.open(password_file(lab), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as out:
        out.write(secret + "\n")
    words = ["ishmael", "user", "add", USER, "--role", "admin", "--password-stdin"]
    done = master.exec(words, stdin=secret + "\n")
    if done.returncode != 0 and "user-exists" not in done.stderr:
        raise HostFault("no-web-user", f"The lab's web user could not be made: {done.stderr.strip()}")


def access(lab: LabPlan) -> dict[str, str] | None:
    """How to sign in, or None while the lab has no web user."""
    place = password_file(lab)
    return {"url": URL, "user": USER, "password_file": str(place)} if place.exists() else None
