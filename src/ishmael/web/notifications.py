"""Who is told by mail, through which server; and a test mail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from ishmael.web.manager import Problem

if TYPE_CHECKING:
    from ishmael.web.app import Web

_FAILOVER_CHECKS = ("F1", "F2", "F3", "F4")
_TEXTS = ("host", "security", "user", "sender", "to", "language", "ca_file")


def add_to(app: FastAPI, web: Web) -> None:
    """Add the routes."""

    async def page(request: Request, status: int = 200, **more: Any) -> Response:
        who = web.who(request)
        monitoring = await web.manager.get(who, "/monitoring")
        report = await web.manager.get(who, "/mail")
        values = {**{k: str(v) for k, v in monitoring["mail"].items()}, "password": ""}
        values |= {f"only_{name}": "1" for name in monitoring["notify_only"]}
        given = {"problem": None, "sent": None, "values": values, **more}
        has_password = bool(monitoring["mail"]["password"])
        return await web.page(request, "notifications.html", status, report=report, has_password=has_password, **given)

    async def again(request: Request, fields: Mapping[str, str]) -> Response:
        return await page(request, values={**fields, "password": ""})

    web.forms.add("/notifications", again)

    @app.get("/notifications")
    async def shown(request: Request) -> Response:
        return await page(request)

    @app.post("/notifications")
    async def changed(request: Request) -> Response:
        fields = await web.form(request)
        who = web.who(request)
        try:
            if fields.get("action") == "test":
                require_saved(await web.manager.get(who, "/monitoring"), fields)
                return await page(request, sent=await web.manager.post(who, "/mail/test", {}))
            await web.manager.put(who, "/monitoring", wish_of(fields))
        except Problem as problem:
            return await page(request, 422, problem=problem, values={**fields, "password": ""})
        return RedirectResponse("/notifications", 303)


def wish_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """What ``PUT /monitoring`` is asked for; an empty password leaves the one that is set.

    Raises:
        Problem: the port is no number.
    """
    mail: dict[str, Any] = {name: fields.get(name, "").strip() for name in _TEXTS if name in fields}
    port = fields.get("port", "").strip()
    if not (port.isascii() and port.isdecimal() and len(port) < 6):
        raise Problem(422, "monitoring-invalid", "The port is a number from 1 to 65535.")
    mail["port"] = int(port)
    if fields.get("password"):
        mail["password"] = fields["password"]
    return {"mail": mail, "notify_only": [name for name in _FAILOVER_CHECKS if fields.get(f"only_{name}")]}


def require_saved(monitoring: Mapping[str, Any], fields: Mapping[str, str]) -> None:
    """A test mail goes by what is saved, so nothing else may stand in the form.

    Raises:
        Problem: something was typed and not saved.
    """
    saved = {name: str(monitoring["mail"].get(name, "")) for name in (*_TEXTS, "port")}
    if fields.get("password") or any(fields[name].strip() != text for name, text in saved.items() if name in fields):
        raise Problem(
            422, "not-saved", "No test mail was sent: what you typed is not saved.",
            "Save it first; a password must be typed again. Then send the test mail.",
        )  # fmt: skip
