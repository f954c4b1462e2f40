"""Appliance > Cluster management: the works as forms, checked before anything happens, then followed as jobs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from ishmael.web import agreed, checks
from ishmael.web.manager import Problem, Who

if TYPE_CHECKING:
    from ishmael.web.app import Web


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form.

    Args:
        name: of the work's argument.
        label, help: texts, translated when shown.
        kind: ``text``, ``nic``, ``lines`` (several, one a line), ``key`` (long text).
        optional: may stay empty.
        example: shown in the empty field.
    """

    name: str
    label: str
    help: str = ""
    kind: str = "text"
    optional: bool = False
    example: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """One work as an admin sees it.

    Args:
        work: name of the kind of job.
        title, intro, button: texts.
        fields: its inputs.
        grave: ends or moves something; the button says so by its colour.
    """

    work: str
    title: str
    intro: str
    button: str
    fields: tuple[Field, ...] = ()
    grave: bool = False


_NUMBER_MAX = 16
_NAME = Field("name", "Host name of the slave", "As `hostname` says there.", example="pbx2")
_PHONE_IP = Field("phone_ip", "Its address on the telephone network", example="192.168.1.12")
_INTERNAL_IP = Field("internal_ip", "Its address on the internal network", "At the direct cable.", example="10.255.0.2")
_OPTIONAL = tuple(replace(field, optional=True) for field in (_NAME, _PHONE_IP, _INTERNAL_IP))

FORMS: dict[str, Form] = {
    form.work: form
    for form in (
        Form(
            "setup-master",
            "Set up master",
            "This node becomes the first master. Phones, gateways and browsers will use the cluster IP.",
            "Set up the master",
            (
                Field("cluster_ip", "Cluster IP", "A free address of the telephone network.", example="192.168.1.10"),
                Field("phone_nic", "Telephone NIC", "Where phones and gateways are.", kind="nic"),
                Field("internal_nic", "Internal NIC", "Where the direct cable to the other node is.", kind="nic"),
                Field("email", "Notification e-mail", "Who is told when something happens.", optional=True,
                      example="admin@example.org"),
                Field("references", "References",
                      "Hosts on the telephone network that always answer, such as the gateway and a switch; one a line.",
                      kind="lines", example="192.168.1.1"),
            ),
        ),
        Form(
            "prepare-slave",
            "Prepare slave",
            "This node will let the master add it. Paste the join code that the master shows, or its SSH public key.",
            "Prepare this node",
            (Field("key", "Join code or SSH public key of the master",
                   "The join code says where this node is, so that nothing is typed at the master.", kind="key"),),
        ),
        Form(
            "add-slave",
            "Add slave",
            "The prepared node joins this cluster and follows the master. Telephony goes on meanwhile. "
            "Was it prepared with the join code, leave the fields empty.",
            "Add the slave",
            _OPTIONAL,
        ),
        Form(
            "re-add",
            "Re-add slave",
            "The other node comes back as slave. Leave the fields as they are, unless the machine was replaced.",
            "Re-add the slave",
            _OPTIONAL,
        ),
        Form(
            "failover",
            "Switch over",
            "Everything moves to the slave in one go. Calls in progress are cut. "
            "This node then is on standby and must be re-added.",
            "Switch over now",
            grave=True,
        ),
        Form(
            "remove-slave",
            "Remove slave",
            "The slave leaves the cluster; telephony is not touched. It keeps its data as of now, as a backup.",
            "Remove the slave",
            grave=True,
        ),
        Form(
            "reset",
            "Reset this node",
            "This node leaves the cluster and stands alone again. Its data stays. "
            "If it is master, phones lose the cluster IP.",
            "Reset this node",
            grave=True,
        ),
    )
}  # fmt: skip


def proposed(status: Mapping[str, Any]) -> list[str]:
    """The works that make sense in this state, most likely first."""
    state, role = status.get("state"), status.get("role")
    nodes = list(status.get("nodes") or [])
    if state == "alone":
        return ["setup-master", "prepare-slave"]
    if state == "slave-prepared":
        return ["prepare-slave", "setup-master", "reset"]
    if role == "master" and len(nodes) == 1:
        return ["add-slave", "reset"]
    if role == "master":
        other: Mapping[str, Any] = next((node for node in nodes if node["name"] != status.get("node")), {})
        works = ["failover"] if status.get("failover_possible") else []
        works += ["re-add"] if other.get("role") != "slave" else []
        return [*works, "remove-slave", "reset"]
    if role == "slave" and status.get("failover_possible"):
        return ["failover", "reset"]
    return ["reset"]


