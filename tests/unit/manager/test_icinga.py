"""Icinga: the objects that are printed, what is pushed for whom, and how a refusal is borne."""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ishmael.checks.base import Seen
from ishmael.checks.catalogue import CHECKS
from ishmael.manager.certificate import make_pair
from ishmael.manager.watch import icinga as icinga_module
from ishmael.manager.watch.icinga import IcingaPush, Told
from ishmael.manager.watch.icinga_objects import configuration
from ishmael.words.errors import RequestRefused
from ishmael.words.monitoring import Icinga
from ishmael.words.settings import NodeSettings, Settings

NODES = tuple(
    NodeSettings(n, f"pbx{n}", f"10.77.0.1{n}", "eth0", f"02:77:00:00:00:1{n}", f"10.78.0.{n}", "eth1", f"02:78:00:00:00:0{n}")
    for n in (1, 2)
)  # fmt: skip
SETTINGS = Settings("10.77.0.10", 24, 30, ("10.77.0.1",), NODES)


def _named(kind: str, text: str) -> list[str]:
    return re.findall(rf'^object {kind} "(.+)" {{$', text, re.MULTILINE)


def test_a_cluster_is_needed() -> None:
    """Without settings there is nothing to print."""
    with pytest.raises(RequestRefused):
        configuration(None)


def test_every_check_of_both_nodes_has_a_service_that_waits() -> None:
    """And the cluster has telephony; two commands, of which no service runs the failover by itself."""
    text = configuration(SETTINGS)
    assert _named("Host", text) == ["pbx1", "pbx2", "ishmael"]
    assert _named("Service", text) == [check.name for check in CHECKS] * 2 + ["telephony"]
    assert text.count('import "ishmael-passive"') == 2 * len(CHECKS) + 1
    assert _named("CheckCommand", text) + _named("EventCommand", text) == ["ishmael", "ishmael-failover"]
    assert "event_command" not in text and "command_endpoint" not in text
    assert text.count("{") == text.count("}")


def test_for_agents_there_are_two_files() -> None:
    """Services that the nodes' agents run, and the commands apart; telephony is pushed all the same."""
    active, commands = configuration(SETTINGS, "active"), configuration(SETTINGS, "commands")
    assert active.count('import "ishmael-active"') == 2 * len(CHECKS) == active.count("command_endpoint = ")
    assert active.count('import "ishmael-passive"') == 1 and "object CheckCommand" not in active
    assert _named("Service", commands) == [] and _named("CheckCommand", commands) == ["ishmael"]


def test_names_are_quoted_as_icinga_reads_them() -> None:
    r"""Icinga knows \" and \\ but no \u."""
    odd = replace(SETTINGS, cluster_name='Büro "A" \\')
    assert r'object Host "Büro \"A\" \\" {' in configuration(odd)


class _Cluster:
    """Both nodes' checks and the lamp, as they are set."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.unreached = ""

    def all(self) -> dict[str, Any]:
        return {"checks": self.rows, "unreached": self.unreached}

    def lamp(self) -> dict[str, Any]:
        return {"state": "warning", "reasons": [{"title": "RAID", "node": "pbx1", "output": "degraded"}]}


class _Known:
    """pbx1 is master; the other node's role is set."""

    def __init__(self, url: str = "", authority: str = "") -> None:
        self.peer_role = "slave"
        self.icinga = Icinga(url, "ishmael", "right", authority)

    def seen(self) -> Seen:
        return Seen(keeper={"role": "master"}, settings=SETTINGS, own=NODES[0], peer=NODES[1])

    def role_of_peer(self) -> str:
        return self.peer_role

    def monitoring(self) -> Any:
        return SimpleNamespace(icinga=self.icinga)


def _row(node: str, name: str, state: str = "ok", since: str | None = "2026-01-01") -> dict[str, Any]:
    return {"node": node, "name": name, "state": state, "output": f"{name} found", "perfdata": {}, "since": since}


def _results(cluster: _Cluster, known: _Known) -> dict[tuple[str, str], Told]:
    return {(one.host, one.service): one for one in IcingaPush(cluster, known).results()}  # type: ignore[arg-type]


def test_what_a_role_does_not_look_at_is_ok_and_says_so() -> None:
    """No false alarm on a slave; telephony is the lamp with its reasons."""
    cluster, known = _Cluster(), _Known()
    cluster.rows = [_row("pbx1", "ami", "critical"), _row("pbx2", "rsync")]
    found = _results(cluster, known)
    assert found["pbx1", "ami"].state == "critical"
    assert found["pbx2", "ami"] == Told("pbx2", "ami", "ok", "not looked at while pbx2 is slave")
    assert found["pbx1", "rsync"].output == "not looked at while pbx1 is master"
    assert found["ishmael", "telephony"] == Told("ishmael", "telephony", "warning", "RAID on pbx1: degraded")


def test_what_was_not_decided_yet_is_not_told() -> None:
    """A new master's first look may fail once: nothing is pushed before it counts."""
    cluster, known = _Cluster(), _Known()
    cluster.rows = [_row("pbx1", "ami", "critical", since=None)]
    assert ("pbx1", "ami") not in _results(cluster, known)


