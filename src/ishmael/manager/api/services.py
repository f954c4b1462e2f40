"""Routes about the services of the appliance; they are changed by the job `apply-service`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Path
from pydantic import BaseModel, ConfigDict, Field

from ishmael.manager.appliance import by_hand, kept
from ishmael.manager.appliance.shape import Service
from ishmael.manager.ports.hands import Hands
from ishmael.words import places
from ishmael.words.errors import RequestRefused

PREFIX = "/api/v1"
SERVICES_SCHEMA = 1
_PASSWORD_MAX = 253
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

    @app.post(f"{PREFIX}/services/{{name}}/password", tags=["appliance"], status_code=201)
    def password(name: Name, wish: NewPassword) -> dict[str, Any]:
        """Lay a new password aside; the job `apply-service` with this `password_file` takes it."""
        return {"schema": SERVICES_SCHEMA, "password_file": _keep_password(hands, kept.named(name), wish.password)}


class NewPassword(BaseModel):
    """The password of a service's login."""

    model_config = ConfigDict(extra="forbid", strict=True)
    password: Annotated[str, Field(min_length=1, max_length=_PASSWORD_MAX)]


def _keep_password(hands: Hands, service: Service, password: str) -> str:
    """Lay a password aside, for root alone, until a job takes it.

    Returns:
        The path, for the job's argument ``password_file``.

    Raises:
        RequestRefused: it cannot be a password of one line.
    """
    if not all(" " <= char <= "~" for char in password):
        raise RequestRefused(
            "password-unreadable", "The password has a character that no mail server takes.",
            "Use letters, digits and signs of ASCII.",
        )  # fmt: skip
    path = f"{places.SERVICES_PASSWORDS}/{service.about.name}"
    hands.files.write(path, password.encode() + b"\n", 0o600)
    return path


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
        "by_hand": [each.to_mapping() for each in by_hand.by_hand(hands, service)],
        "own_lines": by_hand.lines_of_own(hands, service),
        "trouble": kept.notes(hands).get(about.name, {}).get("trouble", ""),
        "fields": [
            {"name": f.name, "what": f.what, "default": f.default, "least": f.least, "most": f.most}
            for f in about.fields
        ],
    }
