"""Runs this node's checks: each look in a thread of its own, so that one that is stuck delays no other.

A probe that starts programs kills them at its own limit; a thread that is still stuck after the check's limit is given
up: its result counts no more, and the check is UNKNOWN and not started again until that thread has ended.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ishmael.checks.base import Check, Result, Seen, State, unknown
from ishmael.checks.catalogue import CHECKS
from ishmael.manager.ports.files import Files
from ishmael.manager.ports.keeper import Keeper
from ishmael.manager.watch.standing import Standing
from ishmael.manager.watch.window import WindowBook, moment
from ishmael.words import places
from ishmael.words.errors import IshmaelError, RequestRefused
from ishmael.words.roles import Role

log = logging.getLogger(__name__)
_LOOK_S = 0.25
_HISTORY = 50
_RUN_WAIT_S = 30.0
_FIRST_SPREAD_S = 0.4
_HANDOVER_PAUSE_S = 30.0
_UNDECIDED_S = 10.0
"""A keeper that has waited for longer will not be what it was."""
CHECKS_SCHEMA = 1


def now_text() -> str:
    """Wall time as ISO 8601, UTC, in milliseconds."""
    return moment(datetime.now(UTC))


class Scheduler:
    """A background task.

    Args:
        look: what probes may know.
        keeper: takes events, and a hand-over when the RAID is critical.
        files: writes what the door shows.
        checks: all of them.
    """

    name = "checks"

    def __init__(
        self, look: Callable[[], Seen], keeper: Keeper, files: Files, checks: Sequence[Check] = CHECKS
    ) -> None:
        self._look, self._keeper, self._files = look, keeper, files
        self._all = {check.id: check for check in checks}
        self._lock = threading.RLock()
        self._standing: dict[str, Standing] = {}
        self._due: dict[str, float] = {}
        self._running: dict[str, float] = {}
        self._done = threading.Condition(self._lock)
        self._histories: dict[str, list[dict[str, Any]]] = {}
        self._untold: list[tuple[str, str, dict[str, Any]]] = []
        self._seen = Seen()
        self._decided_s = 0.0
        self.windows = WindowBook(files)
        self._handed_s = -_HANDOVER_PAUSE_S
        self._dirty = True

    # --- the task ---------------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Look until told to stop."""
        self._recall()
        looked_s = 0.0
        while not stop.wait(_LOOK_S):
            now_s = time.monotonic()
            if now_s - looked_s >= 1.0:
                looked_s = now_s
                self._see()
            self._give_up(now_s)
            for check in self._to_start(now_s):
                self._start(check, now_s)
            self._tell()
            self._save()

    def _see(self) -> None:
        # A keeper that is restarted, and at first waits, makes nobody forget an alarm, and who has acknowledged it.
        seen, now_s = self._look(), time.monotonic()
        if seen.keeper.get("role") != Role.WAITING:
            self._decided_s = now_s
        self._seen = replace(seen, last_side=self._seen.side if now_s - self._decided_s <= _UNDECIDED_S else "")
        self._choose()

    @property
    def side(self) -> str:
        """Which side's checks are looked at here: ``master``, ``slave`` or empty."""
        return self._seen.side

    def _choose(self) -> None:
        """Only what belongs to this node's role is looked at; what belongs no more is forgotten."""
        side = self._seen.side
        with self._lock:
            for number, check in enumerate(self._all.values()):
                if side in check.sides and check.id not in self._standing:
                    self._standing[check.id] = Standing(check)
                    self._due.setdefault(check.id, time.monotonic() + number * _FIRST_SPREAD_S)
                    self._dirty = True
                elif side not in check.sides and self._standing.pop(check.id, None) is not None:
                    self._due.pop(check.id, None)
                    self._dirty = True

    def _to_start(self, now_s: float) -> list[Check]:
        with self._lock:
            return [
                standing.check
                for key, standing in self._standing.items()
                if key not in self._running and self._due.get(key, 0.0) <= now_s
            ]

    def _start(self, check: Check, now_s: float) -> None:
        with self._lock:
            self._running[check.id] = now_s
        threading.Thread(target=self._probe, args=(check, now_s), name=f"check {check.id}", daemon=True).start()

    def _probe(self, check: Check, begun_s: float) -> None:
        try:
            result = check.probe(self._seen)
        except Exception as error:
            log.exception("the check %s failed", check.id)
            result = unknown(f"the probe failed: {type(error).__name__}: {error}"[:300])
        with self._lock:
            late = self._running.get(check.id) != begun_s
            if not late:
                del self._running[check.id]
                self._take(check, result)
            elif self._running.get(check.id) == -begun_s:
                del self._running[check.id]
            self._done.notify_all()

    def _give_up(self, now_s: float) -> None:
        with self._lock:
            for key, begun_s in list(self._running.items()):
                if begun_s > 0 and now_s - begun_s > self._all[key].limit_s:
                    # Negative: the thread is stuck; it clears this when it ends.
                    self._running[key] = -begun_s
                    self._take(self._all[key], unknown(f"no result within {self._all[key].limit_s:.0f} s"))
                    self._done.notify_all()

    def _take(self, check: Check, result: Result) -> None:
        standing = self._standing.get(check.id)
        if standing is None:
            return
        before = standing.hard
        kinds = standing.take(result, now_text())
        self._due[check.id] = time.monotonic() + standing.due_s
        if kinds or standing.hard != before:
            self._dirty = True
            history = self._histories.setdefault(check.id, [])
            history.append({"at": standing.since, "state": result.state.name.lower(), "output": result.output})
            del history[:-_HISTORY]
        for kind in kinds:
            self._note(kind, standing)
        self._raid(standing)

    def _note(self, kind: str, standing: Standing) -> None:
        last, state = standing.last, standing.hard
        assert last is not None and state is not None
        check = standing.check
        why = f"{check.title[0]} ({check.id}) is {state.name}: {last.output}"
        if kind == "check-flapping":
            why = f"{check.title[0]} ({check.id}) changes too often; now {state.name}: {last.output}"
        self._untold.append(
            (kind, why, {"check": check.id, "state": state.name.lower(), "output": last.output[:300],
                         "maintenance": self.in_maintenance()})
        )  # fmt: skip

    def _tell(self) -> None:
        """Give events to the keeper; they wait while it does not answer."""
        with self._lock:
            waiting, self._untold = self._untold, []
        for number, (kind, why, facts) in enumerate(waiting):
            try:
                self._keeper.tell(kind, why, facts)
            except IshmaelError as error:
                with self._lock:
                    self._untold = (waiting[number:] + self._untold)[-200:]
                log.warning("an event cannot be told: %s", error)
                return

    # --- F3 ---------------------------------------------------------------------------------------------------------

    def _raid(self, standing: Standing) -> None:
        """A critical RAID: the master asks to hand over, the slave objects to its fitness, for a limited time."""
        if standing.check.id != "F3" or "F3" in self._seen.monitoring.notify_only:
            return
        bad = standing.hard is State.CRITICAL
        threading.Thread(target=self._act_on_raid, args=(bad, self._seen.side), daemon=True).start()

    def _act_on_raid(self, bad: bool, side: str) -> None:
        try:
            if side == "slave":
                reason = "its RAID reports a critical fault" if bad else ""
                self._keeper.object_to_fitness("raid", reason, 180_000)
            elif bad and time.monotonic() - self._handed_s > _HANDOVER_PAUSE_S:
                self._handed_s = time.monotonic()
                self._keeper.tell(
                    "raid-handover", "The RAID of the master is critical: the services move to the slave.", {}
                )
                self._keeper.switch("F3: the RAID of the master reports a critical fault")
        except IshmaelError as error:
            log.warning("F3: %s", error)

    # --- asked by people --------------------------------------------------------------------------------------------

    def rows(self, node: str) -> list[dict[str, Any]]:
        """How each stands."""
        with self._lock:
            return [self._standing[key].row(node) for key in self._all if key in self._standing]

    def run_now(self, word: str, node: str) -> dict[str, Any]:
        """Look now, and wait for the result.

        Raises:
            RequestRefused: there is no such check, or it does not belong to this node's role.
        """
        check = self.named(word)
        with self._lock:
            before = self._standing[check.id].looked
            self._due[check.id] = 0.0
            deadline_s = time.monotonic() + _RUN_WAIT_S
            while (standing := self._standing.get(check.id)) is not None and standing.looked == before:
                if not self._done.wait(max(0.0, deadline_s - time.monotonic())):
                    break
            if standing is None:
                raise RequestRefused("check-not-here", f"{check.id} does not run on this node any more.", "")
            return standing.row(node)

    def acknowledge(self, word: str, who: str, why: str, node: str) -> dict[str, Any]:
        """The admin knows: no more mails until it is well again."""
        check = self.named(word)
        with self._lock:
            standing = self._standing[check.id]
            if standing.hard in (None, State.OK):
                raise RequestRefused("check-is-well", f"{check.id} has no problem.", "See: ishmael checks")
            standing.acknowledged = f"{who}: {why}" if why else who
            self._dirty = True
            self._untold.append(
                ("check-acknowledged", f"{who} acknowledged {check.title[0]} ({check.id}).", {"check": check.id})
            )
            return standing.row(node)

    def history(self, word: str) -> list[dict[str, Any]]:
        """Its last changes on this node, oldest first."""
        check = self.named(word, anywhere=True)
        with self._lock:
            return list(self._histories.get(check.id, ()))

    def named(self, word: str, anywhere: bool = False) -> Check:
        """The check of this name or id.

        Args:
            word: as it was typed.
            anywhere: also one that does not run on this node now.

        Raises:
            RequestRefused: there is none, or it does not run here now.
        """
        found = next((c for c in self._all.values() if word.lower() in (c.id.lower(), c.name)), None)
        if found is None:
            known = ", ".join(check.name for check in self._all.values())
            raise RequestRefused("no-such-check", f"There is no check {word[:40]!r}.", f"Known: {known}.")
        with self._lock:
            if not anywhere and found.id not in self._standing:
                if not self._seen.side:
                    raise RequestRefused(
                        "no-checks-here", "This node is neither master nor slave; no check runs on it.",
                        "See: ishmael status",
                    )  # fmt: skip
                raise RequestRefused(
                    "check-not-here", f"{found.id} does not run on this node now.", "Run it on the other node."
                )
        return found

    # --- maintenance ------------------------------------------------------------------------------------------------

    def maintenance(self) -> dict[str, Any]:
        """The window of both nodes, if one is open."""
        window = self.windows.now()
        on = window.is_open()
        return {"active": on, "until": window.until if on else None, "why": window.why if on else ""}

    def in_maintenance(self) -> bool:
        """A window is open now."""
        return self.windows.now().is_open()

    def begin_maintenance(self, minutes: int, why: str) -> dict[str, Any]:
        """No mails about checks for so long; events are noted all the same."""
        until = self.windows.begin(minutes, why).until
        told = f"A maintenance window of {minutes} minutes begins{': ' + why if why else ''}."
        with self._lock:
            self._untold.append(("maintenance-begun", told, {"until": until}))
        return self.maintenance()

    def end_maintenance(self) -> dict[str, Any]:
        """The window ends now."""
        if self.in_maintenance():
            self.windows.end()
            with self._lock:
                self._untold.append(("maintenance-ended", "The maintenance window ends.", {}))
        return self.maintenance()

    # --- kept -------------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        """What the door shows, and what a restarted manager remembers; below /run, so only until the next boot."""
        with self._lock:
            if not self._dirty:
                return
            self._dirty = False
            raw = {
                "schema": CHECKS_SCHEMA, "at": now_text(), "version": self._seen.version,
                "checks": self.rows(self._seen.own.name if self._seen.own is not None else ""),
                "histories": self._histories,
            }  # fmt: skip
        self._files.write(places.CHECKS, json.dumps(raw).encode(), 0o600)

    def _recall(self) -> None:
        raw = self._files.read(places.CHECKS)
        if raw is None:
            return
        with suppress(ValueError, KeyError, TypeError):
            kept = json.loads(raw)
            self._histories = {str(key): list(value) for key, value in kept["histories"].items()}
            for row in kept["checks"]:
                if row["hard"] and row["id"] in self._all:
                    state, last = State[row["state"].upper()], Result(State[row["state"].upper()], row["output"])
                    self._standing[row["id"]] = Standing(
                        self._all[row["id"]], state, row["since"], last, acknowledged=row["acknowledged"]
                    )
