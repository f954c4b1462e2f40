"""The steps that bring the other node to this node's versions; add slave and re-add share them."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ishmael.manager.ports.hands import Hands
from ishmael.manager.ports.packages import Manifest
from ishmael.manager.works.base import Notes, Step
from ishmael.manager.works.joining import Joining
from ishmael.manager.works.versions import OBJECTION, bringing
from ishmael.words import places
from ishmael.words.errors import HostFault, PeerFault
from ishmael.words.profile import profile_from_toml

PART_BYTES = 512 * 1024
INSTALL_LIMIT_S = 1500.0
_CUT_LIMIT_S = 60.0


class VersionSteps:
    """Brings packages before anything else, for an older Ishmael may not understand the rest; firmware later.

    Args:
        hands: ports to act with.
        notes: those of ``Joining``, and ``update_key``.
        joining: knows both nodes.
    """

    def __init__(self, hands: Hands, notes: Notes, joining: Joining) -> None:
        self._hands, self._notes, self._joining = hands, notes, joining

    def packages(self) -> Step:
        """The step for packages."""
        return Step("bring the node to this node's versions", self._same, self._bring)

    def firmware(self) -> list[Step]:
        """The step for firmware, when the profile has any."""
        if not self._directories():
            return []
        return [Step("bring the firmware", lambda: not self._different_firmware(), self._bring_firmware)]

    def result(self) -> dict[str, Any]:
        """Packages that were installed on the other node, with their new versions, and bytes moved for them."""
        return {
            "updated": dict(self._notes.get("updated") or {}),
            "bytes_moved": int(self._notes.get("update_bytes") or 0),
        }

    def _ask(self, op: str, arguments: Mapping[str, Any], limit_s: float = 60.0) -> Mapping[str, Any]:
        return self._hands.node.ask(self._joining.peer, op, arguments, limit_s=limit_s)

    def _same(self) -> bool:
        return not bringing(self._hands, self._joining.peer).differing

    def _bring(self) -> None:
        found = bringing(self._hands, self._joining.peer)
        if not found.differing:
            return
        if found.missing:
            raise HostFault(
                "package-not-kept", f"This node keeps no file of {' '.join(found.missing)}.",
                f"apt install --reinstall {' '.join(found.missing)} here, then try again.",
            )  # fmt: skip
        self._await_earlier()
        digests = self._send({path.rsplit("/", 1)[1]: path for path in found.files.values()})
        key = self._hands.host.random(8).hex()
        self._ask("update-install", {"key": key, "files": digests})
        self._await(key)
        self._notes.put("updated", self._hands.packages.versions(found.files))
        left = bringing(self._hands, self._joining.peer)
        if left.differing:
            raise PeerFault(
                "update-failed", f"{self._joining.slave.name} still has other versions: {left.text}.",
                f"See on {self._joining.slave.name}: journalctl -u ishmael-update",
            )  # fmt: skip
        self._ask("update-status", {"clear": True})
        # Whoever watches the versions says so again when it still is so.
        self._hands.keeper.object_to_fitness(OBJECTION, "", 0)

    def _await_earlier(self) -> None:
        """One that a job before began goes on to its end."""
        seen = self._ask("update-status", {})["install"]
        if seen["state"] == "running":
            self._await(str(seen["key"]))

    def _await(self, key: str) -> None:
        clock = self._hands.clock
        deadline_s, heard_s = clock.now_s() + INSTALL_LIMIT_S, clock.now_s()
        while clock.now_s() < deadline_s:
            try:
                seen = self._ask("update-status", {})["install"]
            except PeerFault:
                # Its SSH server or our own door may be among what is installed.
                if clock.now_s() > heard_s + _CUT_LIMIT_S:
                    raise
                clock.sleep(1.0)
                continue
            heard_s = clock.now_s()
            if seen["key"] == key and seen["state"] == "done":
                return
            if seen["key"] != key or seen["state"] != "running":
                raise PeerFault(
                    "update-failed", f"{self._joining.slave.name} could not install the packages: {seen['said']}.",
                    f"See on {self._joining.slave.name}: journalctl -u ishmael-update",
                )  # fmt: skip
            clock.sleep(0.5)
        raise PeerFault(
            "update-failed", f"{self._joining.slave.name} did not end installing.", "See there: systemctl status ishmael-update"
        )  # fmt: skip

    def _send(self, paths: Mapping[str, str]) -> dict[str, str]:
        """Send files under these names; answers their SHA-256."""
        packages = self._hands.packages
        measured = {name: packages.measure(path) for name, path in paths.items()}
        total, sent = sum(size for size, _, _ in measured.values()), 0
        asks = self._parts(paths, {name: size for name, (size, _, _) in measured.items()})
        for _ in self._hands.node.ask_each(self._joining.peer, "update-put", asks):
            sent = min(sent + PART_BYTES, total)
            self._notes.count(sent, total)
        self._notes.put("update_bytes", int(self._notes.get("update_bytes") or 0) + total)
        return {name: digest for name, (_, digest, _) in measured.items()}

    def _parts(self, paths: Mapping[str, str], sizes: Mapping[str, int]) -> Iterator[dict[str, Any]]:
        for name, path in paths.items():
            for offset in range(0, max(1, sizes[name]), PART_BYTES):
                part = self._hands.packages.read(path, offset, PART_BYTES)
                yield {"name": name, "offset": offset, "data": base64.b64encode(part).decode()}

    def _directories(self) -> Sequence[str]:
        """None as long as this node is not set up: the steps are shown all the same."""
        raw = self._hands.files.read(places.PROFILE)
        return profile_from_toml(raw.decode()).firmware if raw is not None else ()

    def _manifests(self) -> tuple[Manifest, Manifest]:
        there = self._ask("versions", {"firmware": True}, 300.0)["firmware"]
        return self._hands.packages.manifest(self._directories()), there

    def _different_firmware(self) -> bool:
        here, there = self._manifests()
        return {path: list(seen) for path, seen in here.items()} != {path: list(seen) for path, seen in there.items()}

    def _bring_firmware(self) -> None:
        here, there = self._manifests()
        for path in sorted(set(there) - set(here)):
            self._ask("firmware", {"path": path, "remove": True})
        for number, path in enumerate(sorted(here)):
            if list(there.get(path, ())) == list(here[path]):
                continue
            name = f"firmware-{number}"
            digest = self._send({name: path})[name]
            self._ask("firmware", {"path": path, "name": name, "sha256": digest, "mode": here[path][2] & 0o777})
