"""Copies the whole of the master's database into a directory, and goes on where an attempt before was cut.

A program of its own, run as the database's user; it says how far it is on its standard output, one JSON object a line.
The log that is written meanwhile is fetched beside it by pg_receivewal(1), so that the master need not keep it.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ishmael.manager.drivers.copied_files import MANIFEST, Keeping, Kept, Origin, Seen, read_manifest, write_manifest
from ishmael.manager.drivers.masters_files import CONTROL, COPY_NAME, LOG, MastersFiles, OtherWay, Part, may_be_kept
from ishmael.words.errors import HostFault, IshmaelError, PeerFault

_SPARE_BYTES = 256_000_000
# Parts of half a megabyte go through the processor's cache on both nodes; larger ones are slower.
_PART_BYTES = 524_288
# A batch is noted when it is read: it shall take a second, whatever the cable carries.
_BATCH_BYTES, _BATCH_PARTS = (4_000_000, 64_000_000), 1000
_CONTROL_BYTES, _CONTROL_TRIES = 8192, 10
_TELL_S = 0.5
_LOG_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be copied where.

    Args:
        new: directory of the copy; what an attempt before left there is used.
        conninfo: how the master is reached.
        slot: what the master keeps log for this node under.
        programs: directory of PostgreSQL's programs.
        master: host name of the master's node.
    """

    new: str
    conninfo: str
    slot: str
    programs: str
    master: str


@dataclass(slots=True)
class Counted:
    """How far it is, in bytes.

    Args:
        moved: over the network, by this attempt.
        kept: of an attempt before.
        total: of the database.
    """

    moved: int = 0
    kept: int = 0
    total: int = 0


class Here:
    """The files on this node.

    Args:
        new: the directory they are in.
    """

    def __init__(self, new: Path) -> None:
        self._new = new
        self._file_mode, self._directory_mode = 0o600, 0o700
        self._path, self._handle = "", -1

    def prepare(self, directories: Sequence[str], files: Mapping[str, int], *, group_reads: bool) -> None:
        """Have these directories, and nothing but these files; log of an attempt before is of no use.

        Args:
            directories: all there are, a parent first.
            files: those that stay, with the bytes of them that do.
            group_reads: the group may read them.
        """
        if group_reads:
            self._file_mode, self._directory_mode = 0o640, 0o750
        self._new.chmod(self._directory_mode)
        shutil.rmtree(self._new / LOG, ignore_errors=True)
        wanted = set(directories)
        for where, names, there in os.walk(self._new, topdown=False):
            below = os.path.relpath(where, self._new)
            for name in there:
                path = os.path.normpath(f"{below}/{name}")
                if path not in files and path != MANIFEST:
                    Path(where, name).unlink()
            for name in names:
                if os.path.normpath(f"{below}/{name}") not in wanted:
                    self._drop(Path(where, name))
        for directory in (*directories, LOG, f"{LOG}/archive_status"):
            (self._new / directory).mkdir(exist_ok=True)
            (self._new / directory).chmod(self._directory_mode)
        for path, size in files.items():
            os.truncate(self._new / path, size)

    def _drop(self, path: Path) -> None:
        if path.is_symlink():
            path.unlink()
        else:
            path.rmdir()

    def size(self, path: str) -> int:
        """Of a file, in bytes; -1 when it is not there, or no plain file."""
        there = self._new / path
        return there.stat().st_size if there.is_file() and not there.is_symlink() else -1

    def put(self, part: Part, data: memoryview | bytes) -> None:
        """Write a part of a file; its first part makes it anew."""
        if part.path != self._path or part.at == 0:
            self.close()
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (0 if part.at else os.O_TRUNC)
            self._handle = os.open(self._new / part.path, flags, 0o600)
            os.fchmod(self._handle, self._file_mode)
            self._path = part.path
        at = part.at
        while data:
            written = os.pwrite(self._handle, data, at)
            data, at = data[written:], at + written

    def remove(self, path: str) -> None:
        """The master has it no more."""
        if path == self._path:
            self.close()
        (self._new / path).unlink(missing_ok=True)

    def close(self) -> None:
        """Have no file open."""
        if self._handle >= 0:
            os.close(self._handle)
        self._path, self._handle = "", -1


