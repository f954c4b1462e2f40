"""Routes about what was changed outside the product of this node's locked files."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query
from pydantic import BaseModel, ConfigDict, Field

from ishmael.manager.drift import DRIFT_SCHEMA, Drift

PREFIX = "/api/v1"
_PATH_MAX = 4096


class DriftWish(BaseModel):
    """Which file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    path: str = Field(max_length=_PATH_MAX, description="A path out of the list.")


def add_to(app: FastAPI, drift: Drift) -> None:
    """Add the routes.

    Args:
        app: to add to.
        drift: knows how files were left.
    """

    def listed() -> dict[str, Any]:
        return {"schema": DRIFT_SCHEMA, "changes": [each.to_mapping() for each in drift.changes()]}

    @app.get(f"{PREFIX}/drift", tags=["drift"])
    def changes() -> dict[str, Any]:
        """Locked files of this node that were changed outside the product."""
        return listed()

    @app.get(f"{PREFIX}/drift/difference", tags=["drift"])
    def difference(file: Annotated[str, Query(max_length=_PATH_MAX)]) -> dict[str, Any]:
        """What was changed of one of them, as a unified diff."""
        return {"schema": DRIFT_SCHEMA, "path": file, "difference": drift.difference(file)}

    @app.post(f"{PREFIX}/drift/take-over", tags=["drift"])
    def take_over(wish: DriftWish) -> dict[str, Any]:
        """From now on the file is meant as it is; answers with what is left."""
        drift.take_over(wish.path)
        return listed()

    @app.post(f"{PREFIX}/drift/put-back", tags=["drift"])
    def put_back(wish: DriftWish) -> dict[str, Any]:
        """Give the file the content it had; answers with what is left."""
        drift.put_back(wish.path)
        return listed()