def test_a_node_on_standby_is_unknown() -> None:
    """Nobody looks at its checks, and nobody is about to."""
    cluster, known = _Cluster(), _Known()
    known.peer_role = "standby"
    found = [one for key, one in _results(cluster, known).items() if key[0] == "pbx2"]
    assert {(one.state, one.output) for one in found} == {("unknown", "not looked at while pbx2 is standby")}
    assert len(found) == len(CHECKS)


def test_a_node_that_is_not_reached_is_unknown() -> None:
    """Neither keeper nor door; what was found last is told along. A keeper that restarts is no such node."""
    cluster, known = _Cluster(), _Known()
    known.peer_role, cluster.rows = "", [_row("pbx2", "disk")]
    assert _results(cluster, known)["pbx2", "disk"].state == "ok"
    cluster.unreached = "no route to host"
    found = _results(cluster, known)
    assert found["pbx2", "disk"] == Told("pbx2", "disk", "unknown", "pbx1 does not reach pbx2; was OK: disk found")
    assert found["pbx2", "ami"].output == "pbx1 does not reach pbx2"
    cluster.rows, cluster.unreached = [], ""
    assert _results(cluster, known)["pbx2", "disk"].state == "unknown"


class _Server:
    """What takes results as Icinga's API does, over TLS."""

    def __init__(self, where: Path) -> None:
        pair = make_pair(["icinga"], ["127.0.0.1"])
        (where / "key.pem").write_text(pair.key)
        self.authority = where / "certificate.pem"
        self.authority.write_text(pair.certificate)
        self.taken: list[dict[str, Any]] = []
        self.unknown: Sequence[str] = ()
        self.status = 200
        self.connections = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                server.connections += 1

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status = 404 if body["service"] in server.unknown else server.status
                if status == 200:
                    server.taken.append({**body, "path": self.path, "login": self.headers["authorization"]})
                self.send_response(status)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: Any) -> None:
                return

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.authority, where / "key.pem")
        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.socket = context.wrap_socket(self.httpd.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.httpd.server_address[1]}"
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[_Server]:
    made = _Server(tmp_path)
    yield made
    made.httpd.shutdown()
    made.httpd.server_close()


def _push(server: _Server, *rows: dict[str, Any]) -> tuple[IcingaPush, _Known, _Cluster]:
    known, cluster = _Known(server.url, str(server.authority)), _Cluster()
    cluster.rows = list(rows)
    return IcingaPush(cluster, known), known, cluster  # type: ignore[arg-type]


def test_one_connection_takes_a_round_and_only_changes_follow(server: _Server) -> None:
    """Everything once, then nothing, then the one that changed; all again where it is told to push elsewhere."""
    task, known, cluster = _push(server, _row("pbx1", "ami"))
    task._push(known.icinga)
    first = next(one for one in server.taken if one["service"] == "pbx1!ami")
    assert (first["exit_status"], first["ttl"], first["path"]) == (0, 180, "/v1/actions/process-check-result")
    assert first["login"] == "Basic aXNobWFlbDpyaWdodA=="
    assert server.connections == 1
    count = len(server.taken)
    task._push(known.icinga)
    assert len(server.taken) == count
    cluster.rows = [_row("pbx1", "ami", "critical")]
    task._push(known.icinga)
    assert [(one["service"], one["exit_status"]) for one in server.taken[count:]] == [("pbx1!ami", 2)]
    task._push(replace(known.icinga, user="other"))
    assert len(server.taken) == 2 * count + 1


def test_a_service_that_icinga_does_not_know_keeps_no_other_from_being_told(
    server: _Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Objects of an older version lack a check: the others are pushed, and the log says which once."""
    task, known, _ = _push(server, _row("pbx1", "ami"), _row("pbx1", "telephony"))
    server.unknown = ("pbx1!ami",)
    task._push(known.icinga)
    assert "ishmael!telephony" in {one["service"] for one in server.taken}
    task._pushed.clear()
    task._push(known.icinga)
    assert caplog.text.count("does not know pbx1!ami") == 1


def test_what_is_refused_is_pushed_again(server: _Server, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong login ends the round; the log says it once, and all is told as soon as it is taken."""
    task, known, _ = _push(server, _row("pbx1", "ami"))
    server.status = 401
    task._push(known.icinga)
    task._push(known.icinga)
    assert server.taken == [] and caplog.text.count("takes no results: 401") == 1
    server.status = 200
    task._push(known.icinga)
    assert "pbx1!ami" in {one["service"] for one in server.taken}


def test_certificates_of_icinga_itself_are_taken(server: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have no key identifiers, which Python asks for from 3.13 on; name and authority are checked all the same."""
    made = ssl.create_default_context

    def strict(**words: Any) -> ssl.SSLContext:
        context = made(**words)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    wire = icinga_module._connection(Icinga(server.url, "ishmael", "right", str(server.authority)))
    context = wire._context  # type: ignore[attr-defined]
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.check_hostname and context.verify_mode is ssl.CERT_REQUIRED
