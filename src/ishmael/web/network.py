"""Appliance > Network interfaces: what there is, both interfaces and the host name as a form, and the confirmation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from ishmael.web import agreed
from ishmael.web.cluster import Field, Form, agreeable, arguments_of, by_field, failed_job, overrides, tried_again
from ishmael.web.manager import Problem

if TYPE_CHECKING:
    from ishmael.web.app import Web

FORM = Form(
    "apply-network",
    "Network interfaces",
    "Two interfaces: one towards the telephones, one for the direct cable to the other node. "
    "New settings are taken back after 60 seconds unless you confirm them at the new address.",
    "Apply now",
    (
        Field("host_name", "Host name of this node", "The two nodes need different ones.", optional=True, example="pbx1"),
        Field("phone_nic", "Telephone NIC", "Where phones and gateways are.", kind="nic"),
        Field("phone_address", "Its address and prefix length", example="192.168.1.11/24"),
        Field("gateway", "Gateway", "Of the telephone network.", optional=True, example="192.168.1.1"),
        Field("dns", "Name servers", "one a line", kind="lines", optional=True, example="192.168.1.1"),
        Field("internal_nic", "Internal NIC", "Where the direct cable to the other node is.", kind="nic"),
        Field("internal_address", "Its address and prefix length", "A network of its own, such as 10.255.0.0/30.",
              example="10.255.0.1/30"),
    ),
)  # fmt: skip


def add_to(app: FastAPI, web: Web) -> None:
    """Add the routes."""

    async def page(request: Request, status: int = 200, **more: Any) -> Response:
        seen = await web.manager.get(web.who(request), "/network")
        values = more.pop("values", None) or proposed(seen)
        shown: dict[str, Any] = {"plan": None, "findings": {}, "problem": None, **more}
        return await web.page(request, "network.html", status, form=FORM, seen=seen, values=values, **shown)

    async def again(request: Request, fields: Mapping[str, str]) -> Response:
        return await page(request, values=fields)

    web.forms.add("/network", again)

    @app.get("/network")
    async def form(request: Request, job: str = "") -> Response:
        tried = await failed_job(web, web.who(request), job, FORM.work)
        return await page(request, values=tried_again(FORM, tried))

    @app.post("/network")
    async def sent(request: Request) -> Response:
        fields = await web.form(request)
        who, names = web.who(request), {field.name for field in FORM.fields}
        wish = {"work": FORM.work, "arguments": arguments_of(FORM, fields), "override": overrides(fields)}
        try:
            if fields.get("action") in ("keep", "take-back"):
                await web.manager.post(who, "/network/confirm", {"keep": fields["action"] == "keep"})
                return RedirectResponse("/network", 303)
            mark = await agreed.mark(web, who, wish)
            objection = agreed.objection(fields, mark, "do")
            if fields.get("action") == "do" and objection is None:
                await web.manager.post(who, "/jobs", wish, agreed.key_of(fields))
                return RedirectResponse("/network", 303)
            plan = await web.manager.post(who, "/jobs", {**wish, "dry_run": True})
        except Problem as problem:
            found = by_field(problem.findings, names)
            return await page(request, values=fields, findings=found, problem=None if found else problem)
        found = by_field(plan["findings"], names)
        shown: dict[str, Any] = {"plan": agreeable(plan), "mark": mark, "once": agreed.key(), "problem": objection}
        return await page(request, values=fields, findings=found, **shown)


def proposed(seen: Mapping[str, Any]) -> dict[str, str]:
    """The form as things are: the interface with the default route is the telephones', the next one the cable's."""
    nics = list(seen["nics"])
    nics.sort(key=lambda nic: nic["name"] != seen["gateway_nic"])
    values = {"host_name": seen["host_name"], "gateway": seen["gateway"] or "", "dns": "\n".join(seen["dns"])}
    for which, nic in zip(("phone", "internal"), nics, strict=False):
        values[f"{which}_nic"] = nic["name"]
        values[f"{which}_address"] = (nic["addresses"] or [""])[0]
    return values
