"""Appliance > Services: the services beside the phone system; checked, shown as a difference, then applied or collected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from ishmael.web import agreed
from ishmael.web.cluster import agreeable, by_field, failed_job, overrides
from ishmael.web.manager import Problem, Who
from ishmael.web.people import segment

if TYPE_CHECKING:
    from ishmael.web.app import Web


def add_to(app: FastAPI, web: Web) -> None:
    """Add the routes."""

    async def form_page(request: Request, name: str, status: int = 200, **more: Any) -> Response:
        service = await web.manager.get(web.who(request), f"/services/{segment(name)}")
        values = more.pop("values", None) or shown(service) | tried_again(service, more.pop("pairs", ()))
        given: dict[str, Any] = {"plan": None, "findings": {}, "problem": None, "password_file": "", **more}
        return await web.page(request, "service.html", status, service=service, values=values, **given)

    @app.get("/services")
    async def listed(request: Request) -> Response:
        found = await web.manager.get(web.who(request), "/services")
        return await web.page(request, "services.html", services=found["services"])

    async def again(request: Request, fields: Mapping[str, str], name: str) -> Response:
        return await form_page(request, name, values=fields, password_file=fields.get("password_file", ""))

    web.forms.add("/services/{name}", again)

    @app.get("/services/{name}")
    async def form(request: Request, name: str, job: str = "") -> Response:
        tried = await failed_job(web, web.who(request), job, "apply-service")
        return await form_page(request, name, pairs=tried.get("set", ()) if tried.get("service") == name else ())

    @app.post("/services/{name}")
    async def sent(request: Request, name: str) -> Response:
        fields = await web.form(request)
        who = web.who(request)
        service = await web.manager.get(who, f"/services/{segment(name)}")
        kept: dict[str, Any] = {"values": fields, "password_file": fields.get("password_file", "")}
        try:
            kept["password_file"] = await _password(web, who, name, fields)
            wish = _wish(service, fields, kept["password_file"])
            mark = await agreed.mark(web, who, wish)
            objection = agreed.objection(fields, mark, "do", "collect")
            if fields.get("action") in ("do", "collect") and objection is None:
                wish["pending"] = fields["action"] == "collect"
                job = await web.manager.post(who, "/jobs", wish, agreed.key_of(fields))
                return RedirectResponse("/jobs" if fields["action"] == "collect" else f"/jobs/{job['id']}", 303)
            plan = await web.manager.post(who, "/jobs", {**wish, "dry_run": True})
        except Problem as problem:
            found = by_field(problem.findings, _names(service))
            return await form_page(request, name, findings=found, problem=None if found else problem, **kept)
        found = by_field(plan["findings"], _names(service))
        kept |= {"plan": agreeable(plan), "mark": mark, "once": agreed.key(), "findings": found, "problem": objection}
        return await form_page(request, name, **kept)


def _names(service: Mapping[str, Any]) -> set[str]:
    return {field["name"] for field in service["fields"]} | {"password_file"}


def shown(service: Mapping[str, Any]) -> dict[str, str]:
    """The settings of a service as texts of a form; lists one a line, a ticked box as ``true``."""
    values = {}
    for name, value in service["settings"].items():
        if isinstance(value, bool):
            values[name] = "true" if value else ""
        elif isinstance(value, list):
            values[name] = "\n".join(map(str, value))
        else:
            values[name] = str(value)
    return values


def tried_again(service: Mapping[str, Any], pairs: Iterable[str]) -> dict[str, str]:
    """The fields as a job had them (``name=value``), as texts of a form."""
    given = dict(pair.partition("=")[::2] for pair in pairs)
    values = {}
    for field in service["fields"]:
        text = given.get(field["name"])
        if text is None:
            continue
        if isinstance(field["default"], bool):
            values[field["name"]] = "true" if text == "true" else ""
        else:
            values[field["name"]] = text.replace(",", "\n") if isinstance(field["default"], list) else text
    return values


def _wish(service: Mapping[str, Any], fields: Mapping[str, str], password_file: str) -> dict[str, Any]:
    pairs = []
    for field in service["fields"]:
        text = fields.get(field["name"], "")
        if isinstance(field["default"], bool):
            text = "true" if text else "false"
        elif isinstance(field["default"], list):
            text = ",".join(line.strip() for line in text.replace(",", "\n").splitlines() if line.strip())
        pairs.append(f"{field['name']}={text}")
    arguments: dict[str, Any] = {"service": service["name"], "set": pairs}
    if password_file:
        arguments["password_file"] = password_file
    return {"work": "apply-service", "arguments": arguments, "override": overrides(fields)}


async def _password(web: Web, who: Who, name: str, fields: Mapping[str, str]) -> str:
    """Where the manager keeps the new password until the job is done; it never comes back into a page."""
    if not fields.get("password"):
        return fields.get("password_file", "")
    kept = await web.manager.post(who, f"/services/{segment(name)}/password", {"password": fields["password"]})
    return str(kept["password_file"])
