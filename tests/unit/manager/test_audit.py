"""Who changed what is told to the event list; what was refused, or only looked at, is not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException, Request

from ishmael.manager.api import audit
from ishmael.words.errors import HostFault


class _Keeper:
    def __init__(self) -> None:
        self.told: list[tuple[str, str, Mapping[str, Any]]] = []
        self.dead = False

    def tell(self, kind: str, why: str, facts: Mapping[str, Any]) -> None:
        if self.dead:
            raise HostFault("keeper-down", "The keeper does not answer.", "")
        self.told.append((kind, why, facts))


@pytest.fixture
def keeper() -> _Keeper:
    return _Keeper()


class _Client:
    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def ask(self, method: str, path: str, **options: Any) -> int:
        """The status of one answer."""

        async def asked() -> int:
            transport = httpx.ASGITransport(app=self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://ishmael") as client:
                return (await client.request(method, f"/api/v1{path}", **options)).status_code

        return asyncio.run(asked())


@pytest.fixture
def client(keeper: _Keeper) -> _Client:
    app = FastAPI()

    @app.delete("/api/v1/users/{name}")
    def remove(name: str) -> dict[str, str]:
        if name == "last":
            raise HTTPException(422)
        return {"name": name}

    @app.get("/api/v1/users")
    def users() -> dict[str, str]:
        return {}

    @app.post("/api/v1/jobs")
    def job(request: Request) -> dict[str, str]:
        audit.did(request, "asked for re-add (job 7)")
        return {}

    @app.post("/api/v1/jobs/plan")
    def plan() -> dict[str, str]:
        return {}

    audit.add_to(app, keeper)  # type: ignore[arg-type]
    return _Client(app)


def test_a_change_is_told(client: _Client, keeper: _Keeper) -> None:
    """By its route, or in the route's own words; nobody named is root."""
    client.ask("DELETE", "/users/bob")
    client.ask("POST", "/jobs")
    assert [(kind, why) for kind, why, _ in keeper.told] == [
        ("did", "root removed the user bob."), ("did", "root asked for re-add (job 7)."),
    ]  # fmt: skip


def test_what_changes_nothing_is_not(client: _Client, keeper: _Keeper) -> None:
    """Looking, planning, and what was refused."""
    assert client.ask("GET", "/users") == 200
    assert client.ask("POST", "/jobs/plan") == 200
    assert client.ask("DELETE", "/users/last") == 422
    assert keeper.told == []


def test_a_sign_in_is_told_once(client: _Client, keeper: _Keeper) -> None:
    """With the address; what strangers typed cannot make a second line."""
    wish = {"kind": "sign-in-refused", "name": "anna\nbob", "address": "10.0.0.5"}
    assert client.ask("POST", "/sign-ins", json=wish) == 202
    assert [why for _, why, _ in keeper.told] == ["Too many wrong passwords for anna?bob from 10.0.0.5."]
    assert client.ask("POST", "/sign-ins", json={**wish, "kind": "became-master"}) == 422


def test_a_keeper_that_is_down_stops_no_change(client: _Client, keeper: _Keeper) -> None:
    """The change was made; the journal says what the list does not."""
    keeper.dead = True
    assert client.ask("DELETE", "/users/bob") == 200
