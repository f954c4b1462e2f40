"""Routes about data: what was kept aside of a former master."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Path
from pydantic import BaseModel, ConfigDict, Field

from ishmael.manager.data import fetching
from ishmael.manager.data.salvage import SALVAGE_SCHEMA, Salvage
from ishmael.manager.ports.hands import Hands

PREFIX = "/api/v1"
FindId = Annotated[str, Path(max_length=64)]


class ExportWish(BaseModel):
    """Where to put what was kept."""

    model_config = ConfigDict(extra="forbid", strict=True)

    directory: str = Field(max_length=4096, description="A directory on this node that does not exist yet.")


def add_to(app: FastAPI, hands: Hands, salvage: Salvage) -> None:
    """Add the routes.

    Args:
        app: to add to.
        hands: ports, to ask the other node.
        salvage: what is kept on this node.
    """

    @app.get(f"{PREFIX}/salvage", tags=["data"])
    def listed() -> dict[str, Any]:
        """All that was kept aside, on both nodes; of the other one when it can be reached."""
        return {"schema": SALVAGE_SCHEMA, **fetching.both(hands, salvage)}

    @app.get(f"{PREFIX}/salvage/{{find_id}}", tags=["data"])
    def shown(find_id: FindId) -> dict[str, Any]:
        """One of them, with the names in it; of this node."""
        found = salvage.find(find_id)
        return {"schema": SALVAGE_SCHEMA, **found.to_mapping(), "names": salvage.names(find_id)}

    @app.post(f"{PREFIX}/salvage/{{find_id}}/export", tags=["data"])
    def exported(find_id: FindId, wish: ExportWish) -> dict[str, Any]:
        """Copy the content of one of them into a new directory of this node."""
        return {"schema": SALVAGE_SCHEMA, **fetching.export(salvage, find_id, wish.directory)}
