"""Errors as problem documents (RFC 9457): type, title, status, detail, and whose, code, hint, findings."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ishmael.words.errors import Bug, Finding, HostFault, IshmaelError, PeerFault, RequestRefused

MEDIA_TYPE = "application/problem+json"
_STATUS: tuple[tuple[type[IshmaelError], int, str], ...] = (
    (RequestRefused, 422, "Refused, nothing was changed"),
    (PeerFault, 502, "The other node's fault"),
    (HostFault, 503, "This machine's fault"),
)
_BY_CODE = {
    "no-such-job": 404, "no-such-route": 404, "no-such-method": 405,
    "not-root": 403, "only-looking": 403, "no-user-named": 403,
}  # fmt: skip
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "whose", "code", "hint", "findings"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "whose": {"type": "string", "enum": ["request", "peer", "host", "ishmael"]},
        "code": {"type": "string"},
        "hint": {"type": "string"},
        "findings": {"type": "array", "items": {"type": "object"}},
    },
}
DOCUMENTED: dict[int | str, dict[str, Any]] = {
    status: {"description": title, "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}
    for status, title in (
        (403, "Not allowed"), (404, "There is no such thing"), (405, "Not with this method"),
        *((status, title) for _, status, title in _STATUS), (500, "A bug in Ishmael"),
    )
}  # fmt: skip


def problem(error: IshmaelError) -> JSONResponse:
    """The answer that tells an error."""
    status, title = next(((s, t) for kind, s, t in _STATUS if isinstance(error, kind)), (500, "A bug in Ishmael"))
    status = _BY_CODE.get(error.code, status)
    return JSONResponse(
        {
            "type": f"urn:ishmael:problem:{error.code}",
            "title": title,
            "status": status,
            "detail": error.message,
            "whose": error.whose,
            "code": error.code,
            "hint": error.hint,
            "findings": [asdict(finding) for finding in error.findings],
        },
        status,
        media_type=MEDIA_TYPE,
    )


def add_to(app: FastAPI) -> None:
    """Let every error of the application become a problem document."""

    @app.exception_handler(IshmaelError)
    def told(_: Request, error: IshmaelError) -> JSONResponse:
        return problem(error)

    @app.exception_handler(RequestValidationError)
    def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        findings = tuple(
            Finding(
                ".".join(str(part) for part in each["loc"][1:]), "malformed", f"{each['msg']}.", "See openapi.json."
            )
            for each in error.errors()
        )
        return problem(
            RequestRefused("malformed", "The request is not of the form it should have.", "See openapi.json.", findings)
        )

    @app.exception_handler(HTTPException)
    def unrouted(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 405:
            answer = problem(
                RequestRefused("no-such-method", f"{request.method} does not work here.", "See openapi.json.")
            )
            answer.headers.update(error.headers or {})
            return answer
        if error.status_code == 404:
            return problem(
                RequestRefused("no-such-route", f"There is no {request.url.path[:200]}.", "See openapi.json.")
            )
        return problem(RequestRefused("malformed", str(error.detail), "See openapi.json."))

    @app.exception_handler(Exception)
    def bug(_: Request, error: Exception) -> JSONResponse:
        # The server logs where it came from.
        return problem(
            Bug("bug", f"This is a bug in Ishmael: {type(error).__name__}.", "See: journalctl -u ishmael-manager")
        )
