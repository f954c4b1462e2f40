"""Where the keeper's files are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
    def var(self) -> Path:
        """The record and the event list."""
        return self.root / "var/lib/ishmael"

    @property
    def socket(self) -> Path:
        """The control socket."""
        return self.root / "run/ishmael/keeper.sock"
