"""Routes about checks: how they stand, look now, acknowledge, the maintenance window, the lamp, metrics, and mail."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Header, Path, Query
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from ishmael.manager.ports.hands import Hands
from ishmael.manager.watch.cluster import ClusterChecks, Known
from ishmael.manager.watch.icinga_objects import Part, configuration
from ishmael.manager.watch.mail import Mailer
from ishmael.manager.watch.metrics import CONTENT_TYPE
from ishmael.manager.works import machine
from ishmael.words import places
from ishmael.words.errors import RequestRefused
from ishmael.words.monitoring import Monitoring, monitoring_from_mapping
from ishmael.words.roles import Role

PREFIX = "/api/v1"
CheckId = Annotated[str, Path(max_length=40)]
Node = Annotated[str, Query(max_length=64)]
User = Annotated[str, Header(alias="X-Ishmael-User", max_length=64)]


class Acknowledgement(BaseModel):
    """The admin knows."""

    model_config = ConfigDict(extra="forbid", strict=True)
    why: str = Field(default="", max_length=200)


class Window(BaseModel):
    """A maintenance window."""

    model_config = ConfigDict(extra="forbid", strict=True)
    minutes: int = Field(ge=1, le=1440)
    why: str = Field(default="", max_length=200)


class MonitoringWish(BaseModel):
    """Tables of the monitoring file to be changed; keys that are left out stay."""

    model_config = ConfigDict(extra="forbid", strict=True)
    mail: dict[str, Any] | None = None
    icinga: dict[str, Any] | None = None
    ami: dict[str, Any] | None = None
    notify_only: list[str] | None = None
    ntp_servers: list[str] | None = None
    raid: bool | None = None


def add_to(app: FastAPI, hands: Hands, cluster: ClusterChecks, mailer: Mailer) -> None:
    """Add the routes."""
    _add_checks(app, cluster)
    _add_watching(app, cluster)
    _add_telling(app, hands, cluster, mailer)


def _add_checks(app: FastAPI, cluster: ClusterChecks) -> None:
    @app.get(f"{PREFIX}/checks", tags=["checks"])
    def checks() -> dict[str, Any]:
        """All checks of both nodes, as the master knows them; on a slave its own."""
        return cluster.all()

    @app.post(f"{PREFIX}/checks/{{check_id}}/run", tags=["checks"])
    def run(check_id: CheckId, node: Node = "") -> dict[str, Any]:
        """Look now, on this node or the one that is named."""
        return {"schema": 1, **cluster.run_now(check_id, node)}

    @app.post(f"{PREFIX}/checks/{{check_id}}/acknowledge", tags=["checks"])
    def acknowledge(check_id: CheckId, wish: Acknowledgement, user: User = "admin", node: Node = "") -> dict[str, Any]:
        """The admin knows of a problem, of this node or the one that is named: it counts no more for the lamp until it is well."""
        return {"schema": 1, **cluster.acknowledge(check_id, user, wish.why, node)}

    @app.get(f"{PREFIX}/checks/{{check_id}}/history", tags=["checks"])
    def history(check_id: CheckId, node: Node = "") -> dict[str, Any]:
        """Its last changes on this node or the one that is named, oldest first."""
        return {"schema": 1, "history": cluster.history(check_id, node)}


def _add_watching(app: FastAPI, cluster: ClusterChecks) -> None:
    scheduler = cluster.scheduler

    @app.get(f"{PREFIX}/lamp", tags=["checks"])
    def lamp() -> dict[str, Any]:
        """One worst state, its reasons in order of importance, and what to do about each."""
        return cluster.lamp()

    @app.get(f"{PREFIX}/maintenance", tags=["checks"])
    def maintenance() -> dict[str, Any]:
        """The maintenance window of both nodes, if one is open."""
        return {"schema": 1, **scheduler.maintenance()}

    @app.post(f"{PREFIX}/maintenance", tags=["checks"])
    def begin(wish: Window) -> dict[str, Any]:
        """Open one: the checks of both nodes send no mail for so long."""
        window = scheduler.begin_maintenance(wish.minutes, wish.why)
        cluster.bring_to_heard()
        return {"schema": 1, **window}

    @app.delete(f"{PREFIX}/maintenance", tags=["checks"])
    def end() -> dict[str, Any]:
        """Close it, on both nodes."""
        window = scheduler.end_maintenance()
        cluster.bring_to_heard()
        return {"schema": 1, **window}

    @app.get(f"{PREFIX}/metrics", tags=["checks"], response_class=PlainTextResponse)
    def metrics() -> PlainTextResponse:
        """For Prometheus."""
        return PlainTextResponse(cluster.metrics(), media_type=CONTENT_TYPE)


def _add_telling(app: FastAPI, hands: Hands, cluster: ClusterChecks, mailer: Mailer) -> None:
    known = cluster.known

    @app.get(f"{PREFIX}/monitoring", tags=["checks"])
    def monitoring() -> dict[str, Any]:
        """The monitoring file, without passwords."""
        return known.monitoring().shown()

    @app.put(f"{PREFIX}/monitoring", tags=["checks"])
    def change(wish: MonitoringWish) -> dict[str, Any]:
        """Change it; the master brings it to the slave before it answers, or as soon as that one is heard."""
        _require_the_last_word(known)
        with cluster.bringing:
            changed = merged(known.monitoring(), wish.model_dump(exclude_none=True))
            hands.files.write(places.MONITORING, changed.to_toml().encode(), 0o600)
            cluster.bring_to_heard()
        return changed.shown()

    @app.get(f"{PREFIX}/mail", tags=["checks"])
    def mail() -> dict[str, Any]:
        """What waits to be sent, and how the last try ended."""
        return {"schema": 1, **mailer.report()}

    @app.post(f"{PREFIX}/mail/test", tags=["checks"])
    def test_mail() -> dict[str, Any]:
        """Send a test mail now; the error says at what it failed."""
        return {"schema": 1, **mailer.test()}

    @app.get(f"{PREFIX}/icinga/config", tags=["checks"], response_class=PlainTextResponse)
    def icinga(part: Part = "all") -> PlainTextResponse:
        """Host, service and command objects for Icinga 2; in two parts for one with agents on the nodes."""
        return PlainTextResponse(configuration(machine.read_settings(hands), part))


def _require_the_last_word(known: Known) -> None:
    """What a slave changes beside a master that is heard would be written over by that one's file.

    Raises:
        RequestRefused: it is changed on the master.
    """
    if known.seen().side != "master" and known.role_of_peer() == Role.MASTER:
        raise RequestRefused("not-master", "This is changed on the master, which brings it here.", "ishmael status")


def merged(now: Monitoring, wish: dict[str, Any]) -> Monitoring:
    """The file with some keys changed.

    Raises:
        RequestRefused: a value that cannot be, by name.
    """
    tables = {
        name: {key: getattr(getattr(now, name), key) for key in getattr(now, name).__slots__}
        for name in ("mail", "icinga", "ami")
    }
    plain = {"notify_only": now.notify_only, "ntp_servers": now.ntp_servers, "raid": now.raid}
    for name, value in wish.items():
        if name in tables:
            tables[name] |= value
        else:
            plain[name] = value
    return monitoring_from_mapping({**tables, **plain})
