"""Keeping the database in the role that the keeper wants: promoted, following, stopped; synchronous or not."""

from __future__ import annotations

import os
import pwd
import time
from pathlib import Path

import psycopg

from ishmael.dbwatch.complaints import Complaints
from ishmael.dbwatch.server import Server, being_joined, undisturbed
from ishmael.dbwatch.session import Session, Sight
from ishmael.dbwatch.step import InStep
from ishmael.dbwatch.wanted import Facts, Wanted
from ishmael.words.database import Database, application_name

CAUGHT_UP_BYTES = 4_000_000
"""A slave that is behind by less is waited for: it has that in a moment."""
_PROMOTE_S = 30.0
_SLOTS_S = 5.0


class NotYet(Exception):
    """What is wanted cannot be had now; the text says why, and it is tried again."""


class Keeping:
    """Does and looks; may wait for the server as long as that takes, so it runs in a thread of its own.

    Args:
        database: which one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._server = Server(database)
        self._session: Session | None = None
        self._step = InStep(time.monotonic)
        self._complaints = Complaints(database)
        self._switched_n = -1
        self._confirmed: bool | None = None
        self._slots_s = -_SLOTS_S
        self._promoted_ms = -1
        self._last = Facts()

    def once(self, wanted: Wanted) -> Facts:
        """Bring it a step nearer to what is wanted, and say how it is."""
        try:
            facts = self._once(wanted)
        except NotYet as not_yet:
            facts = self._carried(wanted, self._with_complaint(str(not_yet)))
        except (psycopg.Error, OSError) as error:
            self._forget_session()
            said = str(error).strip().splitlines()
            facts = self._carried(wanted, self._with_complaint(said[-1] if said else type(error).__name__))
        self._last = facts
        return facts

    def _with_complaint(self, why: str) -> str:
        """What is wrong, and what the server itself says about it."""
        complaint = self._complaints.look()
        return f"{why}; {complaint}" if why and complaint else why

    def _carried(self, wanted: Wanted, failed: str) -> Facts:
        """While this master's own server is away nothing can be acknowledged: whether the slave has all stays true."""
        before = self._last
        known = wanted.mode == "open" and self._confirmed is True and before.n == wanted.n
        synchronous = self._confirmed if before.n == wanted.n else None
        return Facts(
            wanted.n, False, failed, synchronous, known and before.in_step, before.why if known else failed,
            promoted_ms=self._promoted_ms,
        )  # fmt: skip

    def _once(self, wanted: Wanted) -> Facts:
        match wanted.mode:
            case "open":
                return self._open(wanted)
            case "warm":
                return self._warm(wanted)
            case "closed":
                return self._close(wanted)
        return Facts(wanted.n, True, why="this node takes no part")

    # --- master -----------------------------------------------------------------------------------------------------

    def _open(self, wanted: Wanted) -> Facts:
        names = application_name(wanted.peer) if wanted.peer else ""
        # Before the first commit: a record that promises a slave with everything holds from the first one on.
        if not wanted.once_caught_up and self._write_names(names if wanted.synchronous else ""):
            self._switched_n = -1
        self._run()
        session = self._connected()
        if session.in_recovery():
            self._promote(session)
        if wanted.n != self._last.n:
            self._slots_s = -_SLOTS_S
        self._tend_slots(session, names or None)
        self._switch(session, wanted, names)
        sight = session.look(names)
        if wanted.peer:
            self._step.look(session, sight)
        in_step, why = self._step.verdict(sight) if wanted.peer else (False, "there is no slave")
        if wanted.peer and sight.follower is None:
            why = self._with_complaint(why)
        return Facts(
            wanted.n, True, "", self._confirmed, in_step, why, self._step.lag_bytes(sight), self._step.canary_age_ms(),
            self._promoted_ms,
        )  # fmt: skip

    def _run(self) -> None:
        if self._server.pid() is not None:
            return
        self._forget_session()
        why = self._server.objection()
        if why:
            raise NotYet(why)
        self._server.start()
        raise NotYet("it is starting")

    def _promote(self, session: Session) -> None:
        """Begin a new timeline; nobody waits for the former master's slave that this node was."""
        begun_s = time.monotonic()
        self._step.begin()
        session.promote()
        while session.in_recovery():
            if time.monotonic() - begun_s > _PROMOTE_S:
                raise NotYet("it is being promoted")
            time.sleep(0.003)
        self._promoted_ms = int((time.monotonic() - begun_s) * 1000)
        self._slots_s = -_SLOTS_S
        print(f"promoted in {self._promoted_ms} ms", flush=True)

    def _switch(self, session: Session, wanted: Wanted, names: str) -> None:
        """Make commits wait for the slave, or not; believed only when the server says so."""
        if self._switched_n == wanted.n and self._confirmed is wanted.synchronous:
            return
        wish = names if wanted.synchronous else ""
        if wanted.synchronous and wanted.once_caught_up and session.names() != wish:
            sight = session.look(names)
            lag = self._step.lag_bytes(sight)
            if sight.follower is None or not sight.follower.streams or lag is None or lag > CAUGHT_UP_BYTES:
                self._confirmed = session.names() != ""
                return
        self._write_names(wish)
        session.reload()
        deadline_s = time.monotonic() + 2
        while session.names() != wish:
            if time.monotonic() > deadline_s:
                raise NotYet("it has not read its settings again")
            time.sleep(0.005)
        if wanted.synchronous:
            # The flag all sessions share is set by the checkpointer when it reloads; a checkpoint is its answer.
            session.checkpoint()
            self._step.must_have(session.position())
        self._confirmed = wanted.synchronous
        self._switched_n = wanted.n

    def _write_names(self, names: str) -> bool:
        """Put ``synchronous_standby_names`` on disk; true when it was something else."""
        text = f"# Written by Ishmael as the role of this node changes.\nsynchronous_standby_names = '{names}'\n"
        path = Path(self._database.role_file)
        try:
            if path.read_text(encoding="utf-8") == text:
                return False
        except OSError:
            pass
        new = path.with_suffix(".new")
        owner = pwd.getpwnam("postgres")
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchown(file.fileno(), owner.pw_uid, owner.pw_gid)
            os.fsync(file.fileno())
        new.rename(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return True

    def _tend_slots(self, session: Session, wanted: str | None) -> None:
        if time.monotonic() - self._slots_s >= _SLOTS_S:
            self._slots_s = time.monotonic()
            session.keep_slots(wanted)

    # --- slave and others -------------------------------------------------------------------------------------------

    def _warm(self, wanted: Wanted) -> Facts:
        self._confirmed, self._switched_n = None, -1
        if being_joined():
            # The server that runs now is the joining program's, whatever it runs as.
            raise NotYet("its data is being joined to the master's")
        if not self._server.follows:
            if self._server.pid() is not None:
                self._stop_what_leads(wanted)
            why = self._server.objection() or "its data has not been joined to the master's: re-add this node"
            return Facts(wanted.n, True, why=why, promoted_ms=self._promoted_ms)
        self._run()
        session = self._connected()
        if not session.in_recovery():
            self._stop_what_leads(wanted)
            raise NotYet("it did not follow and was stopped")
        self._tend_slots(session, None)
        sight = session.look("")
        why = "" if sight.receives else self._with_complaint("it does not stream from the master")
        age_ms = session.canary_age_ms()
        return Facts(wanted.n, True, "", None, sight.receives, why, _behind(sight), age_ms, self._promoted_ms)

    def _stop_what_leads(self, wanted: Wanted) -> None:
        """It leads a history of its own, unless it does so for a program that joins it or gives it back just now."""
        with undisturbed() as ours:
            if not ours:
                raise NotYet("its data is being joined to the master's")
            self._stop(wanted)

    def _close(self, wanted: Wanted) -> Facts:
        self._confirmed, self._switched_n = None, -1
        self._stop(wanted)
        return Facts(wanted.n, True, why="it is stopped", promoted_ms=self._promoted_ms)

    def _stop(self, wanted: Wanted) -> None:
        self._forget_session()
        self._server.may_start_at_once()
        if not self._server.stop(wanted.stop_ms):
            raise NotYet("it does not stop")

    # --- the session ------------------------------------------------------------------------------------------------

    def _connected(self) -> Session:
        if self._session is None:
            self._session = Session(self._database)
            self._step.begin()
        return self._session

    def _forget_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


def _behind(sight: Sight) -> int:
    return max(0, sight.position - sight.replayed)
