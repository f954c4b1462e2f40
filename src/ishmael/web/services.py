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

    @app.get("/services")
    async def listed(request: Request) -> Response:
        found = await web.manager.get(web.who(request), "/services")
        return await web.page(request, "services.html", services=found["services"])

    async def again(request: Request, fields: Mapping[str, str], name: str) -> Response:
        return await _form_page(web, request, name, values=fields, password_file=fields.get("password_file", ""))

    web.forms.add("/services/{name}", again)

    @app.get("/services/{name}")
    async def form(request: Request, name: str, job: str = "") -> Response:
        tried = await failed_job(web, web.who(request), job, "apply-service")
        return await _form_page(web, request, name, pairs=tried.get("set", ()) if tried.get("service") == name else ())

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
            return await _form_page(web, request, name, findings=found, problem=None if found else problem, **kept)
        found = by_field(plan["findings"], _names(service))
        kept |= {"plan": agreeable(plan), "mark": mark, "once": agreed.key(), "findings": found, "problem": objection}
        return await _form_page(web, request, name, **kept)

    _add_by_hand(app, web)


async def _form_page(web: Web, request: Request, name: str, status: int = 200, **more: Any) -> Response:
    service = await web.manager.get(web.who(request), f"/services/{segment(name)}")
    values = more.pop("values", None) or shown(service) | tried_again(service, more.pop("pairs", ()))
    given: dict[str, Any] = {"plan": None, "findings": {}, "problem": None, "password_file": "", **more}
    hand = {"hand_mark": await agreed.mark(web, web.who(request), seen_by_hand(service)), "hand_once": agreed.key()}
    return await web.page(request, "service.html", status, service=service, values=values, **hand, **given)


def _add_by_hand(app: FastAPI, web: Web) -> None:
    @app.get("/services/{name}/by-hand")
    async def buttons(request: Request, name: str) -> Response:
        # Where a sign-in leads back to after a session that ended.
        web.who(request)
        return RedirectResponse(f"/services/{segment(name)}", 303)

    @app.post("/services/{name}/by-hand")
    async def by_hand(request: Request, name: str) -> Response:
        fields = await web.form(request)
        who = web.who(request)
        service = await web.manager.get(who, f"/services/{segment(name)}")
        wish = hand_wish(service, fields.get("action", ""))
        mark = await agreed.mark(web, who, seen_by_hand(service))
        problem = agreed.objection(fields, mark, "take-over", "put-back", "drop")
        findings: dict[str, Any] = {}
        if wish is None:
            problem = Problem(
                422, "nothing-chosen", "Nothing was done: no button of this page was pressed.", "Press one."
            )
        if wish is not None and problem is None:
            try:
                job = await web.manager.post(who, "/jobs", wish, agreed.key_of(fields))
                return RedirectResponse(f"/jobs/{job['id']}", 303)
            except Problem as refused:
                findings = by_field(refused.findings, ())
                problem = None if findings else refused
        return await _form_page(web, request, name, 422, findings=findings, problem=problem)


def _names(service: Mapping[str, Any]) -> set[str]:
    return {field["name"] for field in service["fields"]} | {"password_file"}


def seen_by_hand(service: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of changes by hand: what is agreed to holds for them alone."""
    shown = {name: service.get(name) for name in ("name", "by_hand", "own_lines")}
    return {"work": "apply-service", "arguments": shown}


def hand_wish(service: Mapping[str, Any], action: str) -> dict[str, Any] | None:
    """The job of a button about changes by hand; None when it is none of them."""
    given: dict[str, dict[str, Any]] = {
        "take-over": {"own_lines": "take-over"}, "put-back": {}, "drop": {"own_lines": "drop"},
    }  # fmt: skip
    if action not in given:
        return None
    arguments = {"service": service["name"], "set": [], **given[action]}
    return {"work": "apply-service", "arguments": arguments, "override": ["changed-by-hand"]}


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
