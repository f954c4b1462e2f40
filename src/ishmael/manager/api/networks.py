"""Routes about this node's network interfaces and host name; they are changed by the job `apply-network`."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict

from ishmael.manager.api.audit import did
from ishmael.manager.jobs.journal import Journal
from ishmael.manager.jobs.model import Job, JobState
from ishmael.manager.ports.hands import Hands
from ishmael.manager.works.apply_network import CONFIRM_S, KEPT, ApplyNetwork
from ishmael.words import places
from ishmael.words.errors import RequestRefused

PREFIX = "/api/v1"
NETWORK_SCHEMA = 1
_DEFAULT_ROUTE = "0.0.0.0/0"


class Answer(BaseModel):
    """What the admin says about the new settings."""

    model_config = ConfigDict(extra="forbid", strict=True)
    keep: bool = True


def add_to(app: FastAPI, hands: Hands, journal: Journal) -> None:
    """Add the routes.

    Args:
        app: to add to.
        hands: ports to look with.
        journal: knows the job that waits.
    """

    @app.get(f"{PREFIX}/network", tags=["appliance"])
    def network() -> dict[str, Any]:
        """The interfaces, the host name, and whether new settings wait to be confirmed."""
        return {"schema": NETWORK_SCHEMA, **_seen(hands), "waiting": _waiting_facts(journal, hands)}

    @app.post(f"{PREFIX}/network/confirm", tags=["appliance"])
    def confirm(answer: Answer, request: Request) -> dict[str, Any]:
        """Keep the new settings, or take them back at once."""
        job = _waiting(journal)
        if job is None:
            raise RequestRefused(
                "nothing-to-confirm", "No new network settings wait to be confirmed.", "See: ishmael jobs"
            )
        journal.put_note(job.id, KEPT, answer.keep)
        did(request, "confirmed the network settings" if answer.keep else "took the network settings back")
        return {"schema": NETWORK_SCHEMA, "job": job.id, "keep": answer.keep}


def _waiting(journal: Journal) -> Job | None:
    """The job that waits for the admin."""
    for job in journal.unfinished():
        if job.work == ApplyNetwork.name and job.state == JobState.RUNNING and journal.note(job.id, "placed"):
            return job
    return None


def _waiting_facts(journal: Journal, hands: Hands) -> dict[str, Any] | None:
    job = _waiting(journal)
    if job is None:
        return None
    until = journal.note(job.id, "until") or ["", 0.0]
    return {"job": job.id, "left_s": max(0, min(round(CONFIRM_S), round(until[1] - hands.clock.now_s())))}


def _seen(hands: Hands) -> dict[str, Any]:
    nics = hands.network.nics()
    default = next((route for route in hands.network.routes() if route.destination == _DEFAULT_ROUTE), None)
    servers = [
        words[1] for line in (hands.files.read("/etc/resolv.conf") or b"").decode(errors="replace").splitlines()
        if (words := line.split())[:1] == ["nameserver"] and len(words) > 1
    ]  # fmt: skip
    return {
        "host_name": hands.host.name(),
        "locked": hands.files.read(places.SETTINGS) is not None,
        "gateway": default.gateway if default else None,
        "gateway_nic": default.nic if default else None,
        "dns": servers,
        "nics": [
            {"name": nic.name, "mac": nic.mac, "up": nic.up, "carrier": nic.carrier, "addresses": list(nic.addresses),
             "speed_mbit": hands.network.speed_mbit(nic.name), "managed_by": hands.network.manager_of(nic.name)}
            for nic in nics
        ],
    }  # fmt: skip
