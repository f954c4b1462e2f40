"""Reset in an emergency: the same steps as the job's, without the manager, the journal, or a keeper that answers.

``python -m ishmael.manager.emergency``, run by ``ishmael-reset-cluster`` and, with ``--leaving``, by the package when it is
removed. It needs the cluster lock and this machine's own programs, nothing of Ishmael that runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from ishmael.manager.drift import Lock, noting
from ishmael.manager.drivers.join import real_hands
from ishmael.manager.drivers.lock import cluster_lock
from ishmael.manager.jobs.journal import Journal, wall_time
from ishmael.manager.jobs.model import JobState, error_mapping, standing
from ishmael.manager.ports.hands import Hands
from ishmael.manager.ports.keeper import Keeper
from ishmael.manager.works import machine
from ishmael.manager.works.base import LooseNotes, Step
from ishmael.manager.works.reset import FORGET_BEFORE, Reset
from ishmael.words import places
from ishmael.words.errors import HostFault, IshmaelError, RequestRefused, refusal
from ishmael.words.roles import Role

MANAGER_UNIT = "ishmael-manager.service"
OVERRIDDEN = ("slave-left-behind", "master-alive")
"""What an emergency goes on in spite of: the other node is lost, whatever it looks like from here."""
_USAGE, _BUG = 2, 70


class ReplaceableKeeper:
    """A keeper that is asked first; one that does not answer is ended, and what it held is let go of for it.

    Args:
        hands: ports to end it with.
    """

    def __init__(self, hands: Hands) -> None:
        self._hands, self.ended = hands, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hands.keeper, name)

    def status(self, max_age_s: float = 0.0) -> Mapping[str, Any]:
        """As it says; of one that is silent nothing is known but that it is to be ended."""
        if self.ended:
            return {"role": Role.OUT, "record": None}
        try:
            return self._hands.keeper.status(max_age_s)
        except HostFault:
            return {"role": None, "record": "unknown"}

    def forget(self) -> None:
        """Drop the cluster IP and the record."""
        self._or_end(self._hands.keeper.forget)

    def reload(self) -> None:
        """Read the settings again; its successor does so by itself."""
        self._or_end(self._hands.keeper.reload)

    def _or_end(self, ask: Callable[[], None]) -> None:
        if self.ended:
            return
        try:
            ask()
        except HostFault:
            self._end()

    def _end(self) -> None:
        hands = self._hands
        hands.services.stop(machine.KEEPER_UNIT)
        hands.files.remove(places.RECORD)
        # Its lease ends by itself within a second; the address is wanted sooner by whoever takes it next.
        with suppress(IshmaelError):
            settings = machine.read_settings(hands)
            for nic in hands.network.nics() if settings is not None else ():
                for address in nic.addresses:
                    if settings is not None and address == f"{settings.cluster_ip}/32":
                        hands.network.drop(nic.name, address)
        self.ended = True


@dataclass(slots=True)
class Outcome:
    """What became of an emergency reset.

    Args:
        done: names of the steps taken, in their order.
        failed: of those that failed, each with its error.
        result: what this node is now.
    """

    done: list[str] = field(default_factory=list)
    failed: list[tuple[str, IshmaelError]] = field(default_factory=list)
    result: Mapping[str, Any] = field(default_factory=dict)


class Emergency:
    """One emergency reset.

    Args:
        hands: ports to look and act with.
        lock: the cluster lock.
        take_cluster_ip: hold the cluster IP as an own address.
        tell: is given the name of each step as it begins.
    """

    def __init__(
        self, hands: Hands, lock: Lock, *, take_cluster_ip: bool = False, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self._keeper = ReplaceableKeeper(hands)
        self._hands, self._lock, self._tell = replace(hands, keeper=cast(Keeper, self._keeper)), lock, tell
        self._work = Reset(self._hands, {"take_cluster_ip": take_cluster_ip}, LooseNotes())

    def check(self) -> None:
        """Look; touch nothing.

        Raises:
            IshmaelError: something stands against it that no emergency overrides.
        """
        left = standing(self._work.check(), OVERRIDDEN)
        if left:
            raise refusal(left)

    def steps(self) -> list[str]:
        """What will be done."""
        return [step.name for step in self._work.steps()]

    def run(self, jobs: str = places.JOBS) -> Outcome:
        """Reset with the manager out of the way, and bring both programs up again.

        Args:
            jobs: path of the job journal.

        Raises:
            IshmaelError: the node is busy; nothing was changed.
        """
        hands = self._hands
        # It may hold the lock in the middle of a job, and would go on with that job on a machine that is no node any more.
        hands.services.stop(MANAGER_UNIT)
        try:
            with self._lock():
                outcome = self.leave()
            _end_jobs(jobs)
        finally:
            for unit in (machine.KEEPER_UNIT, MANAGER_UNIT):
                with suppress(IshmaelError):
                    hands.services.start(unit)
        return outcome

    def leave(self) -> Outcome:
        """Take the steps. One that fails keeps none of the others from being taken."""
        outcome = Outcome()
        for step in self._work.steps():
            if outcome.failed and step.name == FORGET_BEFORE:
                # Whoever tries again needs it.
                continue
            self._take(step, outcome)
        outcome.result = self._work.result()
        return outcome

    def _take(self, step: Step, outcome: Outcome) -> None:
        try:
            if not step.is_done():
                self._tell(step.name)
                step.act()
                outcome.done.append(step.name)
        except IshmaelError as error:
            outcome.failed.append((step.name, error))


def _end_jobs(path: str) -> None:
    """Jobs that were cut here must not go on; a journal that cannot be used has none."""
    error = HostFault("reset-meanwhile", "This node was reset in an emergency before the job was at its end.")
    with suppress(HostFault):
        journal = Journal(path)
        try:
            for job in journal.unfinished():
                ended = {"state": JobState.FAILED, "ended_at": wall_time(), "error": error_mapping(error)}
                journal.change(job.id, "failed", **ended)
        finally:
            journal.close()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _complain(error: IshmaelError, *, as_json: bool) -> int:
    if as_json:
        told = {name: getattr(error, name) for name in ("whose", "code", "message", "hint")}
        findings = [asdict(finding) for finding in error.findings]
        print(json.dumps({"schema": 1, "error": {**told, "findings": findings}}))
    for finding in error.findings or (error,):
        _say(f"ishmael-reset-cluster: {finding.message}")
        if finding.hint:
            _say(f"  hint: {finding.hint}")
    return error.exit_code


def _confirmed(steps: Sequence[str]) -> bool:
    _say("\n".join(["This node will be a machine by itself; its data stays:", *(f"  {step}" for step in steps)]))
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _failure(outcome: Outcome) -> HostFault:
    said = "; ".join(f"{name}: {error.message}" for name, error in outcome.failed)
    hint = outcome.failed[0][1].hint or "See: journalctl. Then run it again."
    return HostFault("reset-incomplete", f"The reset went on to its end, but: {said}", hint)


def _reset(options: argparse.Namespace) -> int:
    hands = real_hands()
    lock = noting(hands, cluster_lock)
    emergency = Emergency(hands, lock, take_cluster_ip=options.take_cluster_ip, tell=_say)
    if options.leaving:
        return _leave(emergency, lock)
    emergency.check()
    if not options.yes:
        if not sys.stdin.isatty() or options.json:
            _say("ishmael-reset-cluster: Nobody is there to be asked whether to go on. Add --yes.")
            return _USAGE
        if not _confirmed(emergency.steps()):
            raise RequestRefused("not-confirmed", "Not confirmed; nothing was changed.")
    outcome = emergency.run()
    if outcome.failed:
        raise _failure(outcome)
    if options.json:
        print(json.dumps({"schema": 1, "work": "reset", "done": outcome.done, **outcome.result}))
    else:
        _say("This node is alone now.")
    return 0


def _leave(emergency: Emergency, lock: Lock) -> int:
    """As the package goes: nothing is asked, nothing is started, and nothing keeps it from going."""
    try:
        emergency.check()
    except RequestRefused:
        return 0
    with lock():
        outcome = emergency.leave()
    if outcome.failed:
        raise _failure(outcome)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point.

    Args:
        argv: command line without the program's name.
    """
    parser = argparse.ArgumentParser(prog="ishmael-reset-cluster", description=__doc__)
    for name in ("take-cluster-ip", "yes", "json", "leaving"):
        parser.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args(argv)
    try:
        return _reset(options)
    except IshmaelError as error:
        return _complain(error, as_json=options.json)
    except Exception:
        traceback.print_exc()
        return _BUG


if __name__ == "__main__":
    sys.exit(main())
