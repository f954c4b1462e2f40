"""Routes about data: what was kept aside of a former master."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from ishmael.manager.data import fetching
from ishmael.manager.data.salvage import SALVAGE_SCHEMA, Salvage
from ishmael.manager.ports.hands import Hands

PREFIX = "/api/v1"
FILES_SCHEMA = 1
WAIT_MS_MAX = 5000
FindId = Annotated[str, Path(max_length=64)]


class ExportWish(BaseModel):
    """Where to put what was kept."""

    model_config = ConfigDict(extra="forbid", strict=True)

    directory: str = Field(max_length=4096, description="A directory on this node that does not exist yet.")


def add_to(app: FastAPI, hands: Hands, salvage: Salvage, settle: Callable[[float], dict[str, Any]]) -> None:
    """Add the routes.

    Args:
        app: to add to.
        hands: ports, to ask the other node.
        salvage: what is kept on this node.
        settle: waits so many seconds at most until the slave has every file, and says how far it is.
    """

    @app.get(f"{PREFIX}/files", tags=["data"])
    def files(
        wait_ms: Annotated[int, Query(ge=0, le=WAIT_MS_MAX, description="Wait so long until the slave has all.")] = 0,
    ) -> dict[str, Any]:
        """How far the slave's files are, as this master sees it."""
        return {"schema": FILES_SCHEMA, **settle(wait_ms / 1000)}

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
