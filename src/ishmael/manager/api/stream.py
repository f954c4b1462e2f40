"""Server-sent events: what changes is told at once (HTML Living Standard, section 9.2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from ishmael.manager.jobs.journal import Journal
from ishmael.manager.look import Look
from ishmael.words.errors import HostFault, IshmaelError

_LOOK_S = 0.25
_STATUS_EVERY = 2
_ALIVE_EVERY = 40
_LISTENERS_MAX = 32
_EVENTS = 200
_JOBS = 50


def _told(kind: str, data: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


class Teller:
    """Looks for one listener.

    Args:
        journal: knows the jobs.
        look: status and events.
    """

    def __init__(self, journal: Journal, look: Look) -> None:
        self._journal, self._look = journal, look
        self._status: dict[str, Any] | None = None
        self._jobs: dict[int, tuple[int, object]] = {}
        self._journal_version = -1
        self._events_seen: frozenset[tuple[str, str]] | None = None

    def status(self) -> list[str]:
        """The status, if it is another than before."""
        try:
            now = self._look.status()
        except IshmaelError as error:
            now = {"error": error.message, "hint": error.hint}
        if now == self._status:
            return []
        self._status = now
        return [_told("status", now)]

    def jobs(self) -> list[str]:
        """Jobs that changed; none at the first look."""
        if self._journal.version == self._journal_version:
            return []
        first, self._journal_version = self._journal_version < 0, self._journal.version
        told = []
        for job in reversed(self._journal.jobs(_JOBS)):
            mark = (job.revision, job.amount)
            if self._jobs.get(job.id) != mark and not first:
                told.append(_told("job", job.to_mapping()))
            self._jobs[job.id] = mark
        return told

    def events(self) -> list[str]:
        """Events that came; none at the first look."""
        found = self._look.events(_EVENTS)["events"]
        keys = [(str(event.get("id")), str(event.get("at"))) for event in found]
        seen, self._events_seen = self._events_seen, frozenset(keys)
        if seen is None:
            return []
        return [_told("event", event) for event, key in zip(found, keys, strict=True) if key not in seen]


def add_to(app: FastAPI, prefix: str, journal: Journal, look: Look) -> None:
    """Add the stream's route."""
    listeners = [0]

    async def tell() -> AsyncIterator[str]:
        listeners[0] += 1
        try:
            teller, turn = Teller(journal, look), 0
            while not journal.closing:
                pieces = await asyncio.to_thread(_pieces, teller, turn)
                if turn % _ALIVE_EVERY == 0:
                    pieces.append(": alive\n\n")
                for piece in pieces:
                    yield piece
                turn += 1
                await asyncio.sleep(_LOOK_S)
        finally:
            listeners[0] -= 1

    @app.get(f"{prefix}/events/stream", tags=["look"], responses={200: {"content": {"text/event-stream": {}}}})
    async def stream() -> StreamingResponse:
        """Server-sent events: `status` (first and whenever it changes), `event`, `job`; a comment now and then."""
        if listeners[0] >= _LISTENERS_MAX:
            raise HostFault("too-many-listeners", f"{_LISTENERS_MAX} listeners are served already.", "Try again later.")
        return StreamingResponse(tell(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _pieces(teller: Teller, turn: int) -> list[str]:
    pieces = teller.jobs()
    if turn % _STATUS_EVERY == 0:
        pieces += teller.status() + teller.events()
    return pieces