class Log:
    """Fetches the master's log beside the copying.

    Args:
        wanted: what is copied.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._place = Path(wanted.new) / LOG
        self._argv = [
            *(f"{wanted.programs}/pg_receivewal", f"--directory={self._place}", f"--slot={wanted.slot}", "--no-loop"),
            "--no-password",
            f"--dbname={wanted.conninfo} application_name={COPY_NAME}",
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin."""
        self._process = subprocess.Popen(
            self._argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def check(self) -> None:
        """It still does.

        Raises:
            PeerFault: it has ended by itself.
        """
        if self._process is None or self._process.poll() is None:
            return
        assert self._process.stderr is not None
        said = " ".join(self._process.stderr.read().decode(errors="replace").split())
        if "No space left" in said:
            raise HostFault(
                "disk-full", "The log of the master's database does not fit on this node's disk.", "See: df -h"
            )
        raise PeerFault(
            "master-database-silent", f"The connection to the master's database is lost: {said[-300:]}.",
            "Is PostgreSQL running on the master, and port 5432 open between the nodes?",
        )  # fmt: skip

    def await_file(self, name: str) -> None:
        """Wait until a log file is here as a whole.

        Raises:
            PeerFault: it does not come.
        """
        deadline_s = time.monotonic() + _LOG_LIMIT_S
        while not (self._place / name).exists():
            self.check()
            if time.monotonic() > deadline_s:
                raise PeerFault(
                    "master-database-silent", f"The log file {name} of the master's database does not come.",
                    "Is the cable overloaded?",
                )  # fmt: skip
            time.sleep(0.02)

    def finish(self) -> None:
        """Enough. What is here is not to be archived again (manual, "Continuous Archiving in Standby")."""
        self.stop()
        for path in list(self._place.iterdir()):
            if path.name.endswith(".partial"):
                path.unlink()
            elif path.is_file():
                (self._place / "archive_status" / f"{path.name}.done").touch(mode=0o600)

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class WholeCopy:
    """One attempt.

    Args:
        wanted: what is copied where.
        tell: gets how far it is, now and then.
    """

    def __init__(self, wanted: Wanted, tell: Callable[[Counted], None]) -> None:
        self._wanted, self._new, self._tell = wanted, Path(wanted.new), tell
        self._here, self._log = Here(self._new), Log(wanted)
        self._counted, self._told_s = Counted(), -_TELL_S
        self._batch_bytes = _BATCH_BYTES[0]

    def run(self) -> Counted:
        """Copy; when this returns all is here, and most of it on the disk.

        Raises:
            OtherWay: pg_basebackup must do it.
            IshmaelError: it was cut, or this node's disk is full.
        """
        self._new.mkdir(mode=0o700, exist_ok=True)
        master = MastersFiles(self._wanted.conninfo, self._wanted.slot, self._wanted.master)
        try:
            origin = master.begin()
            directories, files = master.look()
            kept = self._kept(origin, files) if master.comes_back_with_new_times() else {}
            # From now on the copy is not what was noted of it before.
            write_manifest(self._new, origin, kept)
            stays = {path: one.have for path, one in kept.items()}
            self._here.prepare(directories, stays, group_reads=master.group_reads())
            self._log.start()
            self._count(files, kept)
            with Keeping(self._new, origin, kept) as keeping:
                self._fetch(master, files, kept, keeping)
            keeping.check()
            self._fetch_control(master)
            ended = master.end()
            self._write("backup_label", ended.label)
            self._log.await_file(ended.log_file)
            self._log.finish()
        finally:
            self._here.close()
            self._log.stop()
            master.close()
        self._tell(self._counted)
        return self._counted

    def _kept(self, origin: Origin, files: Mapping[str, Seen]) -> dict[str, Kept]:
        """What of an attempt before is what the master has now."""
        noted = read_manifest(self._new, origin)
        return {
            path: kept
            for path, kept in noted.items()
            if path in files and may_be_kept(path) and kept.holds(files[path]) and self._here.size(path) >= kept.have
        }

    def _count(self, files: Mapping[str, Seen], kept: Mapping[str, Kept]) -> None:
        self._counted.total = sum(seen.size for seen in files.values()) + _CONTROL_BYTES
        self._counted.kept = sum(one.have for one in kept.values())
        must_fit(self._new.parent, self._counted.total - self._counted.kept, self._counted.total)
        self._tell_now()

    def _fetch(
        self, master: MastersFiles, files: Mapping[str, Seen], kept: Mapping[str, Kept], keeping: Keeping
    ) -> None:
        """Read all that is not here, a batch at a time; of each the master is asked when its files were written before."""
        read = {path: one.seen for path, one in kept.items()}
        doubtful: set[str] = set()
        for batch in _batches(files, kept, lambda: self._batch_bytes):
            self._log.check()
            before, begun_s = self._counted.moved, time.monotonic()
            begun = [part.path for part in batch if part.at == 0]
            read.update(master.look_again(begun) if begun else {})
            doubtful |= set(begun) - set(read)
            self._read(master, batch, doubtful)
            ends = {part.path: part.at + part.length for part in batch}
            least, most = _BATCH_BYTES
            rate = (self._counted.moved - before) / max(time.monotonic() - begun_s, 0.001)
            self._batch_bytes = min(max(least, int(rate)), most)
            keeping.note({path: Kept(read[path], have) for path, have in ends.items() if have and path not in doubtful})

    def _read(self, master: MastersFiles, batch: Sequence[Part], doubtful: set[str]) -> None:
        """Read a batch. What is gone or shorter than it was is whole by the log; it is not noted."""

        def put(part: Part, data: memoryview | None) -> None:
            if data is None or len(data) < part.length:
                doubtful.add(part.path)
            if data is None:
                self._here.remove(part.path)
                return
            self._here.put(part, data)
            self._counted.moved += len(data)
            self._tell_now()

        master.read([part for part in batch if part.length], put)
        for part in batch:
            if not part.length:
                self._here.put(part, b"")
        self._here.close()

    def _fetch_control(self, master: MastersFiles) -> None:
        """Last of all, and whole: it may be read in the moment in which it is written (pg_controldata(1) checks its sum)."""
        part = Part(CONTROL, 0, _CONTROL_BYTES)

        def put(_: Part, data: memoryview | None) -> None:
            self._here.put(part, data or b"")
            self._here.close()

        for _ in range(_CONTROL_TRIES):
            master.read([part], put)
            argv = [f"{self._wanted.programs}/pg_controldata", f"--pgdata={self._new}"]
            done = subprocess.run(argv, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"})
            if done.returncode == 0 and b"WARNING" not in done.stdout + done.stderr:
                self._counted.moved += _CONTROL_BYTES
                return
            time.sleep(0.05)
        raise PeerFault(
            "database-copy-failed", "The control file of the master's database cannot be read whole.",
            "See the log of PostgreSQL on the master.",
        )  # fmt: skip

    def _write(self, name: str, data: bytes) -> None:
        self._here.put(Part(name, 0, len(data)), data)
        self._here.close()

    def _tell_now(self) -> None:
        if time.monotonic() - self._told_s >= _TELL_S:
            self._told_s = time.monotonic()
            self._tell(self._counted)


def must_fit(place: Path, to_come: int, total: int) -> None:
    """Look whether there is room.

    Args:
        place: on the file system in question.
        to_come: bytes that are still to be written.
        total: bytes of the whole database.

    Raises:
        HostFault: there is not.
    """
    there = os.statvfs(place)
    if to_come + _SPARE_BYTES > there.f_bavail * there.f_frsize:
        raise HostFault(
            "disk-full",
            f"The master's database has {total // 1_000_000} MB; that does not fit on this node's disk.",
            f"Make room below {place}.",
        )


def _batches(files: Mapping[str, Seen], kept: Mapping[str, Kept], most: Callable[[], int]) -> Iterator[list[Part]]:
    """Parts of all that is not here, up to so many bytes at a time; an empty file is one of no length."""
    batch: list[Part] = []
    size = 0
    for path, seen in sorted(files.items()):
        begin = kept[path].have if path in kept else 0
        for at in range(begin, seen.size, _PART_BYTES) if seen.size else (0,):
            batch.append(Part(path, at, min(_PART_BYTES, seen.size - at)))
            size += batch[-1].length
            if size >= most() or len(batch) >= _BATCH_PARTS:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def main(argv: list[str]) -> int:
    """Copy.

    Args:
        argv: ``Wanted`` as JSON.
    """

    def say(**what: object) -> None:
        print(json.dumps(what), flush=True)

    try:
        WholeCopy(Wanted(**json.loads(argv[0])), lambda counted: say(counted=asdict(counted))).run()
    except OtherWay as error:
        say(other_way=str(error))
        return 1
    except IshmaelError as error:
        say(error={"whose": error.whose, "code": error.code, "message": error.message, "hint": error.hint})
        return error.exit_code
    except OSError as error:
        code = "disk-full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "disk-failing"
        message = f"The copy of the database cannot be written: {error.strerror or error}."
        say(error={"whose": "host", "code": code, "message": message, "hint": "See: df -h; dmesg | tail"})
        return 5
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
