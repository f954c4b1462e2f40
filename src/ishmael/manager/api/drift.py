"""Routes about what was changed outside the product: of this node's locked files, and of the files of services."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from ishmael.manager.api.audit import did
from ishmael.manager.appliance import by_hand, kept
from ishmael.manager.appliance.shape import Service
from ishmael.manager.drift import DRIFT_SCHEMA, Drift
from ishmael.manager.ports.hands import Hands
from ishmael.words.errors import RequestRefused

PREFIX = "/api/v1"
_PATH_MAX = 4096


class DriftWish(BaseModel):
    """Which file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    path: str = Field(max_length=_PATH_MAX, description="A path out of the list.")


def add_to(app: FastAPI, drift: Drift, hands: Hands) -> None:
    """Add the routes.

    Args:
        app: to add to.
        drift: knows how files were left.
        hands: ports to look with.
    """

    def listed() -> dict[str, Any]:
        return {
            "schema": DRIFT_SCHEMA,
            "changes": [each.to_mapping() for each in drift.changes()],
            "services": [{"path": path, "service": name} for path, name in drift.of_services().items()],
        }

    @app.get(f"{PREFIX}/drift", tags=["drift"])
    def changes() -> dict[str, Any]:
        """Locked files of this node, and files of services, that were changed outside the product."""
        return listed()

    @app.get(f"{PREFIX}/drift/difference", tags=["drift"])
    def difference(file: Annotated[str, Query(max_length=_PATH_MAX)]) -> dict[str, Any]:
        """What was changed of one of them, as a unified diff."""
        service = kept.all_changed_by_hand(hands).get(file)
        found = drift.difference(file) if service is None else _difference(hands, service, file)
        return {"schema": DRIFT_SCHEMA, "path": file, "difference": found}

    @app.post(f"{PREFIX}/drift/take-over", tags=["drift"])
    def take_over(wish: DriftWish, request: Request) -> dict[str, Any]:
        """From now on the file is meant as it is; answers with what is left."""
        _require_locked(hands, wish.path)
        drift.take_over(wish.path)
        did(request, f"took over the change of {wish.path}")
        return listed()

    @app.post(f"{PREFIX}/drift/put-back", tags=["drift"])
    def put_back(wish: DriftWish, request: Request) -> dict[str, Any]:
        """Give the file the content it had; answers with what is left."""
        _require_locked(hands, wish.path)
        drift.put_back(wish.path)
        did(request, f"put {wish.path} back")
        return listed()


def _difference(hands: Hands, service: Service, path: str) -> str:
    return next((each.difference for each in by_hand.by_hand(hands, service) if each.path == path), "")


def _require_locked(hands: Hands, path: str) -> None:
    """A file of a service is checked and the service restarted, so that a job does it.

    Raises:
        RequestRefused: it is one.
    """
    service = kept.all_changed_by_hand(hands).get(path)
    if service is not None:
        name = service.about.name
        message = f"{path} belongs to the service {name}: a job does it."
        raise RequestRefused(
            "drift-service", message, f"ishmael services take-over {name}, or: ishmael services put-back {name}"
        )
