"""Where the keeper's files are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ishmael.words.errors import RequestRefused


@dataclass(frozen=True, slots=True)
class Places:
    """All paths, below ``root`` (``/`` on a node)."""

    root: Path = Path("/")

    @property
    def settings(self) -> Path:
        """The cluster's settings."""
        return self.root / "etc/ishmael/settings.toml"

    @property
    def profile(self) -> Path:
        """The active workload profile."""
        return self.root / "etc/ishmael/profile.toml"

    @property
    def database(self) -> Path:
        """Names the replicated database, where there is one."""
        return self.root / "etc/ishmael/database.json"

    @property
    def dbwatch(self) -> Path:
        """The socket of the program that watches over the database."""
        return self.root / "run/ishmael/dbwatch.sock"

    @property
    def var(self) -> Path:
        """The record and the event list."""
        return self.root / "var/lib/ishmael"

    @property
    def recording(self) -> Path:
        """What the flight recorder held when it was asked for."""
        return self.var / "flight.json"

    @property
    def address(self) -> Path:
        """The cluster IP and its interface, for the unit: it removes it when the watchdog has killed a hung keeper."""
        return self.root / "run/ishmael/address"

    @property
    def socket(self) -> Path:
        """The control socket."""
        return self.root / "run/ishmael/keeper.sock"


def read_text(path: Path) -> str | None:
    """A text file as it is; none when there is none.

    Raises:
        RequestRefused: it cannot be read, or is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        raise RequestRefused(
            "settings-unreadable",
            f"{path} cannot be read: {error}.",
            "Put it back as it was; it is written by Ishmael alone.",
        ) from error
