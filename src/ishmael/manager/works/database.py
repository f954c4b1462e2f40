"""The replicated database as the works see it: does the profile want one, can this machine have it, what must it know?"""

from __future__ import annotations

from ishmael.manager.ports.database import Pairing
from ishmael.manager.ports.hands import Hands
from ishmael.words import places
from ishmael.words.errors import Finding
from ishmael.words.profile import DatabaseWanted, profile_from_toml
from ishmael.words.settings import Settings


def wanted_by(profile: str) -> DatabaseWanted | None:
    """The database of a workload profile's text, if it wants one."""
    return profile_from_toml(profile).database


def check_database(hands: Hands, profile: str) -> list[Finding]:
    """What stands against a replicated database on this machine."""
    wanted = wanted_by(profile)
    if wanted is None or hands.database.installed():
        return []
    message = "PostgreSQL is not installed, and the workload's profile requires it."
    hint = "Install it: apt install postgresql"
    return [Finding("profile", "database-missing", message, hint, whose="host")] if wanted.required else []


def pairing(hands: Hands, settings: Settings, me: int, wanted: DatabaseWanted) -> Pairing:
    """What this node's database must know; the password is made where there is none."""
    raw = hands.files.read(places.REPLICATION_PASSWORD)
    if raw is None:
        raw = hands.host.random(24).hex().encode()
        hands.files.write(places.REPLICATION_PASSWORD, raw, 0o600)
    return Pairing(wanted, settings, me, raw.decode())
