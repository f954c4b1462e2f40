"""What was changed outside the product of files that are locked while a cluster is formed, and the two ways out of it.

Whatever changes these files under the cluster lock is the product: jobs, the other node's asks, services that follow.
What they leave is noted. What differs from the notes later was changed by somebody else, and is told by name: the admin
takes it over, or puts it back.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from ishmael.manager.appliance.kept import all_changed_by_hand
from ishmael.manager.ports.hands import Hands
from ishmael.words import places
from ishmael.words.errors import HostFault, IshmaelError, RequestRefused
from ishmael.words.profile import profile_from_toml

DRIFT_SCHEMA = 1
_LIMIT_BYTES = 262144
_KEPT_S = 5.0
_OURS = (places.SETTINGS, places.PROFILE, places.COROSYNC_CONF, places.SYSCTL)
_FOLLOWING = (places.SETTINGS, places.COROSYNC_CONF, places.SYSCTL)
"""What follows from the set-up alone: another content cannot be taken over."""
NETWORK = ("/etc/hostname", "/etc/network/interfaces")
NETWORK_DIRECTORIES = (
    "/etc/network/interfaces.d", "/etc/systemd/network", "/etc/netplan", "/etc/NetworkManager/system-connections",
)  # fmt: skip

Lock = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Change:
    """One locked file that is not as it was left.

    Args:
        path: of the file.
        what: ``changed``, ``removed`` or ``new``.
        take_over: it may become the file that is meant.
        put_back: its former content is known.
    """

    path: str
    what: str
    take_over: bool
    put_back: bool

    def to_mapping(self) -> dict[str, Any]:
        """As the API shows it."""
        return {"path": self.path, "what": self.what, "take_over": self.take_over, "put_back": self.put_back}


class Drift:
    """Knows how this node's locked files were left.

    Args:
        hands: ports to look and write with.
        lock: the cluster lock.
        now_s: a clock that only goes forward, in seconds.
    """

    def __init__(self, hands: Hands, lock: Lock, now_s: Callable[[], float] = time.monotonic) -> None:
        self._hands, self._lock, self._now_s = hands, lock, now_s
        self._seen: tuple[float, list[Change], dict[str, str]] | None = None
        self._by_hand: dict[str, str] = {}

    # --- what the product does --------------------------------------------------------------------------------------

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Hold the cluster lock, and note what changed meanwhile.

        A holder that is killed leaves its note open; the next one goes on with it, so that what the killed one has
        written counts as the product's.
        """
        with self._lock():
            notes = self._notes()
            if notes.get("open") is None:
                notes["open"] = [change.path for change in self._changes(notes)]
                self._save(notes)
            try:
                yield
            finally:
                self._close(self._notes())

    def _close(self, notes: dict[str, Any]) -> None:
        if self._hands.files.read(places.SETTINGS) is None:
            # Nothing is locked outside a cluster.
            self._hands.files.remove(places.LOCKED)
        else:
            by_hand, left = set(notes.get("open") or ()), self._left(notes)
            files = {path: kept for path, kept in left.items() if path in by_hand}
            for path in self._watched(files):
                if path not in by_hand and (kept := self._kept(path)) is not None:
                    files[path] = kept
            self._save({"schema": DRIFT_SCHEMA, "files": files})
        self._seen = None

    def begin(self) -> None:
        """Note everything as it is, where nothing was noted yet: the package came to a cluster that was there before."""
        if self._hands.files.read(places.SETTINGS) is not None and self._hands.files.read(places.LOCKED) is None:
            with self.noting():
                pass

    # --- what the admin sees and does -------------------------------------------------------------------------------

    def changes(self) -> list[Change]:
        """Locked files that were changed outside the product; looked up at most every five seconds."""
        return self._look()[1]

    def of_services(self) -> dict[str, str]:
        """Files of services that were, each with the service's name; as seldom."""
        return self._look()[2]

    def _look(self) -> tuple[float, list[Change], dict[str, str]]:
        now_s = self._now_s()
        if self._seen is None or now_s - self._seen[0] >= _KEPT_S:
            # While the product works, what it changes is no drift, and what was one before is one still.
            working = self._notes().get("open") is not None
            if not working:
                self._by_hand = {path: each.about.name for path, each in all_changed_by_hand(self._hands).items()}
            self._seen = (now_s, self._now(), self._by_hand)
        return self._seen

    def names(self) -> list[str]:
        """Paths of what was changed, with how; of locked files, and of services."""
        found = [each.path if each.what == "changed" else f"{each.path} ({each.what})" for each in self.changes()]
        return [*found, *self.of_services()]

    def difference(self, path: str) -> str:
        """From what was left to what is there, as a unified diff.

        Raises:
            RequestRefused: it is not changed, or its former content was too long to be kept.
        """
        self._named(path)
        kept = self._left(self._notes()).get(path)
        if kept is not None and kept.get("data") is None:
            raise RequestRefused(
                "drift-unknown", f"What {path} was before is not known.", "It was too long to be kept."
            )
        old = base64.b64decode(kept["data"]) if kept else b""
        new = self._hands.files.read(path) or b""
        before, after = (x.decode(errors="replace").splitlines(keepends=True) for x in (old, new))
        return "".join(difflib.unified_diff(before, after, f"{path} (as it was left)", f"{path} (as it is)"))

    def take_over(self, path: str) -> None:
        """From now on the file is meant as it is.

        Raises:
            RequestRefused: it is not changed, follows from the set-up, or is no valid profile.
        """
        if not self._named(path).take_over:
            hint = f"Put it back: ishmael drift put-back {path}"
            raise RequestRefused("drift-follows", f"{path} follows from the set-up of the cluster.", hint)
        raw = self._hands.files.read(path)
        if path == places.PROFILE and raw is not None:
            profile_from_toml(raw.decode(errors="replace"))
        with self._lock():
            notes = self._notes()
            files = self._left(notes)
            kept = self._kept(path)
            if kept is None:
                files.pop(path, None)
            else:
                files[path] = kept
            self._save({**notes, "files": files})
        self._reload(path)

    def put_back(self, path: str) -> None:
        """Give the file the content that was left.

        Raises:
            RequestRefused: it is not changed, or its former content is not known.
            HostFault: the disk does not take it.
        """
        if not self._named(path).put_back:
            hint = f"Take it over (ishmael drift take-over {path}), or remove it yourself."
            raise RequestRefused("drift-unknown", f"What {path} was before is not known.", hint)
        with self._lock():
            kept = self._left(self._notes())[path]
            self._hands.files.write(path, base64.b64decode(kept["data"]), int(kept["mode"]))
        self._reload(path)

    def _named(self, path: str) -> Change:
        self._seen = None
        found = next((each for each in self.changes() if each.path == path), None)
        if found is None:
            hint = "See: ishmael drift list"
            raise RequestRefused("no-such-drift", f"{path[:200]!r} is no locked file that was changed.", hint)
        return found

    def _reload(self, path: str) -> None:
        self._seen = None
        if path in (places.SETTINGS, places.PROFILE):
            self._hands.keeper.reload()

    # --- notes ------------------------------------------------------------------------------------------------------

    def _now(self) -> list[Change]:
        if self._hands.files.read(places.SETTINGS) is None and not self._left(self._notes()):
            return []
        notes = self._notes()
        found = self._changes(notes)
        # While the product works, what it changes is no drift.
        working = notes.get("open")
        return found if working is None else [each for each in found if each.path in working]

    def _changes(self, notes: Mapping[str, Any]) -> list[Change]:
        left = self._left(notes)
        if not left:
            return []
        found = []
        for path in self._watched(left):
            kept, here = left.get(path), self._kept(path)
            if (kept or {}).get("sha256") == (here or {}).get("sha256"):
                continue
            what = "new" if kept is None else "removed" if here is None else "changed"
            known = kept is not None and kept.get("data") is not None
            found.append(Change(path, what, path not in _FOLLOWING, known))
        return found

    def _watched(self, left: Mapping[str, Any]) -> list[str]:
        files = self._hands.files
        there = [f"{place}/{name}" for place in NETWORK_DIRECTORIES for name in files.names(place)]
        return sorted({*_OURS, *NETWORK, *there, *left})

    def _kept(self, path: str) -> dict[str, Any] | None:
        try:
            data = self._hands.files.read(path)
        except HostFault:
            return None
        if data is None:
            return None
        text = base64.b64encode(data).decode() if len(data) <= _LIMIT_BYTES else None
        return {"sha256": hashlib.sha256(data).hexdigest(), "data": text, "mode": self._hands.files.mode(path) or 0o600}

    def _left(self, notes: Mapping[str, Any]) -> dict[str, Any]:
        return dict(notes.get("files") or {})

    def _notes(self) -> dict[str, Any]:
        raw = self._hands.files.read(places.LOCKED)
        try:
            found = json.loads(raw) if raw else {}
        except ValueError:
            found = {}
        return found if isinstance(found, dict) else {}

    def _save(self, notes: Mapping[str, Any]) -> None:
        self._hands.files.write(places.LOCKED, json.dumps(notes).encode(), 0o600)


def noting(hands: Hands, lock: Lock) -> Lock:
    """The cluster lock, as the product takes it."""
    return Drift(hands, lock).noting


def begin(drift: Drift) -> None:
    """Note what is there at the first start; a disk that does not take it is told by other means."""
    try:
        drift.begin()
    except IshmaelError:
        return
