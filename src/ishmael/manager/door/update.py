"""The door's asks for versions: what is installed here, and bringing the master's packages and firmware here.

These keep their shapes for ever: the master may be of a newer version of Ishmael than this node.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ishmael.manager.ports.hands import Hands
from ishmael.manager.works import machine
from ishmael.words import places
from ishmael.words.errors import HostFault, RequestRefused
from ishmael.words.profile import Profile, profile_from_toml
from ishmael.words.roles import Role
from ishmael.words.versions import is_package_name

PART_BYTES_MAX = 512 * 1024
_SERVING = (Role.MASTER, Role.TAKING, Role.HANDING)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+~%-]{0,199}")
_KEY = re.compile(r"[0-9a-f]{8,64}")
_FILES_MAX = 500


def _bad(message: str) -> RequestRefused:
    return RequestRefused("bad-arguments", message)


def _names(raw: Any) -> list[str]:
    if not isinstance(raw, list) or len(raw) > _FILES_MAX or not all(isinstance(name, str) for name in raw):
        raise _bad("packages is no list of names.")
    if not all(map(is_package_name, raw)):
        raise _bad("packages has a name that Debian would not give.")
    return raw


def _file(arguments: Mapping[str, Any]) -> str:
    name = arguments.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _bad("name is no name of a file.")
    return name


def _profile(hands: Hands) -> Profile:
    raw = hands.files.read(places.PROFILE)
    return profile_from_toml(raw.decode()) if raw is not None else Profile("none")


def _refuse_serving(hands: Hands) -> None:
    if machine.keeper_role(hands) in _SERVING:
        raise RequestRefused(
            "peer-is-master", f"{hands.host.name()} is serving as master itself.", "See `ishmael status` there."
        )


def versions(hands: Hands, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """``versions``: of these packages; with ``firmware``, also the manifest of the profile's directories."""
    answer: dict[str, Any] = {"versions": hands.packages.versions(_names(arguments.get("packages", [])))}
    if arguments.get("firmware") is True:
        answer["firmware"] = dict(hands.packages.manifest(_profile(hands).firmware))
    return answer


def put(hands: Hands, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """``update-put``: a part of a file; nothing but its size is looked at here."""
    name, offset, data = _file(arguments), arguments.get("offset"), arguments.get("data")
    if type(offset) is not int or offset < 0 or not isinstance(data, str):
        raise _bad("update-put wants name, offset and data.")
    try:
        part = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _bad("data is no base64.") from error
    if len(part) > PART_BYTES_MAX:
        raise _bad(f"data is longer than {PART_BYTES_MAX} bytes.")
    if not offset:
        _refuse_serving(hands)
    return {"size": hands.packages.receive(name, offset, part)}


def _check(hands: Hands, name: str, digest: Any) -> None:
    if hands.packages.received(name)[1] != digest:
        raise HostFault("transfer-damaged", f"{name} did not arrive whole.", "Try again.")


def install(hands: Hands, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """``update-install``: begin to install packages that were brought."""
    key, files = arguments.get("key"), arguments.get("files")
    if not isinstance(key, str) or not _KEY.fullmatch(key) or not isinstance(files, dict) or not files:
        raise _bad("update-install wants a key and files with their SHA-256.")
    _refuse_serving(hands)
    names = [_file({"name": name}) for name in files]
    for name in names:
        if not name.endswith(".deb"):
            raise _bad(f"{name} is no Debian package.")
        _check(hands, name, files[name])
    hands.packages.install(key, names)
    return {}


def status(hands: Hands, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """``update-status``: how the installing is; what is done is cleared away when ``clear`` says so."""
    seen = dict(hands.packages.installing())
    if arguments.get("clear") is True and seen["state"] != "running":
        hands.packages.clear()
    return {"install": seen}


def _inside(path: Any, directories: Sequence[str]) -> str:
    if not isinstance(path, str) or "\0" in path or ".." in path.split("/"):
        raise _bad("path is no path.")
    if not any(path.startswith(f"{directory}/") for directory in directories):
        raise _bad(f"{path[:200]} is in no firmware directory of this node's profile.")
    return path


def firmware(hands: Hands, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """``firmware``: put one file that was brought into its place, or remove one that the master has not."""
    _refuse_serving(hands)
    path = _inside(arguments.get("path"), _profile(hands).firmware)
    if arguments.get("remove") is True:
        hands.packages.remove(path)
        return {}
    mode = arguments.get("mode")
    if type(mode) is not int or not 0 <= mode <= 0o777:
        raise _bad("mode is no permission bits.")
    name = _file(arguments)
    _check(hands, name, arguments.get("sha256"))
    hands.packages.place(name, path, mode)
    return {}
