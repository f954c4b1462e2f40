"""dpkg and APT (dpkg-query(1), dpkg-deb(1), apt-get(8), systemd-run(1))."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ishmael.manager.drivers.programs import run, words_of
from ishmael.manager.ports.packages import Manifest
from ishmael.words import places
from ishmael.words.errors import HostFault
from ishmael.words.versions import Need, needs_of

_STATUS = "/var/lib/dpkg/status"
_UNIT = "ishmael-update.service"
_BLOCK = 1 << 20
_CACHES = (places.PACKAGES, "/var/cache/apt/archives")


@contextmanager
def _blame(path: object) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"{path} cannot be read or written: {error.strerror or error}."
        raise HostFault("disk-failing", message, "See: df -h; dmesg | tail") from error


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class DebianPackages:
    """The real ones.

    Args:
        room: directory for what is brought here.
    """

    def __init__(self, room: str = places.UPDATE) -> None:
        self._room = Path(room)

    def stamp(self) -> int:
        """When dpkg last wrote its status."""
        try:
            return Path(_STATUS).stat().st_mtime_ns
        except OSError:
            return 0

    def versions(self, names: Iterable[str]) -> dict[str, str | None]:
        """The installed version of each; one that is unpacked but not configured is not installed."""
        found: dict[str, str | None] = dict.fromkeys(names)
        if found:
            form = "--showformat=${Package} ${db:Status-Abbrev} ${Version}\\n"
            done = run(["dpkg-query", "--show", form, "--", *found])
            for line in done.stdout.decode(errors="replace").splitlines():
                name, state, version = line.split(maxsplit=2) if line.count(" ") >= 2 else ("", "", "")
                if name in found and state[1:2] == "i":
                    found[name] = version.strip()
        return found

    def kept(self, name: str, version: str) -> str | None:
        """In the pool, or in APT's own cache."""
        for directory in _CACHES:
            for path in sorted(Path(directory).glob(f"{name}_{version.replace(':', '%3a')}_*.deb")):
                return str(path)
        return None

    def needs(self, path: str) -> tuple[tuple[Need, ...], ...]:
        """From its control file."""
        done = run(["dpkg-deb", "--show", "--showformat=${Depends},${Pre-Depends}", "--", path])
        return needs_of(done.stdout.decode(errors="replace"))

    def fits(self, version: str, need: Need) -> bool:
        """dpkg(1) compares versions."""
        argv = ["dpkg", "--compare-versions", version, need.relation, need.version]
        return not need.relation or run(argv).returncode == 0

    def manifest(self, directories: Iterable[str]) -> Manifest:
        """Plain files only; links and devices are none of our business."""
        found: dict[str, Sequence[Any]] = {}
        for directory in directories:
            for place, _, names in os.walk(directory):
                for name in names:
                    path = str(Path(place, name))
                    if stat.S_ISREG(os.lstat(path).st_mode):
                        found[path] = list(self.measure(path))
        return found

    def measure(self, path: str) -> tuple[int, str, int]:
        """Reads it all."""
        with _blame(path), Path(path).open("rb") as file:
            seen = os.fstat(file.fileno())
            return seen.st_size, hashlib.file_digest(file, "sha256").hexdigest(), stat.S_IMODE(seen.st_mode)

    def read(self, path: str, offset: int, size: int) -> bytes:
        """A part of a file."""
        with _blame(path), Path(path).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def _of(self, name: str) -> Path:
        assert "/" not in name and not name.startswith(".")
        return self._room / name

    def receive(self, name: str, offset: int, data: bytes) -> int:
        """Appended; synced once, by whoever moves or installs it."""
        with _blame(name):
            self._room.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._of(name)
            with path.open("r+b" if offset and path.exists() else "wb") as file:
                file.seek(0, os.SEEK_END)
                if file.tell() == offset:
                    file.write(data)
                return file.tell()

    def received(self, name: str) -> tuple[int, str]:
        """What there is."""
        if not self._of(name).exists():
            return 0, ""
        return self.measure(str(self._of(name)))[:2]

    def place(self, name: str, target: str, mode: int) -> None:
        """Copied beside the target, synced, renamed."""
        with _blame(target):
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            beside = Path(target).parent / f".ishmael-{Path(target).name}"
            shutil.copyfile(self._of(name), beside)
            beside.chmod(mode)
            with beside.open("rb") as file:
                os.fsync(file.fileno())
            beside.replace(target)
            _sync(Path(target).parent)
            self._of(name).unlink()

    def remove(self, path: str) -> None:
        """If it is there."""
        with _blame(path):
            Path(path).unlink(missing_ok=True)

    def install(self, key: str, names: Sequence[str]) -> None:
        """In a unit of its own: what is installed may restart whoever asked for it."""
        if self._runs():
            raise HostFault("update-runs", "An update runs here already.", f"See: systemctl status {_UNIT}")
        with _blame(self._room):
            (self._room / "install.json").unlink(missing_ok=True)
            for name in names:
                with self._of(name).open("rb") as file:
                    os.fsync(file.fileno())
            _sync(self._room)
            (self._room / "begun").write_text(key)
        run(["systemctl", "reset-failed", _UNIT])
        paths = [str(self._of(name)) for name in names]
        begin = ["systemd-run", "--quiet", "--collect", f"--unit={_UNIT}", "--property=TimeoutStopSec=600", "--"]
        done = run([*begin, sys.executable, "-I", "-m", "ishmael.apt.install", key, *paths])
        if done.returncode:
            raise HostFault(
                "update-failed", f"The update could not be started: {words_of(done)}.", "See: journalctl -n 20"
            )

    def _runs(self) -> bool:
        return run(["systemctl", "is-active", "--quiet", _UNIT]).returncode == 0

    def installing(self) -> Mapping[str, Any]:
        """From the file that the unit leaves; a unit that is gone without one was cut off."""
        begun = self._room / "begun"
        key = begun.read_text() if begun.exists() else ""
        if not key:
            return {"key": "", "state": "none", "said": ""}
        runs = self._runs()
        with suppress(OSError, ValueError):
            found = json.loads((self._room / "install.json").read_text())
            if found.get("key") == key:
                return {name: str(found.get(name, "")) for name in ("key", "state", "said")}
        return {"key": key, "state": "running" if runs else "failed", "said": "" if runs else "it was cut off"}

    def clear(self) -> None:
        """The pool of this node has them by now, through APT's hook."""
        with _blame(self._room):
            shutil.rmtree(self._room, ignore_errors=True)
