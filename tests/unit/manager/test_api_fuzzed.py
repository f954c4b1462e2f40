"""Every route of the API, fed with what its own OpenAPI document allows and with what it does not (schemathesis)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import schemathesis
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS as JUDGES
from schemathesis.checks import load_all_checks
from schemathesis.core.failures import Failure, FailureGroup

from ishmael.checks.catalogue import CHECKS
from ishmael.manager.accounts import AccountsBook
from ishmael.manager.api import audit, checks, data, drift, networks, services
from ishmael.manager.api.app import make_app
from ishmael.manager.data.salvage import Salvage
from ishmael.manager.drift import Drift
from ishmael.manager.jobs.journal import Journal
from ishmael.manager.jobs.queue import Queue
from ishmael.manager.look import Look
from ishmael.manager.watch.cluster import ClusterChecks, Known
from ishmael.manager.watch.mail import Mailer
from ishmael.manager.watch.scheduler import Scheduler
from ishmael.manager.works.base import Notes, Work, WorkFactory
from ishmael.manager.works.catalogue import NAMES, catalogue
from manager.helpers import stage
from manager.world import World

EXAMPLES = 20
MORE_EXAMPLES = {"POST /api/v1/jobs": 100}
"""One route for nine works."""
ROUTES_MIN = 30
BUG = 500
load_all_checks()
JUDGED: Any = JUDGES.get_by_names(
    ["status_code_conformance", "content_type_conformance", "response_schema_conformance", "unsupported_method"]
)


class _NoEvents:
    def newest(self, limit: int) -> list[dict[str, Any]]:
        return []


class _SilentMailer(Mailer):
    """Sends nothing, whatever smarthost was made up."""

    def test(self) -> dict[str, Any]:
        return {"sent_to": "", "took_ms": 0}


def _counted(works: Mapping[str, WorkFactory], reached: set[str]) -> dict[str, WorkFactory]:
    """The same works; whoever is made is noted."""

    def factory(name: str) -> WorkFactory:
        def make(arguments: Mapping[str, Any], notes: Notes) -> Work:
            reached.add(name)
            return works[name](arguments, notes)

        return make

    return {name: factory(name) for name in works}


def _whole_app(where: Path, reached: set[str]) -> FastAPI:
    """All routes of a manager, on the master of a complete cluster in memory; the works that were asked for are noted."""
    world = World()
    stage(world, "complete", where)
    hands, events = world.machines[0].hands, _NoEvents()
    journal = Journal(str(where / "jobs.sqlite"))
    look = Look(hands, events)
    known = Known(hands, events, look)
    scheduler = Scheduler(known.seen, hands.keeper, hands.files, CHECKS)
    cluster = ClusterChecks(hands, scheduler, known, events)
    works = _counted(catalogue(hands), reached)
    app = make_app(Queue(journal, works), journal, look, "0.1.0", AccountsBook(hands.files, lambda _path: None))
    services.add_to(app, hands)
    networks.add_to(app, hands, journal)
    checks.add_to(app, hands, cluster, _SilentMailer(hands, known, events))
    data.add_to(app, hands, Salvage("node1", str(where / "salvage")), lambda _wait_s: {})
    audit.add_to(app, hands.keeper)
    drift.add_to(app, Drift(hands, nullcontext), hands)
    return app


def test_every_answer_is_documented_and_none_is_a_bug(tmp_path: Path) -> None:
    """No answer is a bug (500), or of a status, a media type or a shape that the document does not name; and no work was
    left out, as it is when the document does not say which there are."""
    reached = set[str]()
    asked, wrong = _feed_all(_whole_app(tmp_path, reached))
    assert asked > ROUTES_MIN
    assert wrong == []
    assert reached == set(NAMES)


def test_an_answer_that_is_not_documented_is_found() -> None:
    """The test above can fail: a route that answers what its document does not name, and one with a bug."""
    app = FastAPI(openapi_url="/api/v1/openapi.json")

    @app.get("/teapot")
    def teapot() -> JSONResponse:
        return JSONResponse({}, 418)

    @app.get("/broken", responses={500: {}})
    def broken(number: int) -> JSONResponse:
        return JSONResponse({}, 500 if number < 0 else 200)

    _, wrong = _feed_all(app)
    assert {each.split(":")[0] for each in wrong} == {"GET /teapot", "GET /broken"}


def _feed_all(app: FastAPI) -> tuple[int, list[str]]:
    """Ask every route many times; how many routes there are, and all that was wrong."""
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)
    # An endless answer; what it tells is tested in test_stream.py.
    operations = [each.ok() for each in schema.exclude(path="/api/v1/events/stream").get_all_operations()]  # type: ignore[union-attr]
    return len(operations), [wrong for each in operations for mode in GenerationMode for wrong in _feed(each, mode)]


def _feed(operation: Any, mode: GenerationMode) -> list[str]:
    """Ask one route many times; what was wrong, or nothing."""

    @settings(
        max_examples=MORE_EXAMPLES.get(operation.label, EXAMPLES),
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def asked(case: Any) -> None:
        response = case.call()
        assert response.status_code != BUG, f"{case.as_curl_command()}: {response.text}"
        case.validate_response(response, checks=JUDGED)

    try:
        asked()
    except Unsatisfiable:
        # A route without inputs knows no wrong ones.
        return []
    except (AssertionError, FailureGroup, Failure) as error:
        parts = getattr(error, "exceptions", [error])
        return [f"{operation.label}: {part}" for part in parts]
    return []
