"""Prometheus: the text is what its parser reads, escapes included, and what is not known is not there."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from ishmael.checks.base import Seen
from ishmael.manager.api import checks as routes
from ishmael.manager.look import Look
from ishmael.manager.watch.cluster import ClusterChecks, Known
from ishmael.manager.watch.mail import Mailer
from ishmael.manager.watch.metrics import exposition
from ishmael.manager.watch.scheduler import Scheduler
from manager.test_watch import _List
from manager.world import World

_LABEL = r'[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*"'
_SAMPLE = re.compile(rf"([a-zA-Z_:][\w:]*)(?:\{{({_LABEL}(?:,{_LABEL})*)\}})? (-?[0-9.e+]+)")


def _read(text: str) -> dict[str, float]:
    """Samples by name and labels; fails where the format's grammar is broken."""
    assert text.endswith("\n")
    found: dict[str, float] = {}
    helped, typed = set[str](), set[str]()
    for line in text.splitlines():
        if line.startswith("# "):
            kind, name = line.split(" ")[1:3]
            seen = {"HELP": helped, "TYPE": typed}[kind]
            assert name not in seen, f"{kind} of {name} twice"
            seen.add(name)
            continue
        sample = _SAMPLE.fullmatch(line)
        assert sample is not None, line
        assert sample[1] in helped and sample[1] in typed, line
        key = sample[1] + (f"{{{sample[2]}}}" if sample[2] else "")
        assert key not in found, f"{key} twice"
        found[key] = float(sample[3])
    return found


def _status(**more: Any) -> dict[str, Any]:
    nodes = [
        {"name": "pbx1", "role": "master", "online": True, "fit": True},
        {"name": "pbx2", "role": None, "online": False, "fit": False},
    ]
    return {
        "node": "pbx1", "version": "1.0", "role": "master", "nodes": nodes, "epoch": "12.2", "failover_possible": False,
        "links": {"phone": True, "internal": None}, "telephony": {"calls": 3, "phones": None},
        "sync": {"db_lag_bytes": 123456789, "canary_age_ms": None, "file_lag_ms": 1500}, **more,
    }  # fmt: skip


def test_roles_fitness_states_epoch_and_lags_are_told() -> None:
    """In base units; what is not known has no sample, and its metric no heading."""
    rows = [{"id": "N1", "name": "ami", "node": "pbx1", "state": "critical"}]
    text = exposition(_status(), rows, "critical")
    found = _read(text)
    assert found['ishmael_check_state{id="N1",check="ami",node="pbx1"}'] == 2
    assert found["ishmael_lamp_state"] == 2 and found["ishmael_master"] == 1 and found["ishmael_epoch"] == 12
    assert found['ishmael_node_role{node="pbx1",role="master"}'] == 1
    assert found['ishmael_node_fit{node="pbx2"}'] == 0 == found["ishmael_failover_possible"]
    assert found["ishmael_database_lag_bytes"] == 123456789 and found["ishmael_file_lag_seconds"] == 1.5
    assert 'network="internal"' not in text and "ishmael_canary_age_seconds" not in text


def test_a_slave_and_a_node_without_a_keeper_are_no_masters() -> None:
    """Over both nodes the sum of ishmael_master is the number of those that serve."""
    assert _read(exposition(_status(role="slave"), [], "ok"))["ishmael_master"] == 0
    found = _read(exposition(_status(role=None, epoch=None, version=None), [], "unknown"))
    assert found["ishmael_master"] == 0 and "ishmael_epoch" not in found and found["ishmael_lamp_state"] == 3


@pytest.mark.parametrize(
    ("name", "written"), [('a"b', r"a\"b"), ("a\\b", r"a\\b"), ("a\nb", r"a\nb"), ("Büro", "Büro"), ("a,b}", "a,b}")]
)
def test_labels_are_escaped(name: str, written: str) -> None:
    """Backslash, quote and line feed, and nothing else."""
    rows = [{"id": "N1", "name": name, "node": "pbx1", "state": "ok"}]
    assert (
        _read(exposition(_status(), rows, "ok"))[f'ishmael_check_state{{id="N1",check="{written}",node="pbx1"}}'] == 0
    )


def test_the_route_answers_with_the_formats_type() -> None:
    """`GET /metrics` on a node that is not set up yet: no master, and readable."""
    hands, events, app = World().machines[0].hands, _List(), FastAPI()
    known = Known(hands, events, Look(hands, events))
    cluster = ClusterChecks(hands, Scheduler(Seen, hands.keeper, hands.files), known, events)
    routes.add_to(app, hands, cluster, Mailer(hands, known, events))

    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://ishmael") as client:
            return await client.get("/api/v1/metrics")

    answer = asyncio.run(asked())
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert _read(answer.text)["ishmael_master"] == 0
