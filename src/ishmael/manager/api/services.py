"""Routes about the services of the appliance; they are changed by the job `apply-service`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Path

from ishmael.manager.appliance import kept
from ishmael.manager.appliance.shape import Service
from ishmael.manager.ports.hands import Hands

PREFIX = "/api/v1"
SERVICES_SCHEMA = 1
Name = Annotated[str, Path(max_length=64)]


def add_to(app: FastAPI, hands: Hands) -> None:
    """Add the routes.

    Args:
        app: to add to.
        hands: ports to look with.
    """

    @app.get(f"{PREFIX}/services", tags=["appliance"])
    def listed() -> dict[str, Any]:
        """All services of this node, with their settings and how they are."""
        return {"schema": SERVICES_SCHEMA, "services": [seen(hands, each) for each in kept.SERVICES.values()]}

    @app.get(f"{PREFIX}/services/{{name}}", tags=["appliance"])
    def shown(name: Name) -> dict[str, Any]:
        """One of them."""
        return {"schema": SERVICES_SCHEMA, **seen(hands, kept.named(name))}


def seen(hands: Hands, service: Service) -> dict[str, Any]:
    """A service as it is on this node."""
    about = service.about
    return {
        "name": about.name,
        "title": about.title,
        "package": about.package,
        "installed": hands.programs.installed(about.program),
        "runs_on": "master" if about.with_master else "both",
        "settings": kept.settings(hands, service),
        "password_set": bool(kept.secret(hands, service)),
        "units": {unit: hands.services.active(unit) for unit in about.units},
        "changed_by_hand": kept.changed_by_hand(hands, service),
        "trouble": kept.notes(hands).get(about.name, {}).get("trouble", ""),
        "fields": [
            {"name": f.name, "what": f.what, "default": f.default, "least": f.least, "most": f.most}
            for f in about.fields
        ],
    }
