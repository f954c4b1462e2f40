"""Names that wait for the slave, and changes that got lost before anybody knew their names."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ishmael.manager.data import sender as sending
from ishmael.manager.data.comparing import AFTER_LOSS_S, EVERY_S, Comparisons
from ishmael.manager.data.pending import BATCH_MAX, OPEN_S, Pending
from ishmael.manager.data.sender import Sender
from ishmael.manager.drivers.inotify import Change, Inotify
from ishmael.manager.ports.copies import Copied, Target
from ishmael.words.profile import FileSet, Profile
from manager.memory import MemoryCopies

VOICE = FileSet("/var/spool/voice")
ODD = b"bad\xff name"
TARGET = Target("10.78.0.2", "secret")


def test_a_closed_file_is_due_at_once_and_an_open_one_a_little_later() -> None:
    """What nobody writes any more goes at once; what is being written may wait for its end, but not for ever."""
    pending = Pending()
    pending.note(VOICE, b"open", 10.0, settled=False)
    assert pending.take(10.0) is None
    pending.note(VOICE, b"closed", 10.1, settled=True)
    assert pending.take(10.1) == (VOICE, [b"closed"])
    assert pending.take(10.0 + OPEN_S) == (VOICE, [b"open"])


def test_the_lag_is_the_age_of_the_oldest_that_has_not_arrived() -> None:
    """Also while it is on its way, and when it failed."""
    pending = Pending()
    pending.note(VOICE, ODD, 10.0, settled=True)
    pending.take(10.0)
    assert pending.lag_s(12.0) == 2.0
    pending.failed(VOICE, [ODD], 12.0)
    assert (pending.lag_s(13.0), pending.stuck()) == (3.0, [r"/var/spool/voice/bad\xff name"])
    assert pending.take(12.5) is None
    pending.take(13.0)
    pending.arrived(VOICE, [ODD])
    assert (pending.lag_s(20.0), len(pending), pending.stuck()) == (0.0, 0, [])


def test_a_change_during_its_own_transfer_is_sent_again() -> None:
    """What was on its way may have been read before the change."""
    pending = Pending()
    pending.note(VOICE, b"f", 10.0, settled=True)
    pending.take(10.0)
    pending.note(VOICE, b"f", 10.1, settled=True)
    pending.arrived(VOICE, [b"f"])
    assert pending.take(10.1) == (VOICE, [b"f"])


def test_one_bad_name_does_not_hold_up_the_others() -> None:
    """Of two that failed in part each goes by itself, after those that have not been tried."""
    pending = Pending()
    for name in (b"a", b"b"):
        pending.note(VOICE, name, 10.0, settled=True)
    pending.take(10.0)
    pending.split(VOICE, [b"a", b"b"], 10.0)
    pending.note(VOICE, b"new", 10.5, settled=True)
    assert [pending.take(11.0) for _ in range(3)] == [(VOICE, [b"new"]), (VOICE, [b"a"]), (VOICE, [b"b"])]


def test_one_bad_name_among_many_is_found_in_few_turns() -> None:
    """A batch that failed in part is split, and again: nobody waits for two thousand transfers of one name each."""
    pending, turns = Pending(), 0
    names = [b"%05d" % number for number in range(BATCH_MAX)]
    for name in names:
        pending.note(VOICE, name, 10.0, settled=True)
    while (batch := pending.take(10.0)) is not None:
        turns += 1
        files, paths = batch
        if names[777] not in paths:
            pending.arrived(files, paths)
        elif len(paths) > 1:
            pending.split(files, paths, 10.0)
        else:
            pending.failed(files, paths, 10.0)
    assert pending.stuck() == ["/var/spool/voice/00777"]
    assert len(pending) == 1 and turns < 40


def test_a_slave_that_was_not_reached_is_tried_every_second() -> None:
    """It may be back, and take over, any moment; a name that it refuses is tried more and more rarely."""
    for reached, wait_s in ((False, 1.0), (True, 16.0)):
        pending = Pending()
        pending.note(VOICE, b"f", 0.0, settled=True)
        for turn in range(5):
            assert pending.take(1000.0 * turn) is not None
            pending.failed(VOICE, [b"f"], 1000.0 * turn, reached=reached)
        assert pending.next_due_s() == 4000.0 + wait_s


# Changes that got lost


def test_the_lag_counts_from_the_first_loss_until_a_later_comparison() -> None:
    """One that ran already when the change got lost may have passed it by."""
    compared = Comparisons()
    compared.ask(VOICE)
    begun = compared.begin(VOICE)
    compared.lose(VOICE, 10.0)
    compared.lose(VOICE, 11.0)
    compared.end(VOICE, begun, 9.0)
    assert (compared.compared(VOICE), compared.lag_s(15.0), compared.lost()) == (True, 5.0, 2)
    assert not Comparisons().compared(VOICE)
    assert compared.due(10.0 + AFTER_LOSS_S - 0.1) == [] and compared.due(10.0 + AFTER_LOSS_S) == [VOICE]
    assert compared.lost_since_s(VOICE) == 10.0
    compared.end(VOICE, compared.begin(VOICE), 15.0)
    assert (compared.lag_s(16.0), compared.lost(), compared.lost_since_s(VOICE)) == (0.0, 0, None)
    assert compared.due(15.0 + EVERY_S - 1) == [] and compared.due(15.0 + EVERY_S) == [VOICE]


def test_losses_during_each_comparison_do_not_add_up() -> None:
    """Each one answers those before it began, so that the lag is that of a comparison and its loss, not of all day."""
    compared = Comparisons()
    compared.lose(VOICE, 0.0)
    for turn in range(6):
        began_s = 40.0 * turn
        begun = compared.begin(VOICE)
        compared.lose(VOICE, began_s + 10)
        compared.end(VOICE, begun, began_s)
        assert (compared.lost(), compared.lag_s(began_s + 40)) == (1, 30.0)


def test_what_is_asked_for_while_a_comparison_runs_is_not_put_off() -> None:
    """Nor by one that fails."""
    compared = Comparisons()
    begun = compared.begin(VOICE)
    compared.doubt(VOICE)
    compared.end(VOICE, begun, 10.0)
    assert not compared.compared(VOICE) and compared.due(0.0) == [VOICE]
    compared.begin(VOICE)
    compared.lose(VOICE, 10.0)
    compared.fail(VOICE, 10.0)
    assert compared.due(10.0 + AFTER_LOSS_S) == [VOICE]
    compared.forget(VOICE)
    assert compared.lost() == 0


class _Disk(MemoryCopies):
    """The slave's disk: what was brought over, by name."""

    def __init__(self, here: Path) -> None:
        self._here = here
        self.arrived: set[bytes] = set()
        self.fails: Copied | None = None
        self.raises: OSError | None = None
        self.gate, self.comparing = threading.Event(), threading.Event()
        self.gate.set()
        self.comparing.set()

    def some(self, target: Target, files: FileSet, paths: object, stopped: Callable[[], bool]) -> Copied:
        assert isinstance(paths, list)
        self.gate.wait(10)
        if self.raises is not None:
            raise self.raises
        if self.fails is not None:
            return self.fails
        self.arrived.update(paths)
        return Copied(0, "")

    def compare(self, target: Target, files: FileSet, stopped: Callable[[], bool]) -> Copied:
        self.comparing.wait(10)
        if self.raises is not None:
            raise self.raises
        here = {path.name for path in self._here.iterdir()}
        return Copied(0, "", tuple(sorted(here - {name.decode() for name in self.arrived})))

    def all(self, *_: object, **__: object) -> Copied:
        raise AssertionError("a copy of everything removes what comes meanwhile")