def arguments_of(form: Form, fields: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of the work; empty fields are left out, lists split at line ends and commas."""
    given: dict[str, Any] = {}
    for field in form.fields:
        text = fields.get(field.name, "").strip()
        if field.kind == "lines":
            items = [item.strip() for item in text.replace(",", "\n").splitlines() if item.strip()]
            if items:
                given[field.name] = items
        elif text:
            given[field.name] = text
    return given


async def _form_page(
    web: Web, request: Request, form: Form, who: Who, values: Mapping[str, str], **more: Any
) -> Response:
    nics: list[Mapping[str, Any]] = []
    if any(field.kind == "nic" for field in form.fields):
        nics = (await web.manager.get(who, "/nics"))["nics"]
    shown: dict[str, Any] = {"plan": None, "findings": {}, "problem": None, **more}
    return await web.page(request, "form.html", form=form, values=values, nics=nics, **shown)


def by_field(findings: Iterable[Mapping[str, Any]], names: Collection[str]) -> dict[str, list[Mapping[str, Any]]]:
    """Findings under the field (one of ``names``) they are about; under ``""`` those about none that is shown."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for finding in findings:
        base = str(finding.get("field", "")).split("[")[0].split(".")[0]
        found.setdefault(base if base in names else "", []).append(finding)
    return found


def overrides(fields: Mapping[str, str]) -> list[str]:
    """Codes of the findings that the admin goes on in spite of, by the ticked boxes of a form."""
    return [name.removeprefix("override-") for name in fields if name.startswith("override-")]


def agreeable(plan: dict[str, Any]) -> dict[str, Any] | None:
    """The plan, to be agreed to; None when something stands against it that nobody may override."""
    return plan if all(finding["overridable"] for finding in plan["findings"]) else None


async def failed_job(web: Web, who: Who, number: str, work: str) -> Mapping[str, Any]:
    """The arguments of a job that is tried again; none when it is no job of this work."""
    if not (number.isascii() and number.isdecimal() and len(number) < _NUMBER_MAX):
        return {}
    job = await web.manager.get(who, f"/jobs/{number}")
    return dict(job["arguments"]) if job["work"] == work else {}


def tried_again(form: Form, arguments: Mapping[str, Any]) -> dict[str, str]:
    """The fields of a form as a job had them; the manager never shows the secret of a join code."""
    values = {}
    for field in form.fields:
        value = arguments.get(field.name)
        if isinstance(value, list):
            values[field.name] = "\n".join(map(str, value))
        elif value and not str(value).endswith("..."):
            values[field.name] = str(value)
    return values


def _remembered(form: Form, status: Mapping[str, Any]) -> dict[str, str]:
    """What is proposed in the fields: the remembered data of the other node."""
    if form.work == "add-slave":
        last = status.get("last_slave") or {}
        return {name: str(last.get(name) or "") for name in ("name", "phone_ip", "internal_ip")}
    if form.work != "re-add":
        return {}
    other: Mapping[str, Any] = next((n for n in status.get("nodes") or [] if n["name"] != status.get("node")), {})
    return {name: str(other.get(name) or "") for name in ("name", "phone_ip", "internal_ip")}


def add_to(app: FastAPI, web: Web) -> None:
    """Add the routes."""

    async def overview(request: Request, status: int = 200, **more: Any) -> Response:
        who = web.who(request)
        seen = await web.manager.get(who, "/status")
        key = (await web.manager.get(who, "/cluster-key"))["public_key"]
        window = await web.manager.get(who, "/maintenance")
        shown = {"problem": None, "minutes": "60", "why": "", **more}
        works = [FORMS[name] for name in proposed(seen)]
        return await web.page(request, "cluster.html", status, works=works, key=key, maintenance=window, **shown)

    async def window_again(request: Request, fields: Mapping[str, str]) -> Response:
        return await overview(request, minutes=fields.get("minutes", ""), why=fields.get("why", ""))

    web.forms.add("/cluster", window_again)

    @app.get("/cluster")
    async def management(request: Request) -> Response:
        return await overview(request)

    @app.post("/cluster")
    async def maintenance(request: Request) -> Response:
        fields = await web.form(request)
        try:
            await checks.set_window(web, web.who(request), fields)
        except Problem as problem:
            return await overview(
                request, 422, problem=problem, minutes=fields.get("minutes", ""), why=fields.get("why", "")
            )
        return RedirectResponse("/cluster", 303)

    @app.get("/join-code")
    async def not_yet(request: Request) -> Response:
        web.who(request)
        return RedirectResponse("/cluster", 303)

    @app.post("/join-code")
    async def join_code(request: Request) -> Response:
        await web.form(request)
        code = (await web.manager.post(web.who(request), "/join-code", {}))["join_code"]
        return await web.page(request, "join.html", code=code)

    _add_forms(app, web)


def _add_forms(app: FastAPI, web: Web) -> None:
    async def again(request: Request, fields: Mapping[str, str], work: str) -> Response:
        return await _form_page(web, request, _form(work), web.who(request), fields)

    web.forms.add("/cluster/{work}", again)

    @app.get("/cluster/{work}")
    async def form(request: Request, work: str, job: str = "") -> Response:
        who, wanted = web.who(request), _form(work)
        values = _remembered(wanted, await web.manager.get(who, "/status"))
        values |= tried_again(wanted, await failed_job(web, who, job, work))
        return await _form_page(web, request, wanted, who, values)

    @app.post("/cluster/{work}")
    async def sent(request: Request, work: str) -> Response:
        wanted = _form(work)
        fields = await web.form(request)
        who = web.who(request)
        arguments = arguments_of(wanted, fields)
        names = {field.name for field in wanted.fields}
        wish = {"work": wanted.work, "arguments": arguments, "override": overrides(fields)}
        try:
            mark = await agreed.mark(web, who, wish)
            objection = agreed.objection(fields, mark, "do")
            if fields.get("action") == "do" and objection is None:
                job = await web.manager.post(who, "/jobs", wish, agreed.key_of(fields))
                # The job of a failover stays on this node, which is not at the cluster IP any more: the overview shows the move.
                return RedirectResponse("/" if wanted.work == "failover" else f"/jobs/{job['id']}", 303)
            plan = await web.manager.post(who, "/jobs", {**wish, "dry_run": True})
        except Problem as problem:
            found = by_field(problem.findings, names)
            more = {"findings": found, "problem": None if found else problem}
            return await _form_page(web, request, wanted, who, fields, **more)
        found = by_field(plan["findings"], names)
        shown = {"plan": agreeable(plan), "mark": mark, "once": agreed.key(), "findings": found, "problem": objection}
        return await _form_page(web, request, wanted, who, fields, **shown)


def _form(work: str) -> Form:
    if work not in FORMS:
        raise HTTPException(404, "There is no such page.")
    return FORMS[work]
