"""rsync(1) to the other node's rsyncd: on the internal network, with a secret made from the cluster's key."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from ishmael.manager.drivers.files import DiskFiles, tree_bytes
from ishmael.manager.drivers.programs import PATH
from ishmael.manager.drivers.stalling import stalled
from ishmael.manager.ports.copies import NAMES_MAX, STALLED, Copied, Progress, Target, Watch
from ishmael.words import places
from ishmael.words.errors import HostFault
from ishmael.words.profile import FileSet

PORT = 8730
USER = "ishmael"
PARTIAL = ".ishmael-partial"
_SILENCE_S, _CONNECT_S = 20, 3
# Mode, owner, links, times (to the nanosecond), ACLs, sparse regions. No devices or sockets: those belong to a running
# program. Attributes that the kernel keeps for itself are not ours to copy.
_KEEP = (
    "-lptgoAXS", "--modify-window=-1", "--omit-dir-times", f"--partial-dir={PARTIAL}", "--filter=-x security.*",
    "--filter=-x trusted.*", f"--timeout={_SILENCE_S}", f"--contimeout={_CONNECT_S}", "--8-bit-output",
)  # fmt: skip
_PROGRESS = re.compile(r"\s*([\d,]+)\s+(\d+)%\s+([\d.]+)([kMGT]?B)/s")
_UNITS = {"B": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_POLL_S = 0.2
_STALLED_SAID = "the connection gets nowhere, much is lost on the way"


def secret_from(key: bytes) -> str:
    """The password of the rsync server: whoever has the cluster's key has it, nobody learns the key from it."""
    return hmac.new(key, b"ishmael rsync 1", hashlib.sha256).hexdigest()


def patterns(files: FileSet) -> list[str]:
    """Everything that is left out, as rsync patterns; names that are local are meant from the directory's top."""
    return [f"/{PARTIAL}", PARTIAL, *files.exclude, *(f"/{name.lstrip('/')}" for name in files.local)]


def only(paths: Sequence[bytes]) -> bytes:
    """Filter rules that let these names and what is below them through, and the directories they lie in; for ``--from0``.

    The empty name, the directory itself, needs no rule. A pattern with a wildcard in it takes a backslash for an escape,
    one without takes it for itself (rsync(1), PATTERN MATCHING RULES).
    """
    rules: dict[bytes, None] = {}
    for path in filter(None, paths):
        parts = path.split(b"/")
        for depth in range(1, len(parts)):
            rules[b"/" + _literal(b"/".join(parts[:depth])) + b"/"] = None
        rules[b"/" + _literal(path)] = None
        # The three stars are a wildcard, so here every backslash of the name is one to be escaped.
        rules[b"/" + re.sub(rb"([\\*?\[])", rb"\\\1", path) + b"/***"] = None
    return b"\0".join(rules) + b"\0" if rules else b""


def _literal(path: bytes) -> bytes:
    return re.sub(rb"([\\*?\[])", rb"\\\1", path) if re.search(rb"[*?\[]", path) else path


def _topmost_gone(root: bytes, path: bytes) -> bytes:
    """The first part of the path that is not there; the path itself when all of it is."""
    parts = path.split(b"/")
    for depth in range(1, len(parts)):
        if not os.path.lexists(root + b"/" + b"/".join(parts[:depth])):
            return b"/".join(parts[:depth])
    return path


class Rsync:
    """The real one."""

    def password(self) -> str:
        """The secret that both nodes share."""
        key = DiskFiles().read(places.CLUSTER_KEY)
        if key is None:
            raise HostFault("cluster-key-missing", "The cluster's SSH key is missing.", "Re-add this node.")
        return secret_from(key)

    def there(self, files: FileSet) -> bool:
        """The directory exists here; one that does not is never copied, for that would empty the other node's."""
        return Path(files.path).is_dir()

    def size(self, files: FileSet) -> int:
        """Bytes in a directory."""
        return tree_bytes(files.path)

    def answers(self, target: Target) -> bool:
        """Its greeting comes."""
        try:
            with socket.create_connection((target.address, PORT), timeout=2) as wire:
                return wire.recv(8).startswith(b"@RSYNCD:")
        except OSError:
            return False

    def some(self, target: Target, files: FileSet, paths: Sequence[bytes], stopped: Callable[[], bool]) -> Copied:
        """These names only. Sent whatever their size and time say: two writes may fall into one tick of the clock.

        What is gone here goes there by a second run, in which everything else is left out and so protected; rsync's own
        ``--delete-missing-args`` stops at directories that are gone with what was in them.
        """
        root = os.fsencode(files.path)
        there = [path for path in paths if path and os.path.lexists(root + b"/" + path)]
        gone = sorted({_topmost_gone(root, path) for path in paths} - set(there))
        copied = Copied(0, "")
        if there:
            options = ["--dirs", "--ignore-times", "--files-from=-", "--from0", "--ignore-missing-args", "--force"]
            copied = self._run(target, files, options, stopped, given=b"\0".join(there) + b"\0")
        if gone and (copied.whole or copied.some_failed):
            # --from0 first: rsync reads the rules when it meets the option that names them.
            options = ["--recursive", "--delete", "--from0", "--include-from=-", "--exclude=*"]
            removed = self._run(target, files, options, stopped, given=only(gone))
            return copied if not copied.whole else removed
        return copied

    def all(self, target: Target, files: FileSet, stopped: Callable[[], bool], watch: Watch | None = None) -> Copied:
        """Everything."""
        options = ["--recursive", "--hard-links", "--delete-after", "--out-format=%i %n"]
        if watch is None:
            return self._run(target, files, options, stopped)
        total = self.size(files)
        options += ["--info=progress2", "--no-inc-recursive"]
        return self._run(target, files, options, stopped, watch=lambda p: watch(_of(p, total)))

    def compare(self, target: Target, files: FileSet, stopped: Callable[[], bool]) -> Copied:
        """A dry run."""
        options = ["--recursive", "--hard-links", "--delete-after", "--out-format=%i %n", "--dry-run"]
        return self._run(target, files, options, stopped)

    def _run(
        self, target: Target, files: FileSet, options: Sequence[str], stopped: Callable[[], bool],
        given: bytes = b"", watch: Watch | None = None,
    ) -> Copied:  # fmt: skip
        Path(places.RSYNCD_DIRECTORY).mkdir(mode=0o700, parents=True, exist_ok=True)
        left_out = [f"--exclude={pattern}" for pattern in patterns(files)]
        with tempfile.NamedTemporaryFile("w", prefix="password-", dir=places.RSYNCD_DIRECTORY) as secret:
            secret.write(target.password)
            secret.flush()
            words = [
                "rsync", *_KEEP, *left_out, *options, f"--password-file={secret.name}", "--stats", "--",
                f"{files.path}/", f"rsync://{USER}@{target.address}:{PORT}/{files.slug}/",
            ]  # fmt: skip
            return _follow(words, given, stopped, watch)