class _Losing:
    """An inotify whose queue runs over when a test says so."""

    def __init__(self) -> None:
        self.real, self.loses = Inotify(), False

    def watch(self, root: bytes) -> None:
        self.real.watch(root)

    def watches(self, root: bytes) -> bool:
        return self.real.watches(root)

    def changes(self, wait_s: float) -> tuple[list[Change], bool]:
        told, lost = self.real.changes(wait_s)
        if not self.loses:
            return told, lost
        self.loses = not told
        # Who never heard of a directory does not watch it.
        for change in told:
            if change.whole:
                self.real._leave(change.root, change.path)
        return [], bool(told)

    def close(self) -> None:
        self.real.close()


@pytest.mark.parametrize("how", ["queue", "lane"])
def test_in_step_is_said_when_all_is_there_after_a_flood(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More changes than the kernel or the lanes keep: some wait all the time, and at the end each name is on the slave."""
    monkeypatch.setattr(sending, "WAITING_MAX", 50)
    monkeypatch.setattr(sending, "_FED_MAX", 20)
    copies, watcher, stop = _Disk(tmp_path), _Losing(), threading.Event()
    sender = Sender(Profile("x", files=(FileSet(str(tmp_path)),)), TARGET, copies, watcher)
    thread = threading.Thread(target=sender.run, args=(lambda: not stop.is_set(),))
    thread.start()
    try:
        assert _soon(lambda: sender.report().in_step)
        copies.gate.clear()
        watcher.loses = how == "queue"
        for number in range(300):
            (tmp_path / f"{number:03}").write_bytes(b"x")
        assert _soon(lambda: sender.report().left > 0)
        begun_s = time.monotonic()
        time.sleep(0.5)
        assert sender.report().left > 0 and (sender.report().lag_ms or 0) >= 400
        copies.gate.set()
        assert _soon(lambda: sender.report().left == 0)
        assert len(copies.arrived - {b""}) == 300
        assert time.monotonic() - begun_s >= AFTER_LOSS_S - 0.5
        assert sender.report().differed == 0 and sender.report().in_step
    finally:
        copies.gate.set()
        stop.set()
        thread.join()
        watcher.close()


def _follows(sender: Sender, act: Callable[[], None]) -> None:
    """Do something while it runs."""
    stop = threading.Event()
    thread = threading.Thread(target=sender.run, args=(lambda: not stop.is_set(),))
    thread.start()
    try:
        assert _soon(lambda: sender.report().in_step)
        act()
    finally:
        stop.set()
        thread.join()


def _sender(path: Path, copies: MemoryCopies) -> Sender:
    return Sender(Profile("x", files=(FileSet(str(path)),)), TARGET, copies, Inotify())


def test_a_directory_made_in_a_flood_is_watched(tmp_path: Path) -> None:
    """Its coming was lost; what is written into it later is told all the same."""
    watcher = _Losing()
    copies = _Disk(tmp_path)
    sender = Sender(Profile("x", files=(FileSet(str(tmp_path)),)), TARGET, copies, watcher)

    def act() -> None:
        watcher.loses = True
        (tmp_path / "box").mkdir()
        assert _soon(lambda: sender.report().left > 0) and _soon(lambda: sender.report().left == 0)
        (tmp_path / "box/later").write_bytes(b"x")
        assert _soon(lambda: b"box/later" in copies.arrived)

    _follows(sender, act)


def test_a_directory_that_is_back_is_compared_before_it_is_in_step(tmp_path: Path) -> None:
    """And one that is gone keeps nobody waiting for its names."""
    root, copies = tmp_path / "voice", _Disk(tmp_path / "voice")
    root.mkdir()
    sender = _sender(root, copies)

    def act() -> None:
        copies.fails = Copied(23, "rsync: change_dir failed: No such file or directory (2)")
        (root / "1").write_bytes(b"x")
        root.rename(tmp_path / "aside")
        assert _soon(lambda: sender.report().left == 0)
        copies.fails = None
        copies.comparing.clear()
        (tmp_path / "aside").rename(root)
        assert _soon(lambda: not sender.report().in_step)
        time.sleep(0.3)
        assert not sender.report().in_step
        copies.comparing.set()
        assert _soon(lambda: sender.report().in_step and b"1" in copies.arrived)

    _follows(sender, act)


def test_a_directory_that_is_a_link_is_watched(tmp_path: Path) -> None:
    """Recordings on a disk of their own: the link is followed, as rsync follows it."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "voice").symlink_to("disk")
    copies = _Disk(tmp_path / "voice")

    def act() -> None:
        (tmp_path / "disk/1").write_bytes(b"x")
        assert _soon(lambda: b"1" in copies.arrived)

    _follows(_sender(tmp_path / "voice", copies), act)


def test_a_program_that_cannot_be_run_is_tried_again(tmp_path: Path) -> None:
    """No memory, no room below /run: neither the lanes nor the comparisons end by it."""
    copies = _Disk(tmp_path)
    sender = _sender(tmp_path, copies)

    def act() -> None:
        copies.raises = OSError(28, "No space left on device")
        (tmp_path / "1").write_bytes(b"x")
        assert _soon(lambda: "No space left" in sender.report().trouble)
        sender.doubt()
        assert _soon(lambda: not sender.report().in_step)
        copies.raises = None
        assert _soon(lambda: sender.report().in_step and sender.report().left == 0)

    _follows(sender, act)


def test_a_full_disk_does_not_leave_single_names(tmp_path: Path) -> None:
    """Each would fail, and go by itself for ever after."""
    copies = _Disk(tmp_path)
    sender = _sender(tmp_path, copies)

    def act() -> None:
        copies.fails = Copied(23, "rsync: [receiver] write failed on 1: No space left on device (28)")
        for number in range(20):
            (tmp_path / str(number)).write_bytes(b"x")
        assert _soon(lambda: len(sender.report().stuck) == 20)
        assert "full" in sender.report().trouble
        assert {waits.share for waits in sender._small._waiting.values()} <= {0}
        copies.fails = None
        assert _soon(lambda: sender.report().left == 0)

    _follows(sender, act)


def _soon(there: Callable[[], bool]) -> bool:
    until_s = time.monotonic() + 20
    while time.monotonic() < until_s:
        if there():
            return True
        time.sleep(0.005)
    return False