def _follow(words: Sequence[str], given: bytes, stopped: Callable[[], bool], watch: Watch | None) -> Copied:
    environment = {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": "/"}
    process = subprocess.Popen(
        list(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    complaints: list[str] = []
    reader = threading.Thread(target=lambda: complaints.extend(_lines_of(process.stderr)), daemon=True)
    feeder = threading.Thread(target=_feed, args=(process.stdin, given), daemon=True)
    stalls = threading.Event()
    guard = threading.Thread(target=_guard, args=(process, stopped, stalls), daemon=True)
    for thread in (reader, feeder, guard):
        thread.start()
    differed, moved = _read(process.stdout, watch)
    code = process.wait()
    for thread in (reader, feeder):
        thread.join()
    if stalls.is_set() and code:
        return Copied(STALLED, _STALLED_SAID, tuple(differed), moved)
    return Copied(code, _complaint(complaints, code), tuple(differed), moved)


def _feed(pipe: IO[bytes], given: bytes) -> None:
    try:
        pipe.write(given)
        pipe.close()
    except OSError:
        return


def _guard(process: subprocess.Popen[bytes], stopped: Callable[[], bool], stalls: threading.Event) -> None:
    """End it when nobody wants it any more, or when its connection gets nowhere."""
    while True:
        try:
            process.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            if stalled(process.pid):
                stalls.set()
                # Asked to end, it would first tell the other side and wait for its answer.
                process.kill()
            elif stopped():
                process.send_signal(signal.SIGTERM)
        else:
            return


def _lines_of(pipe: IO[bytes] | None) -> Iterator[str]:
    for line in pipe or ():
        yield line.decode(errors="replace").strip()


def _read(pipe: IO[bytes], watch: Watch | None) -> tuple[list[str], int]:
    """Names that differed, and the bytes sent, from rsync's output; progress lines end in a carriage return."""
    differed: list[str] = []
    moved = 0
    rest = b""
    while chunk := os.read(pipe.fileno(), 1 << 16):
        *lines, rest = re.split(rb"[\r\n]", rest + chunk)
        for raw in lines:
            line = raw.decode(errors="surrogateescape")
            if watch is not None and (found := _PROGRESS.match(line)):
                watch(_progress(found))
            elif (name := _changed(line)) is not None and len(differed) < NAMES_MAX:
                differed.append(name)
            elif line.startswith("Total bytes sent: "):
                moved = int(line.split(": ")[1].replace(",", ""))
    return differed, moved


def _progress(found: re.Match[str]) -> Progress:
    moved, percent = int(found[1].replace(",", "")), int(found[2])
    rate = int(float(found[3]) * _UNITS.get(found[4], 1))
    return Progress(percent, 100, moved, rate)


def _of(percent: Progress, total_bytes: int) -> Progress:
    done = max(percent.moved_bytes, total_bytes * percent.done_bytes // 100)
    return Progress(min(done, total_bytes), total_bytes, percent.moved_bytes, percent.rate_bytes_s)


def _changed(line: str) -> str | None:
    """The name in an itemized line (rsync(1), ``--itemize-changes``) that tells of a difference."""
    if line.startswith("*deleting"):
        return _plain(line.removeprefix("*deleting").lstrip())
    if len(line) > 12 and line[11] == " " and line[0] in "<>ch." and line[1] in "fdLDS" and line[2:11].strip(". "):
        return _plain(line[12:])
    return None


def _plain(name: str) -> str:
    """The name as it is: rsync writes characters that do not print as ``\\#ooo``; directories end in a slash."""
    return re.sub(r"\\#([0-7]{3})", lambda code: chr(int(code[1], 8)), name).rstrip("/") or "."


def _complaint(lines: Sequence[str], code: int) -> str:
    told = [line for line in lines if line and not line.startswith("rsync error:")]
    first = next((line for line in told if line.startswith(("rsync:", "@ERROR"))), told[0] if told else "")
    return (first or (f"exit code {code}" if code else "")).rstrip(".")
